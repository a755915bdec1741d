"""Every fenced block of the README runs as pasted, in its order, against a served port."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.program import ROOT, Person, clean_environment, run_program

FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    return FENCE.findall((ROOT / "README.md").read_text())


def test_the_readme_opens_with_the_two_commands() -> None:
    language, first = blocks()[0]
    assert language == "sh"
    commands = [line.split("#")[0].strip() for line in first.splitlines()]
    assert commands == ["make demo", "make test"]


def test_every_block_runs_as_pasted(tmp_path: Path) -> None:
    script = ["set -eo pipefail"]
    for language, text in blocks()[1:]:
        if language == "bash":
            script.append(text)
        elif language == "python":
            script.append(f"{sys.executable} - <<'PYTHON'\n{text}PYTHON\n")
        else:
            assert language == "yaml", f"no way to try a block of {language}"
    with run_program(tmp_path) as program:
        walk = "\n".join(script).replace("http://localhost:8080", program.url)
        for name in ("pipelines", "tests", "mediaconvert", ".venv"):
            (tmp_path / name).symlink_to(ROOT / name)
        done = subprocess.run(
            ["bash", "-c", walk],
            cwd=tmp_path,
            env=clean_environment(
                PATH=f"{ROOT}/.venv-clients/bin:{Path(sys.executable).parent}:/usr/bin:/bin",
                AWS_CONFIG_FILE=str(tmp_path / "aws-config"),
                AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "aws-credentials"),
                PYTHONPATH=str(ROOT),
            ),
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        results = {p.name for p in (tmp_path / "results/job-1").iterdir()}
        assert results == {"video.mp4", "thumb.jpg", "manifest.json"}
        # It holds a secret.
        assert (tmp_path / "credentials.json").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "resized/resized.jpg").stat().st_size > 0


def test_the_wait_for_a_job_ends_also_when_the_job_fails(tmp_path: Path) -> None:
    (wait,) = [text for _, text in blocks() if "sleep" in text]
    with run_program(tmp_path) as program:
        person = Person(program.url)
        person.save_pipeline("video-complete")
        job_id = person.upload("film.mp4", b"no film at all", "video-complete")
        assert job_id is not None
        assert person.wait_for_job(job_id)["status"] == "failed"
        loop = wait.partition("aws s3")[0].replace("http://localhost:8080", program.url)
        done = subprocess.run(
            ["bash", "-c", loop],
            env=clean_environment(TOKEN=person.token),
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert '"failed"' in done.stdout and "error" in done.stdout


def test_every_yaml_block_is_a_pipeline_that_can_be_saved() -> None:
    from mediaconvert.pipeline import parse

    for language, text in blocks():
        if language == "yaml":
            parse(text, "yaml")


def test_the_walk_through_script_passes(tmp_path: Path) -> None:
    with run_program(tmp_path) as program:
        done = subprocess.run(
            ["bash", str(ROOT / "tests/test-api.sh")],
            env=clean_environment(
                ENDPOINT=program.url, AWS=str(ROOT / ".venv-clients/bin/aws"), PYTHON=sys.executable
            ),
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "checks passed" in done.stdout


def test_the_demo_makes_its_report(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mediaconvert.cli.main", "demo", "--output", str(tmp_path / "out")],
        cwd=tmp_path,
        env=clean_environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "h264 1280x720" in done.stdout
    report = (tmp_path / "out/report.html").read_text()
    assert report.count("data:image/jpeg;base64,") == 7
    assert (tmp_path / "out/results/video.mp4").stat().st_size > 10_000
