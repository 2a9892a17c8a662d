"""The deployment's files: the compose file, the Dockerfile, the dashboard; without containers, which a test cannot count on."""

import json
import re
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices

from media_gateway.database.server.binaries import program as postgres_program
from media_gateway.server.hosts import AllowedHosts
from media_gateway.settings import Settings
from tests.acceptance.deployment import (
    DEPLOY,
    PROMETHEUS,
    ROOT,
    compose,
    dashboard,
    env_example,
    panel_queries,
    variables,
)
from tests.postgres import TestServer

pytestmark = pytest.mark.full

SECRETS = {
    "POSTGRES_PASSWORD": "a",
    "POSTGRES_APP_PASSWORD": "b",
    "POSTGRES_MONITOR_PASSWORD": "c",
    "GRAFANA_PASSWORD": "d",
}
LASTING = ["ruvector-postgres", "media-gateway", "prometheus", "grafana"]
PROJECT = compose(SECRETS)
SERVICES: dict[str, dict[str, Any]] = PROJECT["services"]


def _faults(project: dict[str, Any]) -> list[str]:
    """Return what the Compose specification finds wrong."""
    # `make test` collects this file without the packages of `make test-full`.
    from jsonschema import Draft202012Validator  # noqa: PLC0415

    text = resources.files("check_jsonschema").joinpath("builtin_schemas", "vendor", "compose-spec.json").read_text()
    return [error.message for error in Draft202012Validator(json.loads(text)).iter_errors(project)]


def test_the_compose_file_obeys_the_compose_specification() -> None:
    assert _faults(PROJECT) == []


def test_the_schema_would_notice_a_wrong_compose_file() -> None:
    (fault,) = _faults({**PROJECT, "services": {"x": {"image": "x", "heathcheck": {}}}})
    assert "heathcheck" in fault


def test_it_has_the_promised_names() -> None:
    assert SERVICES["ruvector-postgres"]["container_name"] == "media-gateway-vectors"
    assert set(SERVICES) == {*LASTING, "prepare", "owner"}


@pytest.mark.parametrize("missing", SECRETS)
def test_nothing_starts_without_its_password(missing: str) -> None:
    with pytest.raises(KeyError):
        compose({name: value for name, value in SECRETS.items() if name != missing})


def test_no_secret_has_a_default() -> None:
    secret = [one for one in variables() if re.search(r"PASSWORD|SECRET|KEY|TOKEN", one.name)]
    assert {one.name for one in secret} == set(SECRETS)
    assert {one.default for one in secret} == {None}
    assert {env_example()[name] for name in SECRETS} == {""}


def test_the_example_names_every_variable_with_its_default() -> None:
    asked: dict[str, set[str]] = {}
    for one in variables():
        asked.setdefault(one.name, set()).add(one.default or "")
    assert {name: {value} for name, value in env_example().items()} == asked


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].rpartition(":")
    assert image
    assert re.fullmatch(r"v?\d+\.\d+\.\d+[\w.-]*", tag), tag


