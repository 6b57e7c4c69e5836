"""MQTT's client side: log in, subscribe, publish, receive.

Source: MQTT 3.1.1, docs.oasis-open.org/mqtt/mqtt/v3.1.1, at quality of service 0.
"""

from __future__ import annotations

import socket

from ..check import CheckFailed
from .connection import receive

ACCEPTED = 0
BAD_LOGIN = 4
NOT_AUTHORIZED = 5

_CONNECT, _CONNACK, _PUBLISH, _SUBSCRIBE, _SUBACK = 0x10, 0x20, 0x30, 0x82, 0x90
_CLEAN_SESSION, _WITH_PASSWORD, _WITH_USER = 0x02, 0x40, 0x80
_KEEP_ALIVE = 60


def log_in(connection: socket.socket, client: str, user: str | None, password: str = "") -> int:
    """Opens a session; without a user, anonymously. Returns the server's code (§3.2.2.3): 0 is accepted."""
    flags, login = _CLEAN_SESSION, b""
    if user is not None:
        flags |= _WITH_USER | _WITH_PASSWORD
        login = _text(user) + _text(password)
    header = _text("MQTT") + bytes([4, flags]) + _KEEP_ALIVE.to_bytes(2, "big")
    _send(connection, _CONNECT, header + _text(client) + login)
    return _expect(connection, _CONNACK, length=2)[1]


def subscribe(connection: socket.socket, topic: str) -> bool:
    """Asks for a topic. Returns whether the server granted it."""
    _send(connection, _SUBSCRIBE, (1).to_bytes(2, "big") + _text(topic) + b"\x00")
    return _expect(connection, _SUBACK, length=3)[2] != 0x80


def publish(connection: socket.socket, topic: str, message: str) -> None:
    """Sends a message; the server does not confirm it."""
    _send(connection, _PUBLISH, _text(topic) + message.encode())


def receive_message(connection: socket.socket) -> tuple[str, str]:
    """The next message: topic and text."""
    body = _expect(connection, _PUBLISH)
    end = 2 + int.from_bytes(body[:2], "big")
    return body[2:end].decode("utf-8", "replace"), body[end:].decode("utf-8", "replace")


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def _send(connection: socket.socket, kind: int, body: bytes) -> None:
    # One byte of length is enough for what is sent here (§2.2.3).
    if len(body) > 127:
        raise ValueError("packet too long")
    connection.sendall(bytes([kind, len(body)]) + body)


def _expect(connection: socket.socket, kind: int, length: int | None = None) -> bytes:
    head = receive(connection, 2)
    if head[0] != kind or head[1] > 127 or (length is not None and head[1] != length):
        raise CheckFailed(f"not an MQTT server: it said {head!r}")
    return receive(connection, head[1])
