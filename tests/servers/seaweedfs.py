"""SeaweedFS as the S3 store: master, volumes, filer and S3 in one process, one key pair."""

from __future__ import annotations

import json
import signal
import sysconfig
from pathlib import Path

import httpx

from tests.servers.process import ServerProcess, accepts, free_port, open_to_server, readable_copy

ACCESS_KEY = "store-access"
SECRET_KEY = "store-secret-key"


class SeaweedFS:
    def __init__(self, folder: Path) -> None:
        open_to_server(folder)
        program = readable_copy(Path(sysconfig.get_path("scripts")) / "weed", folder)
        data = open_to_server(folder / "data")
        identities = folder / "identities.json"
        keys = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identities.write_text(
            json.dumps({"identities": [{"name": "store", "credentials": keys, "actions": actions}]})
        )
        identities.chmod(0o644)
        # Ports of our own for gRPC too: the default is the port + 10000, which may not exist.
        services = {
            name: (free_port(), free_port()) for name in ("master", "volume", "filer", "s3")
        }
        self.port, _ = services["s3"]
        ports: list[str] = []
        sockets: list[Path] = []
        for name, (port, grpc) in services.items():
            ports += [f"-{name}.port={port}", f"-{name}.port.grpc={grpc}"]
            sockets += [
                Path(f"/tmp/seaweedfs-{name}-{port}.sock"),
                Path(f"/tmp/seaweedfs-{name}-grpc-{grpc}.sock"),
            ]
        self.process = ServerProcess(
            "weed",
            [
                *(program, "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
                *("-s3", f"-s3.config={identities}", "-master.volumeSizeLimitMB=64"),
                # They listen on fixed ports, which the next server would find taken.
                *("-s3.port.iceberg=0", "-s3.port.lance=0"),
                # A bucket takes seven volumes at a time; they are files that grow.
                *("-volume.max=2000", "-volume.preStopSeconds=0"),
                *("-master.telemetry=false", *ports),
            ],
            folder,
            is_ready=self._answers,
            # Asked to end, it takes its time for nothing that a test needs.
            stop_signal=signal.SIGKILL,
            leaves=sockets,
        )

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _answers(self) -> bool:
        if not accepts(self.port):
            return False
        try:
            # Unsigned: a refusal says that it is up, a 5xx that the filer is not yet.
            return httpx.get(self.endpoint, timeout=2).status_code < 500
        except httpx.HTTPError:
            return False
