"""Settings: four sources, one winner, every mistake at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediaconvert.config import load
from mediaconvert.errors import ConfigError


def test_a_later_source_wins(tmp_path: Path) -> None:
    (tmp_path / "mediaconvert.yaml").write_text("server: {port: 1001, host: 10.0.0.1, role: api}\n")
    (tmp_path / ".env").write_text("MEDIACONVERT_SERVER__PORT=1002\nMEDIACONVERT_SERVER__HOST=a\n")
    environment = {"MEDIACONVERT_SERVER__PORT": "1003"}
    flags = {"server.port": "1004"}
    load_ = lambda **k: load(folder=tmp_path, **k).settings.server  # noqa: E731
    assert load_(environment=environment, flags=flags).port == 1004
    server = load_(environment=environment, flags={})
    assert (server.port, server.host, server.role) == (1003, "a", "api")


def test_our_name_wins_over_the_original_one(tmp_path: Path) -> None:
    environment = {"PORT": "1", "MEDIACONVERT_SERVER__PORT": "2"}
    assert load(environment=environment, flags={}, folder=tmp_path).settings.server.port == 2


def test_the_original_names_reach_their_settings(tmp_path: Path) -> None:
    environment = {"PORT": "81", "MEDIACONVERT_DATA_DIR": "/d", "JWT_SECRET": "s" * 40}
    settings = load(environment=environment, flags={}, folder=tmp_path).settings
    assert settings.server.port == 81
    assert settings.server.data_dir == Path("/d")
    assert settings.auth.jwt_secret == "s" * 40


def test_every_mistake_is_reported_at_once_with_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "mediaconvert.yaml").write_text("server: {prot: 1}\nworker: {slots: 2}\n")
    environment = {"MEDIACONVERT_WORKERS__SLOTS": "many", "MEDIACONVERT_S3__REGIONS": "x"}
    with pytest.raises(ConfigError) as caught:
        load(environment=environment, flags={"server.role": "wroker"}, folder=tmp_path)
    text = str(caught.value)
    assert "unknown setting 'server.prot'; did you mean 'port'?" in text
    assert "unknown section 'worker'; did you mean 'workers'?" in text
    assert "workers.slots (from MEDIACONVERT_WORKERS__SLOTS): 'many' is not a whole number" in text
    assert "unknown variable MEDIACONVERT_S3__REGIONS" in text
    assert "did you mean 'worker'?" in text


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("FOO", ""),
        ("PASSWORD", ""),
        ("SERVER__PROT", "; did you mean 'MEDIACONVERT_SERVER__PORT'?"),
        ("WORKERS_SLOTS", "; did you mean 'MEDIACONVERT_WORKERS__SLOTS'?"),
        ("S3_BUCKET", "; did you mean 'S3_BUCKET'?"),
        ("DATADIR", "; did you mean 'MEDIACONVERT_DATA_DIR'?"),
    ],
)
def test_only_a_variable_that_is_near_is_suggested(
    tmp_path: Path, variable: str, said: str
) -> None:
    name = f"MEDIACONVERT_{variable}"
    with pytest.raises(ConfigError) as caught:
        load(environment={name: "1"}, flags={}, folder=tmp_path)
    assert str(caught.value) == f"unknown variable {name}{said}"


def test_a_wrong_secret_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "mediaconvert.yaml").write_text("auth: {jwt_secret: [hunter2]}\n")
    with pytest.raises(ConfigError) as caught:
        load(environment={}, flags={}, folder=tmp_path)
    assert "hunter2" not in str(caught.value)


def test_a_missing_configuration_file_is_an_error_only_when_it_was_named(tmp_path: Path) -> None:
    load(environment={}, flags={}, folder=tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        load(environment={}, flags={}, folder=tmp_path, config_file=tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("line", "value"),
    [("PORT=91", 91), ("export PORT=92 # why", 92), ("PORT='93'", 93), ('PORT="94"', 94)],
)
def test_dotenv_lines_are_understood(tmp_path: Path, line: str, value: int) -> None:
    (tmp_path / ".env").write_text(f"# a comment\n\n{line}\n")
    assert load(environment={}, flags={}, folder=tmp_path).settings.server.port == value


@pytest.mark.parametrize("port", ["-1", "65536", "nan", "8080.5", "", " "])
def test_a_port_out_of_range_is_refused_and_an_empty_one_is_unset(
    tmp_path: Path, port: str
) -> None:
    environment = {"PORT": port}
    if port == "":
        assert load(environment=environment, flags={}, folder=tmp_path).settings.server.port == 8080
    else:
        with pytest.raises(ConfigError):
            load(environment=environment, flags={}, folder=tmp_path)
