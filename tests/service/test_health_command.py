"""`mediaconvert health`, as health checks of containers call it."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

from tests.program import ROOT, clean_environment, run_program, wait_until
from tests.servers.process import free_port


def ask(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mediaconvert.cli.main", "health", *arguments],
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT), **environment),
        capture_output=True,
        text=True,
        timeout=120,
    )


def ask_until(
    says: str, folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The first answer that begins so: what a dependency does not answer within its two seconds
    counts as lost, also where the machine paused."""
    answers: list[subprocess.CompletedProcess[str]] = []

    def is_said() -> bool:
        answers.append(ask(folder, *arguments, **environment))
        return answers[-1].stdout.startswith(says + "\n")

    wait_until(is_said, f"it says {says}")
    return answers[-1]


def test_a_running_service_is_alive_and_ready_with_a_line_for_each_dependency(
    tmp_path: Path,
) -> None:
    with run_program(tmp_path) as program:
        port = program.url.rpartition(":")[2]
        alive = ask(tmp_path, "--port", port)
        assert (alive.returncode, alive.stdout) == (0, "ok\n"), alive.stderr
        # The proxy would be asked by a client that heeds the environment.
        dead = f"http://127.0.0.1:{free_port()}"
        ready = ask_until("ready", tmp_path, "--ready", PORT=port, http_proxy=dead, HTTP_PROXY=dead)
        assert ready.returncode == 0, ready.stdout + ready.stderr
        first, *rows = ready.stdout.splitlines()
        assert first == "ready"
        names = {"database", "storage", "queue", "analytics", "tools", "sandbox"}
        assert names <= {row.split()[1] for row in rows}


def test_a_worker_that_listens_everywhere_is_asked_on_this_machine(tmp_path: Path) -> None:
    with run_program(tmp_path, "--role", "worker", "--host", "0.0.0.0") as program:
        port = program.url.rpartition(":")[2]
        done = ask_until("ready", tmp_path, "--ready", "--host", "0.0.0.0", "--port", port)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_service_that_is_not_ready_is_named_with_the_reason(tmp_path: Path) -> None:
    # More free space is asked for than any disk has.
    needs = {"MEDIACONVERT_STORAGE__MIN_FREE_BYTES": str(1 << 60)}
    with run_program(tmp_path, environment=needs) as program:
        port = program.url.rpartition(":")[2]
        done = ask_until("unavailable", tmp_path, "--ready", "--port", port)
        assert done.returncode == 1
        assert any(line.startswith("FAIL  disk space") for line in done.stdout.splitlines())
        assert ask(tmp_path, "--port", port).returncode == 0


def test_where_nothing_listens_the_answer_is_one_sentence(tmp_path: Path) -> None:
    done = ask(tmp_path, "--port", str(free_port()))
    assert done.returncode == 1 and done.stdout == ""
    assert "nothing answers on 127.0.0.1:" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_service_that_is_stopped_is_told_apart_from_none(tmp_path: Path) -> None:
    # As a process that is stopped: the system accepts, and nobody answers.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = ask(tmp_path, "--port", str(listener.getsockname()[1]))
    assert done.returncode == 1 and done.stdout == ""
    assert "accepts connections, but nothing has answered within" in done.stderr
    assert "is stopped or hangs" in done.stderr


def test_what_is_not_mediaconvert_is_not_taken_for_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with listener.accept()[0] as client:
                client.recv(4096)
                client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")

        other = threading.Thread(target=answer)
        other.start()
        done = ask(tmp_path, "--port", str(listener.getsockname()[1]))
        other.join()
    assert done.returncode == 1
    assert "is not MediaConvert" in done.stderr


def test_a_port_that_was_chosen_at_the_start_must_be_named(tmp_path: Path) -> None:
    done = ask(tmp_path, PORT="0")
    assert done.returncode == 1
    assert "--port" in done.stderr
