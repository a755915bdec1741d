"""`python -m tests.cluster`: PostgreSQL, Redis, an S3 store, ClickHouse, and nodes of ours, as
plain processes on this machine, for trying things by hand. Ctrl-C ends all of it."""

from __future__ import annotations

import argparse
import signal
import tempfile
import threading
from pathlib import Path

from tests.cluster.topology import open_cluster, open_servers


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--apis", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with tempfile.TemporaryDirectory(prefix="mediaconvert-cluster-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # some servers run as another user
        with (
            open_servers(folder) as servers,
            open_cluster(
                folder, servers, apis=arguments.apis, workers=arguments.workers
            ) as cluster,
        ):
            for node in cluster.nodes:
                print(f"{node.name:10} {node.url}   pid {node.pid}")
            for variable, value in cluster.direct_addresses().items():
                print(f"{variable}={value}")
            print("Ctrl-C ends it", flush=True)
            stop.wait()


if __name__ == "__main__":
    main()
