"""The commands besides `serve`: what they print, and what they exit with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import FILM, PHOTO, PIPELINES, ROOT, clean_environment, run_program


def mediaconvert(
    folder: Path, *arguments: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mediaconvert.cli.main", *map(str, arguments)],
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT), **environment),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_version_says_where_the_source_is(tmp_path: Path) -> None:
    said = mediaconvert(tmp_path, "--version").stdout
    assert "AGPL-3.0" in said and "https://" in said


def test_help_and_no_command_at_all_list_the_commands(tmp_path: Path) -> None:
    asked, bare = mediaconvert(tmp_path, "help"), mediaconvert(tmp_path)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert (bare.returncode, bare.stdout) == (2, "")
    assert asked.stdout == bare.stderr
    for command in ("serve", "doctor", "health", "move", "migrate", "pipeline", "config"):
        assert f"\n    {command} " in asked.stdout
    unknown = mediaconvert(tmp_path, "srve")
    assert unknown.returncode == 2 and "serve" in unknown.stderr
    for done in (asked, unknown):
        assert "image-server" not in done.stdout + done.stderr


def test_the_flags_of_health_are_those_of_who_asks(tmp_path: Path) -> None:
    said = mediaconvert(tmp_path, "health", "--help").stdout
    assert "listens on" in said and "to listen on" not in said and "free" not in said


def test_doctor_finds_every_tool_well_and_changes_nothing(tmp_path: Path) -> None:
    done = mediaconvert(tmp_path, "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    subjects = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("ok")]
    for subject in ("ffmpeg", "codecs", "ffprobe", "libvips", "pdfium", "sandbox", "disk"):
        assert subject in subjects
    assert "libx264" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_doctor_says_what_to_do_about_a_tool_that_is_not_there(tmp_path: Path) -> None:
    done = mediaconvert(tmp_path, "doctor", MEDIACONVERT_TOOLS__FFMPEG="/nowhere/ffmpeg")
    assert done.returncode == 1
    assert "FAIL  tools" in done.stdout and "/nowhere/ffmpeg" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_looked_into_is_told_by_doctor_and_by_a_move(
    tmp_path: Path,
) -> None:
    # Whoever is root may look everywhere; at a name that is too long the system refuses too.
    folder = tmp_path / ("data" * 100)
    done = mediaconvert(tmp_path, "doctor", "--data-dir", str(folder))
    assert "Traceback" not in done.stderr
    assert "ok    ffmpeg" in done.stdout
    (tmp_path / "to.yaml").write_text(f"server:\n  data_dir: {folder}\n")
    (tmp_path / "source").mkdir()
    done = mediaconvert(tmp_path, "move", "--to", "to.yaml", "--data-dir", "source")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "cannot be made: File name too long; set server.data_dir" in done.stderr


def test_migrate_finds_an_embedded_catalog_well(tmp_path: Path) -> None:
    with run_program(tmp_path):
        pass
    for _ in range(2):
        done = mediaconvert(tmp_path, "migrate")
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert [line.split(":")[0] for line in lines] == [
            "the database data/catalog.db",
            "the database data/analytics.db",
        ]
        assert all("the schema is up to date" in line for line in lines)
    refused = mediaconvert(tmp_path, "migrate", "--accept-jwt-key", JWT_SECRET="s" * 40)
    assert refused.returncode == 1
    assert "an embedded installation takes a new JWT key" in refused.stderr


def test_doctor_says_which_setting_is_wrong(tmp_path: Path) -> None:
    done = mediaconvert(tmp_path, "doctor", PORT="eighty")
    assert done.returncode == 1
    assert "'eighty' is not a whole number" in done.stdout


def test_config_show_says_where_each_value_came_from_and_masks_secrets(tmp_path: Path) -> None:
    (tmp_path / "mediaconvert.yaml").write_text("workers: {slots: 3}\n")
    secret = "s" * 40
    said = mediaconvert(tmp_path, "config", "show", "--port", "99", JWT_SECRET=secret).stdout
    lines = {line.split()[0]: line for line in said.splitlines()}
    assert "3  (mediaconvert.yaml)" in lines["workers.slots"]
    assert "99  (--port)" in lines["server.port"]
    assert "********  (JWT_SECRET)" in lines["auth.jwt_secret"]
    assert secret not in said


def test_config_show_has_the_servers_without_their_passwords(tmp_path: Path) -> None:
    servers = {
        "DATABASE_URL": "postgres://ann:hunter2@db.internal/films",
        "REDIS_URL": "cache.internal:6379",
        "CLICKHOUSE_DSN": "http://ann:hun/ter2@ch.internal/films",
    }
    done = mediaconvert(tmp_path, "config", "show", **servers)
    lines = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()}
    assert lines["database.url"] == "postgres://ann:********@db.internal/films"
    assert lines["redis.url"] == "cache.internal:6379"
    assert lines["analytics.clickhouse_dsn"] == "********"


def test_pipeline_check_says_every_problem_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "name: bad\n"
        "steps:\n"
        "  - operation: transcod\n"
        "    input: ${input}\n"
        "    output: ${output}/a.mp4\n"
        "  - operation: resize\n"
        "    input: ${input}\n"
        "    output: ../a.jpg\n"
        "    params: {width: -5}\n"
    )
    done = mediaconvert(tmp_path, "pipeline", "check", "bad.yaml")
    assert done.returncode == 1
    assert "bad.yaml:3: steps[0].operation:" in done.stderr
    assert "did you mean 'transcode'?" in done.stderr
    assert "bad.yaml:8: steps[1].output:" in done.stderr
    assert "bad.yaml:9: steps[1].params.width:" in done.stderr


@pytest.mark.parametrize("file", sorted(PIPELINES.iterdir()), ids=lambda p: p.name)
def test_every_shipped_pipeline_is_valid(tmp_path: Path, file: Path) -> None:
    assert mediaconvert(tmp_path, "pipeline", "check", file).returncode == 0


def test_pipeline_run_makes_the_outputs_without_a_server(tmp_path: Path) -> None:
    done = mediaconvert(
        tmp_path, "pipeline", "run", PIPELINES / "image-resize.yaml", PHOTO, "--output", "out"
    )
    assert done.returncode == 0, done.stderr
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["resized.jpg"]


def test_pipeline_run_says_why_a_file_does_not_fit_and_leaves_nothing(tmp_path: Path) -> None:
    done = mediaconvert(
        tmp_path, "pipeline", "run", PIPELINES / "pdf-extract.yaml", FILM, "--output", "out"
    )
    assert done.returncode == 1
    # Its two steps run side by side, and either may be the first to say so.
    assert "is a video (mp4, 5.3 s)" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_pipeline_schema_is_the_published_one(tmp_path: Path) -> None:
    said = mediaconvert(tmp_path, "pipeline", "schema").stdout
    assert json.loads(said) == json.loads((ROOT / "config/pipeline.schema.json").read_text())
