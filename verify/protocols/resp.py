"""Redis's protocol: commands and plain answers.

Source: RESP 2, redis.io/docs/latest/develop/reference/protocol-spec.
"""

from __future__ import annotations

import socket
from typing import Union

from ..check import CheckFailed
from .connection import receive, receive_line


class RedisError(str):
    """An error that the server answered with, for example `NOAUTH Authentication required.`"""


Answer = Union[str, int, None, RedisError]


def command(connection: socket.socket, *words: str) -> Answer:
    """Sends a command and returns its answer. Raises CheckFailed for what is not RESP, and for arrays."""
    encoded = [word.encode() for word in words]
    parts = [b"*%d\r\n" % len(encoded)]
    parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded]
    connection.sendall(b"".join(parts))
    return _answer(connection)


def _answer(connection: socket.socket) -> Answer:
    line = receive_line(connection).decode("utf-8", "replace")
    kind, rest = line[:1], line[1:]
    if kind == "+":
        return rest
    if kind == "-":
        return RedisError(rest)
    if kind == ":":
        return int(rest)
    if kind == "$":
        length = int(rest)
        return None if length < 0 else receive(connection, length + 2)[:-2].decode("utf-8", "replace")
    raise CheckFailed(f"not a Redis server: it said {line[:60]!r}")
