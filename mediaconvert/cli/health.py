"""`mediaconvert health`: asks the process that serves here whether it is alive, or ready.

For health checks of containers, which have no curl, and for people. Finds the port in the same
settings as `serve`, and talks to this machine only, whatever proxy the environment names.
"""

from __future__ import annotations

import argparse
import http.client
import json
from typing import Any

from mediaconvert.cli.options import load_configuration
from mediaconvert.errors import ConfigError, StartupError
from mediaconvert.settings import ServerSettings

# A process's first /ready runs every tool once, which has its own deadline of 10 s.
_ANSWER_SECONDS = 15.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_MARKS = {"ok": "ok  ", "degraded": "warn"}


def run(arguments: argparse.Namespace) -> int:
    """0 when the process is alive (with `--ready`: ready), else 1."""
    server = load_configuration(arguments).settings.server
    status, answer = _ask(server, "/ready" if arguments.ready else "/health")
    print(answer["status"])
    for row in answer.get("checks", []):
        mark = _MARKS.get(row["status"], "FAIL")
        version, detail = row.get("version") or "", row.get("detail") or ""
        finding = f"{version}  {detail}" if version and detail else version or detail
        print(f"{mark}  {row['name']:14} {row['latency_ms']:8.1f} ms  {finding}".rstrip())
    return 0 if status == 200 else 1


def _ask(server: ServerSettings, path: str) -> tuple[int, dict[str, Any]]:
    host = _EVERYWHERE.get(server.host, server.host)
    if server.port == 0:
        raise ConfigError("server.port is 0, any free port; name the one that was taken by --port")
    place = f"{host}:{server.port}"
    connection = http.client.HTTPConnection(host, server.port, timeout=_ANSWER_SECONDS)
    is_connected = False
    try:
        connection.connect()
        is_connected = True
        connection.request("GET", path)
        response = connection.getresponse()
        answer = json.loads(response.read(1 << 20))
        if not isinstance(answer, dict) or "status" not in answer:
            raise ValueError
        return response.status, answer
    except (http.client.HTTPException, ValueError):
        raise StartupError(f"what answers on {place} is not MediaConvert") from None
    except OSError as error:
        if is_connected and isinstance(error, TimeoutError):
            raise StartupError(
                f"{place} accepts connections, but nothing has answered within "
                f"{_ANSWER_SECONDS:g} s: what listens there is stopped or hangs; look at its log, "
                "and start it again"
            ) from None
        raise StartupError(
            f"nothing answers on {place}: {error.strerror or error}; is `mediaconvert serve` "
            "running with these settings?"
        ) from None
    finally:
        connection.close()
