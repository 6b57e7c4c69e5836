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
WRONG_CERTIFICATE = (
    "somebody else may be answering; where the certificate was just made anew, restart both sides: the service's "
    "container, and docker restart {workspace}"
)
"""What to do where a server shows another certificate than its own."""


def trusting(endpoint: Endpoint) -> ssl.SSLContext:
    """TLS that takes the endpoint's own certificate, for the host it is called by, and no other.

    Raises CheckFailed where the certificate to compare with cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=str(endpoint.certificate))
    except OSError as error:
        raise CheckFailed(
            f"{endpoint.certificate} cannot be read: {error.strerror or error}", "docker restart {workspace}"
        ) from error


@contextlib.contextmanager
def connect(endpoint: Endpoint, *, tls: bool = False) -> Iterator[socket.socket]:
    """An open connection, closed at the end.

    With `tls` the server must show the endpoint's certificate. Raises CheckFailed, naming the address, where the
    connection cannot be opened or breaks.
    """
    try:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(
                socket.create_connection((endpoint.host, endpoint.port), timeout=TIMEOUT)
            )
            if tls:
                connection = stack.enter_context(
                    trusting(endpoint).wrap_socket(connection, server_hostname=endpoint.host)
                )
            yield connection
    except OSError as error:
        raise unreachable(endpoint, error, tls=tls) from error


def unreachable(endpoint: Endpoint, error: Exception, *, tls: bool) -> CheckFailed:
    """What to say when a connection fails."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return CheckFailed(
            f"{endpoint} shows a certificate that is not its own: {error.verify_message}", WRONG_CERTIFICATE
        )
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
