"""Signed requests over raw sockets: what no client sends, signed by botocore's own signer."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.serving import Person, Served


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The `<Code>` of an error document."""
        found = re.search(rb"<Code>(\w+)</Code>", self.body)
        return found[1].decode() if found else ""


class Signer:
    """Signs and sends requests as one person."""

    def __init__(self, served: Served, person: Person) -> None:
        self.served = served
        self.person = person

    def head(
        self,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        *,
        payload: str = "UNSIGNED-PAYLOAD",
    ) -> bytes:
        """The bytes of a request's line and headers. `target` is sent as it is."""
        host = (headers or {}).get("Host", f"{self.served.host}:{self.served.port}")
        url = f"http://{host}{target}"
        request = AWSRequest(method=method, url=url, headers=dict(headers or {}))
        request.headers["x-amz-content-sha256"] = payload
        # What signs is told the payload's name by this context.
        request.context["payload_signing_enabled"] = True
        credentials = Credentials(self.person.access_key, self.person.secret_key)
        _Auth(credentials, "s3", "us-east-1", payload).add_auth(request)
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
        lines += [f"{n}: {v}" for n, v in request.headers.items() if n != "Host"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def send(
        self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """One request on a connection of its own."""
        given = dict(headers or {})
        if body and "Content-Length" not in given:
            given["Content-Length"] = str(len(body))
        with self.served.connect() as connection:
            connection.sendall(self.head(method, target, given) + body)
            return read_answer(connection, method)

    def error(
        self, method: str, target: str, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        answer = self.send(method, target, headers)
        return answer.status, answer.code


class _Auth(S3SigV4Auth):
    """botocore's signer with a payload of our choice."""

    def __init__(self, credentials: Credentials, service: str, region: str, payload: str) -> None:
        super().__init__(credentials, service, region)
        self._payload = payload

    def payload(self, request: AWSRequest) -> str:
        return self._payload


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """The next answer on the connection."""
    # Unbuffered: what follows the answer stays in the connection.
    with connection.makefile("rb", buffering=0) as stream:
        status = int(stream.readline().split()[1])
        headers = {}
        while (line := stream.readline().strip()) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        has_body = method != "HEAD" and status >= 200 and status not in (204, 304)
        body = b""
        while has_body and len(body) < int(headers.get("content-length", 0)):
            body += stream.read(int(headers["content-length"]) - len(body)) or b""
    return Answer(status, headers, body)
