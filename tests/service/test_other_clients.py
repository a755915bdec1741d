"""s3cmd, rclone and s5cmd, unmodified, against a served port."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.program import ROOT, Person, clean_environment

CLIENTS = ROOT / ".venv-clients/bin"
MIB = 1 << 20
REFUSED = "pipeline 'none-such' does not exist"


@dataclass
class Client:
    """One program with what it needs in front of its arguments and in its environment."""

    name: str
    folder: Path
    options: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: object, fails: bool = False) -> str:
        program = CLIENTS / self.name
        assert program.exists(), f"run 'make test', which installs {self.name} into .venv-clients"
        done = subprocess.run(
            [str(program), *self.options, *map(str, arguments)],
            cwd=self.folder,
            env=clean_environment(HOME=str(self.folder), **self.environment),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def keys(person: Person) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": str(person.keys["access_key"]),
        "AWS_SECRET_ACCESS_KEY": str(person.keys["secret_key"]),
        "AWS_REGION": "us-east-1",
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def tree(tmp_path: Path) -> dict[str, bytes]:
    """Relative names and contents of what lies in `tmp_path/up`: an empty file, one that goes
    up in parts, and a name that must be escaped everywhere."""
    files = {"empty": b"", "deep/er/ü & +%41.txt": b"text\n", "large.bin": os.urandom(17 * MIB)}
    for name, content in files.items():
        path = tmp_path / "up" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return files


def files_below(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_s3cmd(
    person: Person, keys: dict[str, str], tree: dict[str, bytes], tmp_path: Path
) -> None:
    host = person.url.removeprefix("http://")
    options = ["--no-ssl", f"--host={host}", f"--host-bucket={host}", "--no-progress"]
    options += ["--region=us-east-1", "--multipart-chunk-size-mb=5", "--config=s3cfg"]
    # Copies in parts as well; there is no option for it.
    (tmp_path / "s3cfg").write_text("[default]\nmultipart_copy_chunk_size_mb = 5\n")
    s3cmd = Client("s3cmd", tmp_path, options, keys)
    there = "s3://s3cmd-was-here"
    s3cmd("mb", there)
    s3cmd("sync", "up/", f"{there}/up/")
    assert "upload" not in s3cmd("sync", "up/", f"{there}/up/")  # nothing has changed
    s3cmd("cp", f"{there}/up/large.bin", f"{there}/copy.bin")
    s3cmd("mv", f"{there}/copy.bin", f"{there}/up/moved.bin")
    assert "large.bin" in s3cmd("ls", "--recursive", there)
    assert "17825792" in s3cmd("info", f"{there}/up/moved.bin")
    s3cmd("sync", f"{there}/up/", "down/")
    assert files_below(tmp_path / "down") == {**tree, "moved.bin": tree["large.bin"]}
    for name in ("large.bin", "empty"):
        header = "--add-header=x-amz-meta-pipeline: none-such"
        assert REFUSED in s3cmd("put", header, f"up/{name}", f"{there}/refused", fails=True)
    s3cmd("del", "--recursive", "--force", there)
    s3cmd("rb", there)


def test_rclone(
    person: Person, keys: dict[str, str], tree: dict[str, bytes], tmp_path: Path
) -> None:
    remote = {"TYPE": "s3", "PROVIDER": "Other", "ENV_AUTH": "true", "ENDPOINT": person.url}
    environment = {f"RCLONE_CONFIG_MC_{name}": value for name, value in remote.items()}
    options = ["--retries=1", "--s3-upload-cutoff=5M", "--s3-chunk-size=5M", "--s3-copy-cutoff=5M"]
    rclone = Client("rclone", tmp_path, options, {**keys, **environment})
    there = "mc:rclone-was-here"
    rclone("mkdir", there)
    rclone("sync", "up", f"{there}/up")
    rclone("check", "--download", "up", f"{there}/up")
    rclone("copyto", f"{there}/up/large.bin", f"{there}/copy.bin")
    rclone("moveto", f"{there}/copy.bin", f"{there}/up/moved.bin")
    listed = rclone("lsf", "-R", "--files-only", f"{there}/up").splitlines()
    assert {*tree, "moved.bin"} <= {*listed}
    rclone("copy", f"{there}/up", "down")
    assert files_below(tmp_path / "down") == {**tree, "moved.bin": tree["large.bin"]}
    for name in ("large.bin", "empty"):
        header = "--header-upload=x-amz-meta-pipeline: none-such"
        assert REFUSED in rclone("copyto", header, f"up/{name}", f"{there}/refused", fails=True)
    rclone("purge", there)


def test_s5cmd(
    person: Person, keys: dict[str, str], tree: dict[str, bytes], tmp_path: Path
) -> None:
    s5cmd = Client("s5cmd", tmp_path, ["--endpoint-url", person.url, "--retry-count=0"], keys)
    there = "s3://s5cmd-was-here"
    s5cmd("mb", there)
    s5cmd("cp", "--part-size=5", "up/", f"{there}/up/")
    assert s5cmd("sync", "--delete", "up/", f"{there}/up/") == ""  # nothing has changed
    s5cmd("mv", f"{there}/up/large.bin", f"{there}/up/moved.bin")
    assert "moved.bin" in s5cmd("ls", f"{there}/*")
    s5cmd("cp", f"{there}/up/*", "down/")
    moved = {("moved.bin" if name == "large.bin" else name): tree[name] for name in tree}
    assert files_below(tmp_path / "down") == moved
    for name in ("large.bin", "empty"):
        refused = ["cp", "--metadata=Pipeline=none-such", f"up/{name}", f"{there}/refused"]
        assert REFUSED in s5cmd(*refused, fails=True)
    s5cmd("rm", f"{there}/*")
    s5cmd("rb", there)
