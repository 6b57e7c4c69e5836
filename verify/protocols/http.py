"""HTTP requests, and the WebSocket that one can turn into. Never through a proxy: what is asked is on this machine."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..environment import Endpoint
from ..outcome import CheckFailed
from .connection import TIMEOUT, trusting, unreachable

BODY_LIMIT = 1 << 20
"""Bytes read of an answer's body."""
_SWITCHING_PROTOCOLS = 101
_WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CLOSE, _PING, _PONG = 0x8, 0x9, 0xA
_GOODBYE = bytes([0x80 | _CLOSE, 0x80, 0, 0, 0, 0])
"""A frame that closes, with a mask of zeros, as clients must mask (§5.3)."""


class Refused(CheckFailed):
    """The server answered, and did not want the WebSocket."""


@dataclass(frozen=True)
class Response:
    """An answer."""

    status: int
    headers: http.client.HTTPMessage
    body: str

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises CheckFailed where it is none."""
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise CheckFailed("the answer is not JSON") from error
        if not isinstance(value, dict):
            raise CheckFailed("the answer is not a JSON object")
        return value


def request(
    endpoint: Endpoint,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
) -> Response:
    """One request over a connection of its own; redirects are not followed.

    Raises CheckFailed, naming the address, where there is no answer.
    """
    with _connection(endpoint) as connection:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        return Response(answer.status, answer.headers, answer.read(BODY_LIMIT).decode("utf-8", "replace"))


def receive_by_websocket(endpoint: Endpoint, path: str, count: int, headers: Mapping[str, str]) -> bytes:
    """The first `count` bytes that a server sends over a WebSocket of binary messages (RFC 6455).

    `headers`: more than the protocol asks for, such as the page's Origin that a browser names. Raises Refused where the
    server does not want the WebSocket, and CheckFailed where it closes before.
    """
    key = base64.b64encode(os.urandom(16)).decode()
    handshake = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Protocol": "binary",
        "Sec-WebSocket-Version": "13",
    }
    with _connection(endpoint) as connection:
        connection.request("GET", path, headers={**handshake, **headers})
        answer = connection.getresponse()
        if answer.status != _SWITCHING_PROTOCOLS:
            raise Refused(f"the websocket was refused: {answer.status} {answer.reason}")
        # SHA-1 is what the protocol asks for (§4.2.2); nothing depends on its strength.
        accepted = base64.b64encode(hashlib.sha1((key + _WEBSOCKET_GUID).encode()).digest()).decode()
        if answer.getheader("Sec-WebSocket-Accept") != accepted:
            raise CheckFailed("the websocket handshake's answer does not fit its key")
        payload = b""
        while len(payload) < count:
            payload += _message(answer.fp)
        connection.sock.sendall(_GOODBYE)
        return payload[:count]


def _message(stream: BinaryIO) -> bytes:
    """What the next frame (§5.2) brings of the server's messages."""
    first, second = _read(stream, 2)
    length = second & 0x7F
    if length >= 126:
        length = int.from_bytes(_read(stream, 2 if length == 126 else 8), "big")
    opcode, data = first & 0x0F, _read(stream, length)
    if opcode == _CLOSE:
        raise CheckFailed(f"the websocket was closed: {data[2:].decode('utf-8', 'replace') or 'no reason'}")
    return b"" if opcode in (_PING, _PONG) else data


def _read(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise CheckFailed("the server hung up in the middle of the websocket")
    return data


@contextlib.contextmanager
def _connection(endpoint: Endpoint) -> Iterator[http.client.HTTPConnection]:
    if endpoint.certificate:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            endpoint.host, endpoint.port, timeout=TIMEOUT, context=trusting(endpoint)
        )
    else:
        connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=TIMEOUT)
    try:
        yield connection
    except (OSError, http.client.HTTPException) as error:
        raise unreachable(endpoint, error) from error
    finally:
        connection.close()
