"""Versions of the weights that order recommendations: which one is in use, what it was judged by, and what came before."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from psycopg import AsyncConnection

from media_gateway.json_values import dump
from media_gateway.learning.guard import SIGNIFICANT, Clicks, Shadow, fell
from media_gateway.learning.interests.fusion import FusionWeights
from media_gateway.learning.postgres.changing import Change
from media_gateway.learning.postgres.parameters import Parameters, copied

_CURRENT: Final = "SELECT number FROM interest_versions WHERE state = 'current'"
_ADD: Final = "INSERT INTO interest_versions (state, weights, metrics, why, decided_at) VALUES (%s, %s, %s, %s, now())"
_END: Final = """
UPDATE interest_versions SET state = %s, why = %s, decided_at = now(), metrics = metrics || %s WHERE state = 'current'
"""
_BACK: Final = "UPDATE interest_versions SET state = 'current', why = %s, decided_at = now() WHERE number = %s"
_FORMER: Final = """
SELECT number, weights FROM interest_versions
WHERE state = 'retired' AND number < (SELECT number FROM interest_versions WHERE state = 'current')
ORDER BY number DESC LIMIT 1
"""
_LIST: Final = """
SELECT number, made_at, state, metrics, why, decided_at FROM interest_versions ORDER BY number DESC LIMIT %s
"""
# Of each user the share of the items shown that were clicked or watched within a day; a user with a thousand clicks counts
# as any other one.
_CLICKS: Final = """
SELECT model_version, count(*), sum(shown), avg(rate), coalesce(var_samp(rate), 0)
FROM (
    SELECT e.model_version, e.user_id, count(*) AS shown,
        avg(CASE WHEN EXISTS (
            SELECT FROM user_events AS c
            WHERE c.user_id = e.user_id AND c.key = e.key AND c.kind IN ('click', 'watch') AND c.id > e.id
                AND c.id < user_event_first_id(user_event_time(e.id) + interval '1 day')
        ) THEN 1.0 ELSE 0.0 END)::float8 AS rate
    FROM user_events AS e
    WHERE e.kind = 'exposure' AND e.model_version = ANY(%(versions)s)
        AND e.id > user_event_first_id(now() - interval '30 days')
    GROUP BY 1, 2
) AS rates GROUP BY 1
"""


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of the weights: its *state*, why it is in that state, and the figures that it was judged by."""

    number: int
    made_at: datetime
    state: str
    metrics: dict[str, Any]
    why: str
    decided_at: datetime | None


async def versions(connection: AsyncConnection[Any], most: int = 20) -> list[Version]:
    """Return the latest versions, the newest first."""
    rows = await (await connection.execute(_LIST, [most])).fetchall()
    return [
        Version(number=number, made_at=made_at, state=state, metrics=metrics, why=why, decided_at=decided_at)
        for number, made_at, state, metrics, why, decided_at in rows
    ]


async def decide(change: Change) -> str | None:
    """Put new weights into use, or drop them, where the comparisons say so, as a part of *change*; return what was done."""
    parameters, connection = change.parameters, change.connection
    if await (await connection.execute(_CURRENT)).fetchone() is None:
        await _add(connection, parameters, {}, "the first weights, before anything was compared")
    shadow = Shadow.of(parameters.shadow)
    verdict = shadow.verdict()
    if verdict is None:
        return None
    figures = shadow.figures()
    if verdict == "promote":
        await connection.execute(_END, ["retired", "better weights took its place", dump({}).decode()])
        why = f"better on {figures['comparisons']:,} later likes of users, by more than {SIGNIFICANT:g} standard errors"
        parameters.serving = copied(parameters.weights)
        await _add(connection, parameters, {"shadow": figures}, why)
    else:
        why = f"worse on {figures['comparisons']:,} later likes of users; learning goes on from the weights in use"
        values = ["rejected", _written(parameters.weights), dump({"shadow": figures}).decode(), why]
        await connection.execute(_ADD, values)
        parameters.weights.shared[:], parameters.weights.added[:] = parameters.serving.shared, parameters.serving.added
    parameters.shadow = np.zeros_like(parameters.shadow)
    return verdict


async def roll_back_when_clicks_fall(change: Change) -> bool:
    """Put the former weights into use again where what is shown by the current ones is clicked less; tell whether."""
    connection, parameters = change.connection, change.parameters
    current = await (await connection.execute(_CURRENT)).fetchone()
    former = await (await connection.execute(_FORMER)).fetchone()
    if current is None or former is None:
        return False
    rows = await (await connection.execute(_CLICKS, {"versions": [current[0], former[0]]})).fetchall()
    seen = {
        number: Clicks(users=users, shown=int(shown), mean=mean, variance=variance)
        for number, users, shown, mean, variance in rows
    }
    now, before = seen.get(current[0]), seen.get(former[0])
    if now is None or before is None or not fell(now, before):
        return False
    figures: dict[str, Any] = {
        "clicks": {"rate": round(now.mean, 5), "before": round(before.mean, 5), "users": now.users}
    }
    why = f"what it showed was clicked less than what version {former[0]} showed"
    await connection.execute(_END, ["rolled back", why, dump(figures).decode()])
    await connection.execute(_BACK, [f"back in use, since version {current[0]} was clicked less", former[0]])
    shared, added = (np.array(former[1][name], dtype=np.float64) for name in ("shared", "added"))
    parameters.serving.shared[:], parameters.serving.added[:] = shared, added
    parameters.weights.shared[:], parameters.weights.added[:] = shared, added
    parameters.shadow = np.zeros_like(parameters.shadow)
    return True


async def _add(connection: AsyncConnection[Any], parameters: Parameters, metrics: dict[str, Any], why: str) -> None:
    values = ["current", _written(parameters.serving), dump(metrics).decode(), why]
    await connection.execute(_ADD, values)


def _written(weights: FusionWeights) -> str:
    return dump({"shared": weights.shared.tolist(), "added": weights.added.tolist()}).decode()
