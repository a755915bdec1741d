"""packaging/Dockerfile without an engine: what it copies, installs and runs as.

Its steps that make the program's environment are run as they stand, in another folder.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mediaconvert import SOURCE_URL
from mediaconvert.config import fields
from tests.program import ROOT, clean_environment

FILE = ROOT / "packaging/Dockerfile"
INSTALLED = "/opt/mediaconvert"


def instructions() -> list[tuple[str, str]]:
    """Dockerfile reference: a line each, `\\` continues, `#` at a line's start is a comment."""
    lines = [line for line in FILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    found = [line.partition(" ") for line in whole.splitlines() if line.strip()]
    return [(word, rest.strip()) for word, _, rest in found]


def of(word: str) -> list[str]:
    return [rest for found, rest in instructions() if found == word]


def copied() -> list[str]:
    """What comes from the build's context."""
    sources = [copy.split()[:-1] for copy in of("COPY") if not copy.startswith("--from=")]
    return [name for names in sources for name in names]


def test_everything_that_is_copied_exists_and_reaches_the_builder() -> None:
    ignore = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert ignore[0] == "*", "what is not named must not reach the builder"
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    for name in copied():
        assert (ROOT / name).exists(), name
        assert name in allowed, f"{name} is kept from the builder by .dockerignore"
    assert allowed == set(copied())
    secret = [".env", "data", ".git", "credentials.json"]
    assert not [n for n in secret if any(fnmatch.fnmatch(n, pattern) for pattern in allowed)]


def test_every_requirement_of_the_image_is_pinned_by_its_hash() -> None:
    install = next(run for run in of("RUN") if "--requirement" in run)
    assert "--require-hashes" in install
    assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host", FILE.read_text())
    text = re.sub(r"^#.*\n", "", (ROOT / "packaging/requirements.txt").read_text(), flags=re.M)
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert len(blocks) > 20
    for block in blocks:
        assert re.match(r"[A-Za-z0-9._-]+==\S+", block), block[:80]
        assert "--hash=sha256:" in block, block[:80]


def test_it_runs_as_a_user_of_its_own_and_keeps_data_in_a_volume() -> None:
    environment = dict(re.findall(r"(\w+)=(\S+)", of("ENV")[-1]))
    folder = environment["MEDIACONVERT_DATA_DIR"]
    assert of("USER") == ["10001:10001"]
    assert of("VOLUME") == of("WORKDIR")[-1:] == [folder]
    assert any(f"--owner=10001 --group=10001 --mode=0700 {folder}" in run for run in of("RUN"))
    assert json.loads(of("ENTRYPOINT")[0]) == ["mediaconvert"]
    assert json.loads(of("CMD")[0]) == ["serve"]
    known = {f.variable for f in fields()} | {f.metadata["alias"] for f in fields()}
    assert {name for name in environment if name.startswith("MEDIACONVERT_")} <= known


def test_its_health_check_asks_only_whether_the_process_lives() -> None:
    command = json.loads(of("HEALTHCHECK")[0].partition("CMD ")[2])
    assert command == ["mediaconvert", "health"]


def test_its_labels_say_the_licence_and_where_the_source_is() -> None:
    labels = of("LABEL")[0]
    assert 'org.opencontainers.image.licenses="AGPL-3.0-only"' in labels
    assert f'org.opencontainers.image.source="{SOURCE_URL}"' in labels


def test_both_stages_stand_on_one_pinned_image() -> None:
    """The environment's interpreter is a link into the base image."""
    assert [line.split()[0] for line in of("FROM")] == ["python:${PYTHON}"] * 2
    (default,) = of("ARG")
    assert re.fullmatch(r"PYTHON=3\.\d+\.\d+-slim-\w+", default)


@pytest.mark.slow
def test_the_environment_that_it_builds_holds_the_whole_program(tmp_path: Path) -> None:
    """Downloads what `make setup` does, once more."""
    installed, context, bin_ = tmp_path / "opt", tmp_path / "src", tmp_path / "bin"
    for name in copied():
        target = context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, target)
    # `python` and `pip` as the base image has them.
    bin_.mkdir()
    (bin_ / "python").symlink_to(Path(sys.executable).resolve())
    (bin_ / "pip").write_text(f'#!/bin/sh\nexec {sys.executable} -m pip "$@"\n')
    (bin_ / "pip").chmod(0o755)
    steps = [run.replace(INSTALLED, str(installed)) for run in of("RUN") if INSTALLED in run]
    assert len(steps) == 2
    for step in steps:
        done = subprocess.run(
            ["sh", "-c", step],
            cwd=context,
            env=clean_environment(PATH=f"{bin_}:/usr/bin:/bin"),
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    names = {p.name for p in installed.glob("lib/python3.*/site-packages/*")}
    assert {"mediaconvert", "asyncpg", "pyvips"} <= names
    assert not names & {"pip", "setuptools", "pytest"}
    doctor = subprocess.run(
        [installed / "bin/mediaconvert", "doctor"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    for tool in ("ffmpeg", "ffprobe", "libvips", "pdfium", "bubblewrap"):
        assert re.search(rf"^(ok|warn) +{tool} ", doctor.stdout, re.MULTILINE), doctor.stdout
