"""ClickHouse's engine behind HTTP: the process that `clickhouse.py` starts.

A request is a statement for the engine on a handle of its own, so that settings and databases
do not leak. Answers, refusals and their status codes as the real server's HTTP interface has
them, as far as clickhouse-connect looks at them.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import re
import secrets
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import lz4.frame
from chdb import _chdb

# What the HTTP interface takes for itself; everything else in the query is a setting.
_NO_SETTINGS = frozenset(
    {
        *("query", "database", "user", "password", "query_id", "session_id", "default_format"),
        *("client_protocol_version", "wait_end_of_query", "buffer_size", "compress"),
        *("decompress", "quota_key", "role"),
    }
)
_INSERT = re.compile(rb"\s*insert\s+into\s+(?P<target>.+?)\s+format\s+(?P<format>\w+)\s*\n", re.I)
_FORMAT = re.compile(r"\bformat\s+(\w+)\s*;?\s*$", re.I)
_CODE = re.compile(r"Code: (\d+)")

# HTTPHandler::exceptionCodeToHTTPStatus, the codes that our statements can meet.
_STATUS = {
    516: 403,  # AUTHENTICATION_FAILED
    62: 400,  # SYNTAX_ERROR
    27: 400,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
    33: 400,  # CANNOT_READ_ALL_DATA
    36: 400,  # BAD_ARGUMENTS
    53: 400,  # TYPE_MISMATCH
    117: 400,  # INCORRECT_DATA
    47: 404,  # UNKNOWN_IDENTIFIER
    60: 404,  # UNKNOWN_TABLE
    81: 404,  # UNKNOWN_DATABASE
    115: 404,  # UNKNOWN_SETTING
    159: 408,  # TIMEOUT_EXCEEDED
}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # Of more than five at once, the default, the others would be asked to come a second later.
    request_queue_size = 128

    def __init__(self, port: int, data: Path, user: str, password: str) -> None:
        self.engine = str(data / "engine")
        self.inbox = data
        self.account = (user, password)
        # The engine lives as long as one handle of it is open.
        self.anchor = _chdb.connect(self.engine)
        super().__init__(("127.0.0.1", port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    # An answer of several writes would wait for the client's delayed acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if urlsplit(self.path).path in ("/ping", "/") and "query=" not in self.path:
            self._answer(200, b"Ok.\n", {})
        else:
            self._statement(b"")

    def do_POST(self) -> None:
        body = self._body()
        match self.headers.get("Content-Encoding", ""):
            case "lz4":
                body = lz4.frame.decompress(body)
            case "gzip":
                body = gzip.decompress(body)
        self._statement(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing of each request."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _statement(self, body: bytes) -> None:
        params = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        if not self._is_let_in(params):
            self._refuse("Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)")
            return
        statement = params.get("query", "").encode()
        statement = statement + b"\n" + body if statement and body else statement or body
        handle = _chdb.connect(self.server.engine)
        try:
            answer = self._run(handle, statement, params)
        except RuntimeError as error:
            self._refuse(str(error))
        else:
            self._answer(200, *answer)
        finally:
            handle.close()

    def _is_let_in(self, params: dict[str, str]) -> bool:
        user = params.get("user", self.headers.get("X-ClickHouse-User", "default"))
        password = params.get("password", self.headers.get("X-ClickHouse-Key", ""))
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            user, _, password = base64.b64decode(token).decode().partition(":")
        return (user, password) == self.server.account

    def _run(
        self, handle: Any, statement: bytes, params: dict[str, str]
    ) -> tuple[bytes, dict[str, str]]:
        if database := params.get("database"):
            handle.query("USE `" + database.replace("`", "``") + "`", "TabSeparated")
        for name, value in params.items():
            if name not in _NO_SETTINGS and not name.startswith("param_"):
                quoted = value.replace("\\", "\\\\").replace("'", "\\'")
                handle.query(f"SET {name} = '{quoted}'", "TabSeparated")
        bound = {k.removeprefix("param_"): v for k, v in params.items() if k.startswith("param_")}
        insert = _INSERT.match(statement)
        if insert is not None:
            self._insert(handle, insert, statement[insert.end() :])
            return b"", {}
        text = statement.decode()
        found = _FORMAT.search(text)
        format = found[1] if found else "TabSeparated"
        result = handle.query(text, format, params=bound).bytes()
        is_answer = re.match(r"\s*(select|with|show|describe|explain|exists)\b", text, re.I)
        return result, {"X-ClickHouse-Format": format} if is_answer else {}

    def _insert(self, handle: Any, insert: re.Match[bytes], rows: bytes) -> None:
        target, format = insert["target"].decode(), insert["format"].decode()
        with tempfile.NamedTemporaryFile(dir=self.server.inbox, suffix=".rows") as file:
            file.write(rows)
            file.flush()
            handle.query(
                f"INSERT INTO {target} FROM INFILE '{file.name}' FORMAT {format}", "TabSeparated"
            )

    def _refuse(self, message: str) -> None:
        found = _CODE.search(message)
        code = int(found[1]) if found else 1002
        body = message[found.start() if found else 0 :] + " (version 26.5.1.1)\n"
        headers = {"X-ClickHouse-Exception-Code": str(code)}
        self._answer(_STATUS.get(code, 500), body.encode(), headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        if "lz4" in self.headers.get("Accept-Encoding", "") and "enable_http_" in self.path:
            body, headers = lz4.frame.compress(body), headers | {"Content-Encoding": "lz4"}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("X-ClickHouse-Timezone", "UTC")
        self.send_header("X-ClickHouse-Query-Id", secrets.token_hex(8))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    options = parser.parse_args()
    Server(options.port, options.data, options.user, options.password).serve_forever()


if __name__ == "__main__":
    main()
