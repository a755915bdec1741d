"""A server program as a child process: started, waited for, suspended, killed, started again.

Its port and its folder outlive a restart. As root the program runs under an unprivileged user,
from a copy of its files that this user can read.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

NOBODY = 65534
START_SECONDS = 240.0
STOP_SECONDS = 60.0
"""Patience: a machine may be many times slower than one on which both take a second."""


_LOWEST_PORT = 12_000
_given_ports: set[int] = set()


def free_port() -> int:
    """One on which nobody listens, for a server that is started later, stopped and started
    again, or for none at all. Never one that the system gives to whoever asks for any port,
    nor one that was given here before: somebody else would have it by then."""
    ports = range(_LOWEST_PORT, _first_port_of_the_system())
    while True:
        port = random.choice(ports)
        if port not in _given_ports and _is_free(port):
            _given_ports.add(port)
            return port


def _first_port_of_the_system() -> int:
    text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    first = int(text.split()[0])
    # Where the system keeps nearly all ports for itself, chance must do.
    return first if first > _LOWEST_PORT + 1000 else 60_000


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def accepts(port: int) -> bool:
    """Whether anything listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def readable_copy(program: Path, folder: Path) -> Path:
    """The program's folder or file where an unprivileged user can run it: itself, unless this
    is root, whose environment may lie where nobody else can look."""
    if os.geteuid() != 0:
        return program
    target = folder / "program" / program.name
    if not target.exists():
        target.parent.mkdir(mode=0o755, exist_ok=True)
        if program.is_dir():
            shutil.copytree(program, target, symlinks=True)
        else:
            shutil.copy2(program, target)
    return target


def open_to_server(folder: Path) -> Path:
    """A folder that the server's user owns. Its parents must let others through."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    return folder


def run_once(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None
) -> None:
    """A program that ends by itself, as the server's user."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=_environment(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
        **_identity(),
    )
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}\n{done.stderr}"


class ServerProcess:
    """One server. `is_ready` is asked until it holds; `drops_root` is for programs that refuse to
    run as root."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        folder: Path,
        *,
        is_ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        drops_root: bool = True,
        leaves: Sequence[Path] = (),
    ) -> None:
        """`leaves`: files outside of its folder that a killed one leaves behind."""
        self.name = name
        self.folder = folder
        self._command = [str(part) for part in command]
        self._is_ready = is_ready
        self._environment = environment
        self._stop_signal = stop_signal
        self._identity = _identity() if drops_root else {}
        self._leaves = leaves
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    def start(self) -> None:
        """Returns when the server answers."""
        assert self._process is None, f"{self.name} is running already"
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env=_environment(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._identity,
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            # Nobody stops what was never there.
            self.kill()
            raise

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        pause = threading.Event()
        while not self._is_ready():
            assert process.poll() is None, f"{self.name} ended:\n{self.log()}"
            assert time.monotonic() < deadline, f"{self.name} never answered:\n{self.log()}"
            pause.wait(0.05)

    def log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        """Asked to end; killed where it does not."""
        self._end(self._stop_signal)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def suspend(self) -> None:
        """Connections stay open, nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        family = self._family()
        try:
            # A suspended one would hear nothing.
            self._signal_all(signal.SIGCONT)
            self._process = None
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            _end_orphans(family[1:])
            for file in self._leaves:
                file.unlink(missing_ok=True)

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _family(self) -> list[int]:
        """The server first. Children may lead process groups of their own (PostgreSQL's do)."""
        family = [self.pid]
        for pid in family:
            with contextlib.suppress(OSError):
                family += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return family


def _end_orphans(pids: Sequence[int]) -> None:
    """What a killed server leaves notices it soon; the next start must not find it alive."""
    deadline = time.monotonic() + STOP_SECONDS
    pause = threading.Event()
    while any(map(_is_alive, pids)):
        assert time.monotonic() < deadline, f"processes of a stopped server live on: {pids}"
        pause.wait(0.02)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _identity() -> dict[str, int | list[int]]:
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **(more or {})}
