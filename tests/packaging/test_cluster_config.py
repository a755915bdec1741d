"""config/cluster.yaml and the `.env` of docker-compose.yml: what an operator begins with."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mediaconvert.config import fields, load
from mediaconvert.keys import Secret, jwt_key, master_key
from tests.packaging.compose import NODES, services, with_variables
from tests.program import ROOT, clean_environment

FILE = ROOT / "config/cluster.yaml"
# What makes a node one of many; the rest of the settings have defaults that do.
OF_A_CLUSTER = re.compile(
    r"database\.|redis\.|storage\.s3_|storage\.(directory|garbage)|analytics\.clickhouse"
    r"|auth\.(jwt_secret|master_key)|server\.(host|port|role|data_dir)$|workers\.(slots|lease|renew)"
    r"|tools\.sandbox"
)
ALIASES = {f.name: f.metadata["alias"] for f in fields() if f.metadata["alias"]}


def uncommented() -> str:
    """With the settings that stand there as comments, `#key: value`, put in."""
    return re.sub(r"^(\s+)#(\w+:)", r"\1\2", FILE.read_text(), flags=re.MULTILINE)


def settings_in(text: str) -> set[str]:
    document = yaml.safe_load(text)
    return {f"{section}.{key}" for section, content in document.items() for key in content}


def test_every_key_in_it_is_a_setting_also_those_that_are_commented_out() -> None:
    known = {f.name for f in fields()}
    assert settings_in(uncommented()) <= known
    assert len(settings_in(uncommented())) > len(settings_in(FILE.read_text())) > 10


def test_it_says_something_of_every_setting_that_makes_a_node_one_of_many() -> None:
    wanted = {f.name for f in fields() if OF_A_CLUSTER.match(f.name)}
    assert wanted - settings_in(uncommented()) == set()
    for name in wanted & set(ALIASES):
        if name not in ("server.port", "server.data_dir"):
            assert ALIASES[name] in FILE.read_text(), f"{ALIASES[name]} is not mentioned"


def test_every_setting_in_it_is_explained_above() -> None:
    lines = FILE.read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"  \w+:", line) and line.strip() != "format: json":
            above = lines[number - 1].strip()
            assert above.startswith("# ") or re.match(r"#?\w+:", above), line


def test_no_secret_stands_in_it() -> None:
    settings = load(environment={}, flags={}, config_file=FILE, folder=Path("/nowhere")).settings
    for f in fields():
        if f.metadata["secret"]:
            value = str(getattr(getattr(settings, f.section), f.key))
            assert not re.search(r"//[^/@]*:[^/@]*@", value), f.name
            assert value == "" or "://" in value, f.name


def test_config_show_takes_the_file_and_lets_the_variables_win(tmp_path: Path) -> None:
    environment = {
        "DATABASE_URL": "postgresql://node:hidden@db/mediaconvert",
        "REDIS_URL": "redis://:hidden@hints:6379",
        "S3_ACCESS_KEY": "an-access-key",
        "S3_SECRET_KEY": "hidden",
        "CLICKHOUSE_DSN": "http://node:hidden@reports:8123/mediaconvert",
    }
    done = subprocess.run(
        [sys.executable, "-m", "mediaconvert.cli.main", "config", "show", "--config", str(FILE)],
        cwd=tmp_path,
        env=clean_environment(PYTHONPATH=str(ROOT), **environment),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "hidden" not in done.stdout
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert lines["database.url"].endswith("(DATABASE_URL)")
    assert lines["storage.s3_bucket"].endswith(f"({FILE})")
    assert "required" in lines["tools.sandbox"]


# --- .env ------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "packaging").mkdir()
    shutil.copy(ROOT / "packaging/make-env.sh", tmp_path / "packaging")
    return tmp_path


def make_env(checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "packaging/make-env.sh"], cwd=checkout, capture_output=True, text=True, check=False
    )


def variables(checkout: Path) -> dict[str, str]:
    lines = (checkout / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_script_makes_a_secret_env_once_and_never_touches_it_again(checkout: Path) -> None:
    done = make_env(checkout)
    assert done.returncode == 0, done.stderr
    assert (checkout / ".env").stat().st_mode & 0o777 == 0o600
    made = variables(checkout)
    again = make_env(checkout)
    assert again.returncode == 1 and "left as it is" in again.stderr
    assert variables(checkout) == made
    secrets = [value for value in made.values() if "://" not in value]
    assert len(set(secrets)) == len(secrets)
    assert not any(value in done.stdout + done.stderr for value in secrets)
    (checkout / ".env").unlink()
    make_env(checkout)
    assert not set(secrets) & set(variables(checkout).values())


def test_it_has_all_that_compose_asks_for_and_both_keys_are_fit(checkout: Path) -> None:
    make_env(checkout)
    made = variables(checkout)
    with_variables(services(), made)
    assert jwt_key(Secret(made["JWT_SECRET"], ".env"), "0.0.0.0")
    assert master_key(Secret(made["MEDIACONVERT_MASTER_KEY"], ".env"))


def test_make_run_beside_the_containers_gets_the_servers_that_their_nodes_get(
    checkout: Path,
) -> None:
    """The same settings, but for the published ports in place of the names in the network."""
    make_env(checkout)
    made = variables(checkout)
    here = load(environment={}, flags={}, folder=checkout).settings
    published = {
        "postgres:5432": "127.0.0.1:5432",
        "redis:6379": "127.0.0.1:6379",
        "s3:8333": "127.0.0.1:9000",
        "clickhouse:8123": "127.0.0.1:8123",
    }
    for name in NODES:
        told = with_variables(services()[name]["environment"], made)
        for inside, outside in published.items():
            told = {k: v.replace(inside, outside) for k, v in told.items()}
        there = load(environment=told, flags={}, folder=Path("/nowhere")).settings
        for section in ("database", "redis", "storage", "auth", "analytics"):
            assert getattr(here, section) == getattr(there, section)


@pytest.mark.parametrize("target", ["docker-up", "docker-down"])
def test_without_docker_make_says_so_in_a_sentence(checkout: Path, target: str) -> None:
    shutil.copy(ROOT / "Makefile", checkout)
    commands = checkout / "bin"
    commands.mkdir()
    for name in ("make", "sh", "grep", "python3"):
        (commands / name).symlink_to(shutil.which(name) or name)
    done = subprocess.run(
        ["make", target],
        cwd=checkout,
        env={"PATH": str(commands)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "docker compose was not found" in done.stdout
    assert not (checkout / ".env").exists()
