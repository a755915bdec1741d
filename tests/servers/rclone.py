"""rclone's `serve s3` on a folder, as a second S3 store that is written by others.

Differences that tests meet: a bucket is a folder, and the parts of an upload are held in memory
until they are joined.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.servers.process import ServerProcess, accepts, free_port, open_to_server, readable_copy

ACCESS_KEY = "rclone-access"
SECRET_KEY = "rclone-secret-key"
_CLIENTS = Path(__file__).resolve().parents[2] / ".venv-clients/bin/rclone"


class Rclone:
    def __init__(self, folder: Path, *, certificate: Path | None = None) -> None:
        """`certificate` is a PEM file that holds its key as well; with one, it speaks TLS."""
        open_to_server(folder)
        found = _CLIENTS if _CLIENTS.exists() else shutil.which("rclone")
        assert found is not None, "rclone is missing; `make test` installs it into .venv-clients"
        program = readable_copy(Path(os.path.realpath(found)), folder)
        self.data = open_to_server(folder / "data")
        self.port = free_port()
        self._scheme = "https" if certificate else "http"
        tls = [f"--cert={certificate}", f"--key={certificate}"] if certificate else []
        self.process = ServerProcess(
            "rclone",
            [
                *(program, "serve", "s3", self.data, f"--addr=127.0.0.1:{self.port}"),
                f"--auth-key={ACCESS_KEY},{SECRET_KEY}",
                # Its own files: it would make them in the home folder, which `nobody` lacks.
                *(f"--config={folder / 'rclone.conf'}", f"--cache-dir={folder / 'cache'}"),
                *tls,
            ],
            folder,
            is_ready=self._answers,
        )

    @property
    def endpoint(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def _answers(self) -> bool:
        # It listens only once it can answer.
        return accepts(self.port)
