"""Ways in from outside that are no web pages: VNC and SSH."""

from __future__ import annotations

from dataclasses import replace

from ..check import check, workspace_port
from ..environment import Environment
from ..outcome import CheckFailed, Outcome, passed
from ..protocols import rfb
from ..protocols.connection import connect

_BANNER_LIMIT = 255
"""Bytes of SSH's first line (RFC 4253, §4.2)."""


@check(
    "vnc",
    expected="asks for a password: VncAuth; X509Vnc and nothing unencrypted with TLS",
    hint="docker logs {workspace}",
    needs=(workspace_port("vnc"),),
)
def vnc(env: Environment) -> Outcome:
    """The desktop's VNC server answers and lets nobody in without a password.

    Expected: the security types that the workspace starts Xtigervnc with. The password itself is not tried:
    its challenge needs DES, which Python's standard library does not have.
    """
    endpoint = env.endpoint("workspace", "vnc")
    # VNC begins in the clear and turns to TLS by a security type.
    with connect(replace(endpoint, certificate=None)) as connection:
        offer = rfb.read_offer(connection)
    open_to_all = rfb.OPEN_TO_ALL.intersection(offer.types)
    in_the_clear = rfb.UNENCRYPTED.intersection(offer.types)
    wanted = rfb.X509_VNC if endpoint.certificate else rfb.VNC_AUTH
    if open_to_all or wanted not in offer.types or (endpoint.certificate and in_the_clear):
        raise CheckFailed(str(offer))
    return passed(str(offer))


@check("ssh", expected="an SSH 2 server", hint="docker logs {workspace}", needs=(workspace_port("ssh"),))
def ssh(env: Environment) -> Outcome:
    """The SSH server answers.

    Expected: the identification line of RFC 4253, §4.2.
    """
    with connect(replace(env.endpoint("workspace", "ssh"), certificate=None)) as connection:
        line = connection.makefile("rb").readline(_BANNER_LIMIT)
    banner = line.decode("ascii", "replace").rstrip("\r\n")
    if not banner.startswith("SSH-2.0-") or not line.endswith(b"\n"):
        raise CheckFailed(f"not an SSH 2 server: it said {banner!r}")
    return passed(banner)
