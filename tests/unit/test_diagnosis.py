"""Diagnoses of recorded readings: what no test machine brings about, and the words by which failures are told apart."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from media_gateway.cli.app import app
from media_gateway.database.engine import PGVECTOR
from media_gateway.database.server import ServerStatus
from media_gateway.models import Explanation
from media_gateway.monitoring import diagnosis
from media_gateway.monitoring.diagnosis import (
    KINDS,
    BackupSeen,
    CollectionFacts,
    Finding,
    IndexFacts,
    Limits,
    backups,
    disk,
    embedded,
    extension,
    indexes,
    memory,
    reaching,
    replication,
    searching,
    sessions,
    tuning,
    vacuuming,
)

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "howto" / "doctor.md"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
INDEX = IndexFacts(
    name="content_vectors_hnsw_idx", kind="vector", is_valid=True, is_leftover=False, bytes=2**30, rebuild_reason=None
)


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def recorded_extension(**readings: Any) -> extension.ExtensionReading:
    """What the catalogue of a server with pgvector 0.8.4 says, and what differs from that."""
    whole = {"installed": "0.8.4", "available": "0.8.4", "has_type": True, "has_method": True, "has_operators": True}
    return extension.ExtensionReading(**{**whole, **readings})


@pytest.mark.parametrize(
    ("readings", "code", "command"),
    [
        ({}, [], ""),
        ({"installed": "0.8.3", "available": "0.8.10"}, ["extension_old"], "ALTER EXTENSION vector UPDATE"),
        ({"installed": "0.5.0", "available": "0.5.0"}, ["extension_old"], "install vector 0.8.4 or newer"),
        ({"installed": "0.8.4", "available": "0.8.10"}, ["extension_behind"], "ALTER EXTENSION vector UPDATE"),
        ({"installed": None, "available": "0.8.4"}, ["extension_missing"], "CREATE EXTENSION vector"),
        ({"installed": None, "available": None}, ["extension_unavailable"], "install pgvector 0.8.4 or newer"),
        ({"has_method": False}, ["extension_incomplete"], "reinstall"),
    ],
)
def test_recorded_catalogues_of_servers_with_other_pgvectors(
    readings: dict[str, Any], code: list[str], command: str
) -> None:
    found = extension.judged(recorded_extension(**readings), PGVECTOR, "films")
    assert codes(found) == code
    assert all(command in finding.command for finding in found)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('connection to server at "127.0.0.1", port 1 failed: Connection refused', "connection_refused"),
        ('connection to server on socket "/run/.s.PGSQL.5432" failed: No such file or directory', "connection_refused"),
        ("failed to resolve host 'db': [Errno -2] Name or service not known", "host_unknown"),
        ('port 5432 failed: FATAL:  password authentication failed for user "x"', "password_refused"),
        ("port 5432 failed: fe_sendauth: no password supplied", "password_refused"),
        ('failed: FATAL:  role "database" does not exist', "login_refused"),
        ('failed: FATAL:  database "role" does not exist', "database_missing"),
        (
            'FATAL:  no pg_hba.conf entry for host "10.0.0.7", user "x", database "y", no encryption',
            "tls_required",
        ),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.7", user "x", database "y", SSL encryption', "login_refused"),
        ("port 5432 failed: server does not support SSL, but SSL was required", "tls_missing"),
        ("port 5432 failed: SSL error: certificate verify failed: self-signed certificate", "tls_certificate"),
        ('server certificate for "db.example.org" does not match host name "10.0.0.7"', "tls_certificate"),
        ('root certificate file "/home/app/.postgresql/root.crt" does not exist', "tls_certificate"),
        ("port 5432 failed: FATAL:  sorry, too many clients already", "connections_exhausted"),
        ('FATAL:  too many connections for role "x"', "connections_exhausted"),
        ("FATAL:  the database system is not yet accepting connections", "server_starting"),
        ("FATAL:  the database system is shutting down", "server_starting"),
        ("port 5432 failed: No route to host", "host_silent"),
        ("port 80 failed: received invalid response to SSL negotiation: H", "not_postgres"),
        ("something that nobody has seen before", "connection_failed"),
    ],
)
def test_the_recorded_words_of_libpq_and_the_server(message: str, code: str) -> None:
    assert reaching.told_apart(message).code == code


@pytest.mark.parametrize(
    ("values", "code", "fix"),
    [
        ({"running": True}, None, None),
        ({"pid": 4711}, "server_starting", None),
        ({"version": None}, "embedded_missing", None),
        ({"stopped_by_operator": True}, "embedded_stopped", None),
        ({}, "embedded_down", "start_server"),
    ],
)
def test_states_of_the_embedded_server(values: dict[str, Any], code: str | None, fix: str | None) -> None:
    down: dict[str, Any] = {"running": False, "pid": None, "version": "18.6", "stopped_by_operator": False}
    places = {"folder": Path("data/embedded"), "socket_folder": Path("s"), "port": 5432, "log": Path("server.log")}
    finding = embedded.judged(ServerStatus(**{**down, **places, **values}))
    assert (finding and finding.code, finding and finding.fix) == (code, fix)


def test_a_recorded_standby_that_lags() -> None:
    limits = Limits()
    near = replication.Standby(name="b", state="streaming", seconds=0.2, bytes=4096)
    late = replication.Standby(name="b", state="streaming", seconds=95.0, bytes=2**20)
    far = replication.Standby(name="b", state="catchup", seconds=None, bytes=3 * 2**30)
    assert replication.judged(near, limits) == []
    (by_time,) = replication.judged(late, limits)
    assert (by_time.code, by_time.seen) == (
        "replica_lag",
        "the standby b (streaming) is 95 s and 1.0 MiB of log behind",
    )
    (by_size,) = replication.judged(far, limits)
    assert "3.0 GiB of log behind" in by_size.seen


def test_a_recorded_connection_to_another_machine_without_tls() -> None:
    assert codes(sessions.judged_encryption("films@db", is_encrypted=False, is_near=False)) == [
        "connection_unencrypted"
    ]
    assert sessions.judged_encryption("films@db", is_encrypted=True, is_near=False) == []
    assert sessions.judged_encryption("films@localhost", is_encrypted=False, is_near=True) == []


def facts(**values: Any) -> CollectionFacts:
    given: dict[str, Any] = {
        "rows": 100_000,
        "dimension": 768,
        "indexes": [INDEX],
        "building": None,
        "graph_bytes": 2**29,
        "given_bytes": 2**30,
    }
    return CollectionFacts(**{**given, **values})


def test_memory_that_a_collection_outgrows() -> None:
    roomy = memory.MemoryReading(buffers=4 * 2**30, shared_room=4 * 2**30)
    assert memory.judged(roomy, facts(), limits=Limits(), is_embedded=False) == []
    tight = memory.MemoryReading(buffers=2**27, shared_room=2**26)
    found = memory.judged(tight, facts(given_bytes=2**28), limits=Limits(), is_embedded=False)
    assert codes(found) == ["shared_buffers_small", "maintenance_memory_small", "shared_memory_small"]
    assert "ALTER SYSTEM SET shared_buffers = '1280MB'" in found[0].command
    assert "shm_size: 320mb" in found[2].command
    (first, *_) = memory.judged(tight, facts(), limits=Limits(), is_embedded=True)
    assert "operator.conf" in first.command


def test_an_index_that_is_gone_matters_more_the_more_records_there_are() -> None:
    (few,) = indexes.judged(facts(indexes=[], rows=900), searches_index=1_000)
    (many,) = indexes.judged(facts(indexes=[], rows=9_000), searches_index=1_000)
    assert (few.code, few.severity, many.severity) == ("index_missing", "warning", "error")
    (halved,) = indexes.judged(facts(indexes=[], dimension=3072), searches_index=1_000)
    assert "--kind halfvec" in halved.command


def index(**values: Any) -> IndexFacts:
    given = {name: getattr(INDEX, name) for name in INDEX.__dataclass_fields__}
    return IndexFacts(**{**given, **values})


def test_rests_of_builds_and_worn_indexes() -> None:
    rest = index(name="content_vectors_hnsw_idx_new", is_valid=False, is_leftover=True)
    (beside,) = indexes.judged(facts(indexes=[INDEX, rest]), searches_index=1_000)
    assert (beside.severity, beside.fix) == ("warning", "rebuild_index")
    (alone,) = indexes.judged(facts(indexes=[rest]), searches_index=1_000)
    assert (alone.severity, alone.fix) == ("error", "build_index")
    (worn,) = indexes.judged(facts(indexes=[index(rebuild_reason="40% are dead")]), searches_index=1_000)
    assert (worn.code, worn.fix, "40% are dead" in worn.seen) == ("index_bloated", None, True)
    foreign = index(name="theirs", kind=None, is_valid=False, is_leftover=False)
    (theirs,) = indexes.judged(facts(indexes=[INDEX, foreign]), searches_index=1_000)
    assert (theirs.fix, theirs.command) == (None, "DROP INDEX CONCURRENTLY theirs")


def explained(*plan: str, way: Any = "index") -> Explanation:
    return Explanation(backend="postgres", way=way, reason="why", exact=False, hits=10, milliseconds=812.0, plan=plan)


def test_recorded_plans_of_searches() -> None:
    walks = explained("Limit", "  ->  Index Scan using content_vectors_hnsw_idx on content_vectors")
    assert searching.judged_plan(walks, INDEX, switches=[], database="films") == []
    reads = explained("Limit", "  ->  Sort", "        ->  Seq Scan on content_vectors  (actual rows=100000)")
    (found,) = searching.judged_plan(reads, INDEX, switches=[], database="films")
    assert (found.code, found.fix) == ("sequential_scan", "analyze")
    assert "the server chose Seq Scan on content_vectors" in found.seen
    (found,) = searching.judged_plan(reads, INDEX, switches=["enable_indexscan"], database="films")
    assert (found.fix, 'ALTER DATABASE "films" RESET enable_indexscan' in found.command) == (None, True)


def test_profiles() -> None:
    def judged(profile: tuning.Profile | None, *, rows: int = 10_000) -> list[str]:
        return codes(tuning.judged(profile, INDEX, rows=rows, target=0.95, grown=2.0))

    good = tuning.Profile(ef_search=60, recall=0.96, recall_low=0.95, target=0.95, rows=9_000, measured_at=NOW)
    poor = tuning.Profile(ef_search=60, recall=0.93, recall_low=0.92, target=0.9, rows=9_000, measured_at=NOW)
    assert judged(good) == []
    assert judged(None) == ["profile_missing"]
    assert judged(poor) == ["recall_below_target"]
    assert judged(good, rows=20_000) == ["profile_outgrown"]


def test_disks() -> None:
    def judged(free: int, total: int) -> list[str]:
        return codes(disk.judged(Path("/srv"), ["backups"], free=free, total=total, limits=Limits()))

    assert judged(60 * 2**30, 10_000 * 2**30) == []
    assert judged(5 * 2**30, 100 * 2**30) == ["disk_nearly_full"]
    assert judged(2**20, 100 * 2**30) == ["disk_full"]


def test_backups() -> None:
    def judged(newest: BackupSeen | None, *, has_records: bool = True) -> list[str]:
        return codes(
            backups.judged(newest, Path("backups"), Limits(), now=NOW, backend="postgres", has_records=has_records)
        )

    def seen(hours: float, found: int | None = 100) -> BackupSeen:
        return BackupSeen(
            path=Path("b.dump"), made_at=NOW - timedelta(hours=hours), expected_bytes=100, found_bytes=found
        )

    assert judged(None) == ["backup_missing"]
    assert judged(None, has_records=False) == []
    assert judged(seen(25)) == []
    assert judged(seen(27)) == ["backup_old"]
    assert judged(seen(1, found=99)) == judged(seen(1, found=None)) == ["backup_damaged"]


def test_a_recorded_age_near_the_end_of_transaction_numbers() -> None:
    assert vacuuming.judged_age(200_000_000, Limits(), "films") == []
    assert codes(vacuuming.judged_age(1_400_000_000, Limits(), "films")) == ["wraparound_near"]


def test_every_kind_of_finding_has_its_line_and_its_section_in_the_page() -> None:
    text = PAGE.read_text()
    listed = re.findall(r"^\| \[`(\w+)`\]\(#(\w+)\) \| (\w+)", text, re.MULTILINE)
    assert [code for code, _, _ in listed] == [anchor for _, anchor, _ in listed]
    assert {code: severity for code, _, severity in listed} == {kind.code: kind.severity for kind in KINDS}
    assert re.findall(r"^### (\w+)$", text, re.MULTILINE) == [kind.code for kind in KINDS]
    assert len({kind.code for kind in KINDS}) == len(KINDS)


def test_every_command_that_is_advised_exists() -> None:
    commands: dict[str, Any] = typer.main.get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    texts = [path.read_text() for path in Path(diagnosis.__file__).parent.glob("*.py")]
    advised = {match for text in texts for match in re.findall(r"media-gateway ([a-z]+)(?: ([a-z]+))?", text)}
    advised = {(name, part) for name, part in advised if name != "that"}
    assert len(advised) >= 10
    for name, part in advised:
        assert name in commands, name
        parts = getattr(commands[name], "commands", None)
        assert not parts or not part or part in parts, (name, part)