def test_the_pinned_versions_fit_one_another() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert SERVICES["media-gateway"]["image"] == f"media-gateway:{version}"
    found = re.fullmatch(r"pgvector/pgvector:(\d+)\.(\d+)\.(\d+)-pg(\d+)-\w+", SERVICES["ruvector-postgres"]["image"])
    assert found is not None
    # Older ones can corrupt an index.
    assert tuple(map(int, found.groups()[:3])) >= (0, 8, 4)
    environment = SERVICES["ruvector-postgres"]["environment"]
    (volume,) = SERVICES["ruvector-postgres"]["volumes"]
    # Images from 18 on keep data below this folder, each release in its own.
    assert volume == "postgres-data:/var/lib/postgresql"
    assert environment["PGDATA"] == f"/var/lib/postgresql/{found[4]}/docker"


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_open_beyond_this_machine_and_nothing_has_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    for port in service.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)
    assert not {"privileged", "network_mode", "pid", "ipc", "devices"} & set(service)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert set(service.get("cap_add", [])) <= {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["logging"]["options"]["max-size"]
    for volume in service.get("volumes", []):
        source, _, _ = volume.partition(":")
        assert "docker.sock" not in volume
        if source.startswith("."):
            assert (ROOT / source).exists()
            assert volume.endswith(":ro")
        else:
            assert source in PROJECT["volumes"]
    assert set(service["networks"]) <= set(PROJECT["networks"])


@pytest.mark.parametrize("name", LASTING)
def test_what_lasts_is_watched_and_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    # That of the service is in its image.
    assert "healthcheck" in service or name == "media-gateway"
    assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"])


def test_services_wait_for_what_is_there() -> None:
    for service in SERVICES.values():
        for other, needed in service.get("depends_on", {}).items():
            assert other in SERVICES
            assert needed["condition"] in {"service_healthy", "service_completed_successfully"}
    for name in ("prometheus", "grafana"):
        assert "database" not in SERVICES[name]["networks"]


def test_the_service_gets_settings_that_there_are_and_not_the_owners_password() -> None:
    names = {
        str(alias)
        for field in Settings.model_fields.values()
        if isinstance(field.validation_alias, AliasChoices)
        for alias in field.validation_alias.choices
    }
    environment = SERVICES["media-gateway"]["environment"]
    assert set(environment) - names == {"GRAFANA_PASSWORD"}
    assert environment["GRAFANA_PASSWORD"] == ""
    assert environment["POSTGRES_PASSWORD"] == SECRETS["POSTGRES_APP_PASSWORD"]
    assert environment["POSTGRES_USER"] == Settings.model_fields["app_role"].default
    assert SERVICES["prepare"]["environment"]["POSTGRES_PASSWORD"] == SECRETS["POSTGRES_PASSWORD"]


def test_prometheus_and_grafana_ask_what_runs() -> None:
    jobs = {job["job_name"]: job for job in yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]}
    ((target,),) = [config["targets"] for config in jobs["media-gateway"]["static_configs"]]
    environment = SERVICES["media-gateway"]["environment"]
    assert target == f"media-gateway:{environment['RUVECTOR_HTTP_PORT']}"
    assert target in AllowedHosts(environment["RUVECTOR_HTTP_ALLOWED_HOSTS"], host=environment["RUVECTOR_HTTP_HOST"])
    folder, _, _ = jobs["media-gateway"]["authorization"]["credentials_file"].rpartition("/")
    assert f"scrape-key:{folder}:ro" in SERVICES["prometheus"]["volumes"]
    assert f"scrape-key:{folder}" in SERVICES["prepare"]["volumes"]
    provisioned = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioned / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = yaml.safe_load((provisioned / "dashboards" / "media-gateway.yml").read_text())["providers"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (DEPLOY / "grafana" / "dashboards" / Path(home).name).exists()


def test_postgres_takes_its_settings(postgres: TestServer) -> None:
    program, *options = SERVICES["ruvector-postgres"]["command"]
    assert program == "postgres"
    data = postgres.embedded.status().folder / "pgdata"
    command = [postgres_program("postgres"), "-C", "maintenance_work_mem", "-D", data, *options]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr


def test_a_parallel_build_of_the_index_has_its_room() -> None:
    service = SERVICES["ruvector-postgres"]
    given = dict(option.split("=") for option in service["command"] if "=" in option)
    build = _bytes(given["maintenance_work_mem"])
    assert build <= _bytes(service["shm_size"])
    assert build + _bytes(given["shared_buffers"]) <= _bytes(service["deploy"]["resources"]["limits"]["memory"])


def _bytes(size: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([a-zA-Z]+)", size).groups()  # pyright: ignore[reportOptionalMemberAccess]
    return int(number) * {"m": 2**20, "g": 2**30}[unit[0].lower()]


def test_the_dockerfile_pleases_its_linter() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [linter, "--failure-threshold", "style", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_image_runs_as_nobody_and_tells_its_health() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "USER 10001:10001" in lines
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    (image,) = re.findall(r"^ARG PYTHON_IMAGE=(.+)$", "\n".join(lines), re.MULTILINE)
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", image)
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for line in lines if re.match(r"COPY (?!--from)", line) for name in line.split()[1:-1]}
    assert copied <= kept
    assert all((ROOT / name).exists() for name in copied)


def test_the_dashboard_is_whole() -> None:
    board = dashboard()
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {one["name"] for one in board["templating"]["list"]} == {"datasource", "instance"}
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
    shown = {name for query in panel_queries() for name in query.metrics | query.recorded}
    for topic in (
        "recall",
        "short",
        "pool",
        "relation_size",
        "index_scans",
        "guard",
        "transfer",
        "embedding",
        "disk",
        "backup",
    ):
        assert any(topic in name for name in shown), topic


def test_panels_do_not_lie_over_one_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
