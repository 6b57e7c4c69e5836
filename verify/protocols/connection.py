"""TCP connections, with TLS where the service speaks it."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator

from ..environment import Endpoint
from ..outcome import CheckFailed

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
def connect(endpoint: Endpoint) -> Iterator[socket.socket]:
    """An open connection, closed at the end.

    Where the endpoint speaks TLS, it must show its own certificate. Raises CheckFailed, naming the address, where the
    connection cannot be opened or breaks.
    """
    try:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(
                socket.create_connection((endpoint.host, endpoint.port), timeout=TIMEOUT)
            )
            if endpoint.certificate:
                connection = stack.enter_context(
                    trusting(endpoint).wrap_socket(connection, server_hostname=endpoint.host)
                )
            yield connection
    except OSError as error:
        raise unreachable(endpoint, error) from error


def reach(endpoint: Endpoint) -> None:
    """Opens a connection and closes it: says better than most clients why they could not. Raises as connect does."""
    with connect(endpoint):
        pass


def unreachable(endpoint: Endpoint, error: Exception) -> CheckFailed:
    """What to say when a connection fails."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return CheckFailed(
            f"{endpoint} shows a certificate that is not its own: {error.verify_message}", WRONG_CERTIFICATE
        )
    scheme = " over TLS" if endpoint.certificate else ""
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
