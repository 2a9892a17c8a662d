"""The files of the deployment as tests read them: compose resolves its variables, rules and dashboard give their queries."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = ROOT / "docker-compose.yml"
RULES = DEPLOY / "prometheus" / "rules.yml"
PROMETHEUS = DEPLOY / "prometheus" / "prometheus.yml"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "media-gateway.json"
ENV_EXAMPLE = DEPLOY / "env.example"

_VARIABLE = re.compile(r"\$(?P<escaped>\$)|\$\{(?P<name>[A-Z_]+)(?:(?P<how>:-|:\?)(?P<rest>[^}]*))?\}")
_METRIC = re.compile(r"\b(?:media_gateway|process|up|ALERTS)(?:_[a-z0-9_]+)?\b(?!\s*:)")
_RECORDED = re.compile(r"\b[a-z]+:media_gateway_[a-z0-9_]+:[a-z0-9_]+\b|\bvolume:media_gateway_disk_free:ratio\b")


@dataclass(frozen=True, kw_only=True)
class Variable:
    """One place where the compose file asks for a variable: its *default*, None where it must be given."""

    name: str
    default: str | None


@dataclass(frozen=True, kw_only=True)
class Query:
    """An expression of PromQL and the place that it stands in."""

    place: str
    text: str
    legend: str = ""

    @property
    def recorded(self) -> set[str]:
        """The series that rules record, which it names."""
        return set(_RECORDED.findall(self.text))

    @property
    def metrics(self) -> set[str]:
        """The metrics that somebody has to give, which it names."""
        return set(_METRIC.findall(re.sub(r"\{[^}]*\}", "", _RECORDED.sub("", self.text))))

    def resolved(self, window: str) -> str:
        """Return the text with Grafana's variables filled in; rates look back *window*."""
        return self.text.replace("$__rate_interval", window).replace("$instance", ".*")


def variables() -> list[Variable]:
    """Return every place of the compose file that asks for a variable."""
    found = [match for match in _VARIABLE.finditer(COMPOSE.read_text()) if match["name"]]
    return [
        Variable(name=match["name"], default=match["rest"] if match["how"] == ":-" else None)
        for match in found
        if match["how"]
    ]


def compose(given: Mapping[str, str]) -> dict[str, Any]:
    """Return the compose file with its variables resolved as Compose does; raises KeyError for one that must be given."""

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        return given.get(match["name"]) or (match["rest"] if match["how"] == ":-" else given[match["name"]])

    return yaml.safe_load(_VARIABLE.sub(value, COMPOSE.read_text()))


def env_example() -> dict[str, str]:
    """Return the variables of deploy/env.example."""
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", ENV_EXAMPLE.read_text(), re.MULTILINE))


def rules(kind: str) -> list[dict[str, Any]]:
    """Return the rules of *kind*, `alert` or `record`."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def rule_queries(kind: str) -> list[Query]:
    """Return the expressions of the rules of *kind*."""
    return [Query(place=rule[kind], text=rule["expr"]) for rule in rules(kind)]


def dashboard() -> dict[str, Any]:
    """Return Grafana's dashboard."""
    return json.loads(DASHBOARD.read_text())


def panel_queries() -> Iterator[Query]:
    """Yield the expressions of the dashboard's panels."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            yield Query(place=panel["title"], text=target["expr"], legend=target["legendFormat"])
