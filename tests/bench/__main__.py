"""`make bench`: measures the running program and prints a table; asserts nothing.

Every figure is the median of several tries on this machine, in this run; the raw numbers go
to bench.json in the folder given with --output. The service is a process of its own with its
defaults (fsync on), the client is boto3 or plain sockets on the same machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench import costs, integrity, jobs, queue, transfers
from tests.bench.measure import Figure
from tests.program import Person, run_program


@dataclass(frozen=True, slots=True)
class Bench:
    name: str
    run: Callable[[Person, Path], list[Figure]]


BENCHES = (
    Bench("transfers", transfers.run),
    Bench("integrity", integrity.run),
    Bench("small objects", transfers.run_small),
    Bench("listing", transfers.run_listing),
    Bench("jobs", jobs.run),
    Bench("cancel", jobs.run_cancel),
    Bench("photographs", jobs.run_photographs),
)


CLUSTER_BENCHES: Mapping[str, Callable[[], list[Figure]]] = {"queue": queue.run, "costs": costs.run}
"""Those that start servers and nodes of their own."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="benches to run; default all")
    parser.add_argument("--output", type=Path, default=Path(), help="folder of bench.json")
    arguments = parser.parse_args()
    rows: list[Figure] = []
    for name, run in CLUSTER_BENCHES.items():
        if not arguments.names or name in arguments.names:
            rows += _shown(run())
    for bench in BENCHES:
        if arguments.names and bench.name not in arguments.names:
            continue
        with tempfile.TemporaryDirectory() as name, run_program(Path(name)) as program:
            person = Person(program.url)
            figures = bench.run(person, Path(name))
            figures.append(
                Figure(f"{bench.name}: peak memory", "MiB", [program.resident_bytes() / 2**20])
            )
            rows += _shown(figures)
            person.close()
    arguments.output.mkdir(parents=True, exist_ok=True)
    document = {"machine": platform.platform(), "figures": [asdict(row) for row in rows]}
    (arguments.output / "bench.json").write_text(json.dumps(document, indent=2) + "\n")


def _shown(figures: list[Figure]) -> list[Figure]:
    for figure in figures:
        middle = statistics.median(figure.values)
        low, high = min(figure.values), max(figure.values)
        print(
            f"{figure.name:50} {middle:10.1f} {figure.unit:8} ({low:.1f} to {high:.1f})", flush=True
        )
    return figures


if __name__ == "__main__":
    main()
