"""The client's side of a WebSocket (RFC 6455), as far as receiving a server's first bytes."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
from collections.abc import Mapping

from ..check import CheckFailed
from ..environment import Endpoint
from .connection import receive, receive_line

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE = 0x0, 0x1, 0x2, 0x8


class Refused(CheckFailed):
    """The server answered, and did not want the WebSocket."""


def upgrade(
    connection: socket.socket, endpoint: Endpoint, path: str, subprotocol: str, headers: Mapping[str, str]
) -> None:
    """Turns an HTTP connection into a WebSocket (§4.1). Raises Refused where the server does not want it.

    `headers`: more than the protocol asks for, such as the page's Origin that a browser names.
    """
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {endpoint}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        f"Sec-WebSocket-Protocol: {subprotocol}",
        "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    connection.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    status = receive_line(connection).decode("latin-1")
    answered = _headers(connection)
    if status.split(" ")[1:2] != ["101"]:
        raise Refused(f"the websocket was refused: {status}")
    if answered.get("sec-websocket-accept") != _accept(key):
        raise CheckFailed("the websocket handshake's answer does not fit its key")


def receive_payload(connection: socket.socket, count: int) -> bytes:
    """The first `count` bytes of the server's messages. Raises CheckFailed where it closes before."""
    payload = b""
    while len(payload) < count:
        first, second = receive(connection, 2)
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(receive(connection, 2 if length == 126 else 8), "big")
        data = receive(connection, length)
        opcode = first & 0x0F
        if opcode == _CLOSE:
            raise CheckFailed(
                f"the websocket was closed: {data[2:].decode('utf-8', 'replace') or 'no reason'}"
            )
        if opcode in (_CONTINUATION, _TEXT, _BINARY):
            payload += data
    return payload[:count]


def close(connection: socket.socket) -> None:
    """Says goodbye, with a mask of zeros as clients must mask (§5.3)."""
    connection.sendall(bytes([0x80 | _CLOSE, 0x80, 0, 0, 0, 0]))


def _headers(connection: socket.socket) -> dict[str, str]:
    headers = {}
    while line := receive_line(connection).decode("latin-1"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers


def _accept(key: str) -> str:
    # SHA-1 is what the protocol asks for (§4.2.2); nothing depends on its strength.
    return base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
