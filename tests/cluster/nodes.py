"""One node of a cluster: a process of ours with a folder, a port and a network of its own.

Every server is reached through a proxy that belongs to the node alone, so that one node can be
cut off while the others go on. It may be killed, suspended and started again; its port stays.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.program import Json, Program, command_line
from tests.servers.process import free_port
from tests.servers.proxy import Proxy

SHIFTED_CLOCK = Path(__file__).with_name("shifted_clock.py")


class Node:
    """Made by `topology.Cluster`; `start` runs it."""

    def __init__(
        self,
        name: str,
        role: str,
        folder: Path,
        environment: Mapping[str, str],
        proxies: Mapping[str, Proxy],
        *,
        clock_shift_seconds: float = 0.0,
    ) -> None:
        """`proxies` by the name of what lies behind: postgres, redis, store, clickhouse."""
        folder.mkdir(exist_ok=True)
        self.name = name
        self.role = role
        self.folder = folder
        self.environment = dict(environment)
        self.proxies = dict(proxies)
        self.port = free_port()
        self.program: Program | None = None
        self._clock_shift_seconds = clock_shift_seconds
        self._former: list[Program] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self.running.process.pid

    @property
    def running(self) -> Program:
        assert self.program is not None, f"{self.name} does not run"
        return self.program

    @property
    def worker_id(self) -> str:
        """By which the catalog knows it since its last start."""
        return str(self.running.wait_for_log("working")["worker"])

    def encoders(self) -> set[int]:
        """Its ffmpegs that work on a job."""
        return {pid for pid in self.running.children() if "-progress" in command_line(pid)}

    def start(self) -> None:
        """Returns when it is ready."""
        assert self.program is None, f"{self.name} runs already"
        shift = self._clock_shift_seconds
        self.program = Program(
            self.folder,
            self.environment,
            ["--role", self.role, "--port", str(self.port)],
            (sys.executable, str(SHIFTED_CLOCK), str(shift)) if shift else (),
        )

    def kill(self) -> None:
        """kill -9."""
        self.running.kill()
        self._note_end()

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        # What a test waited for in vain may be among its last words.
        self.proxies["postgres"].await_nothing()
        self.resume()
        status = self.running.terminate()
        self._note_end()
        return status

    def suspend(self, *, whole: bool = False) -> None:
        """SIGSTOP: to the service's own process, while its tools work on, or to all of them, as
        when a virtual machine stands still."""
        self._signal(signal.SIGSTOP, with_children=whole)

    def suspend_at(self, words: bytes, *, count: int = 1) -> threading.Event:
        """SIGSTOP to the service's own process as soon as it has sent these bytes to PostgreSQL
        for so many times; the event is set then. The server still gets them."""
        is_suspended = threading.Event()

        def act() -> None:
            self.suspend()
            is_suspended.set()

        self.proxies["postgres"].when_sent(words, act, count=count)
        return is_suspended

    def resume(self) -> None:
        self._signal(signal.SIGCONT, with_children=True)

    def cut_off(self, *names: str) -> None:
        """Nothing gets through to these servers (all of them unless named), without a word."""
        for name in names or tuple(self.proxies):
            self.proxies[name].silence()

    def join(self) -> None:
        """The network is whole again."""
        for proxy in self.proxies.values():
            proxy.open()

    def said(self, words: str) -> list[Json]:
        """All lines of its log, since the first start, whose message has these words."""
        return [line for line in self.log() if words in line["message"]]

    def log(self) -> list[Json]:
        programs = [*self._former, *([self.program] if self.program else [])]
        return [line for program in programs for line in list(program.log)]

    def errors(self) -> list[Json]:
        """What should not stand in the log of a healthy program, whatever happens around it."""
        bad = ("error", "critical", "raw")
        return [line for line in self.log() if line["level"] in bad or "Traceback" in str(line)]

    def close(self) -> None:
        """Stop it, if it runs, in whatever state, and its network."""
        if self.program is not None:
            self.join()
            if self.program.process.poll() is None:
                self.terminate()
            else:
                self.kill()
        for proxy in self.proxies.values():
            proxy.close()

    def _signal(self, number: signal.Signals, *, with_children: bool) -> None:
        program = self.running
        pids = {program.process.pid} | (program.children() if with_children else set())
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _note_end(self) -> None:
        self._former.append(self.running)
        self.program = None
