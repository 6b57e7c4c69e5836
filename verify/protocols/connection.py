"""TCP connections, with TLS where the suite uses it."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator

from ..check import CheckFailed
from ..environment import Endpoint

TIMEOUT = 10.0
"""Seconds that a server may take for one answer."""


def unverified_tls() -> ssl.SSLContext:
    """TLS that takes any certificate.

    The suite's are self-signed, and the connection stays on loopback or on the stack's own network: what is
    checked is that the server speaks TLS, not who it is.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def connect(endpoint: Endpoint, *, tls: bool = False) -> Iterator[socket.socket]:
    """An open connection, closed at the end.

    Raises CheckFailed, naming the address, where it cannot be opened or breaks.
    """
    try:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(
                socket.create_connection((endpoint.host, endpoint.port), timeout=TIMEOUT)
            )
            if tls:
                context = unverified_tls()
                connection = stack.enter_context(
                    context.wrap_socket(connection, server_hostname=endpoint.host)
                )
            yield connection
    except OSError as error:
        raise unreachable(endpoint, error, tls=tls) from error


def unreachable(endpoint: Endpoint, error: Exception, *, tls: bool) -> CheckFailed:
    """What to say when a connection fails."""
    scheme = " over TLS" if tls else ""
    return CheckFailed(f"no answer from {endpoint}{scheme}: {getattr(error, 'strerror', None) or error}")


def receive(connection: socket.socket, count: int) -> bytes:
    """Exactly `count` bytes. Raises CheckFailed where the server hangs up before."""
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            raise CheckFailed(f"the server hung up after {len(data)} of {count} bytes")
        data += chunk
    return data


def receive_line(connection: socket.socket, limit: int = 8192) -> bytes:
    """Up to and without the next CR LF or LF. Raises CheckFailed where none comes within `limit` bytes."""
    line = b""
    while not line.endswith(b"\n"):
        if len(line) >= limit:
            raise CheckFailed(f"the server sent no line end within {limit} bytes")
        line += receive(connection, 1)
    return line.rstrip(b"\r\n")
