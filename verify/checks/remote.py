"""Ways in from outside that are no web pages: VNC and SSH."""

from __future__ import annotations

from ..check import CheckFailed, Outcome, check, passed, toolset, workspace
from ..environment import Environment
from ..protocols import rfb
from ..protocols.connection import connect, receive_line


@check(
    "vnc",
    expected="asks for a password: VncAuth; X509Vnc and nothing unencrypted with TLS",
    hint="docker logs {workspace}",
    needs=(toolset("desktop"),),
)
def vnc(env: Environment) -> Outcome:
    """The desktop's VNC server answers and lets nobody in without a password.

    Expected: the security types that the workspace starts Xtigervnc with. The password itself is not tried:
    its challenge needs DES, which Python's standard library does not have.
    """
    with connect(env.endpoints["vnc"]) as connection:
        offer = rfb.read_offer(connection)
    open_to_all = rfb.OPEN_TO_ALL.intersection(offer.types)
    in_the_clear = rfb.UNENCRYPTED.intersection(offer.types)
    wanted = rfb.X509_VNC if env.tls else rfb.VNC_AUTH
    if open_to_all or wanted not in offer.types or (env.tls and in_the_clear):
        raise CheckFailed(str(offer))
    return passed(str(offer))


@check("ssh", expected="an SSH 2 server", hint="docker logs {workspace}", needs=(workspace,))
def ssh(env: Environment) -> Outcome:
    """The SSH server answers.

    Expected: the identification line of RFC 4253, §4.2.
    """
    with connect(env.endpoints["ssh"]) as connection:
        banner = receive_line(connection, limit=255).decode("ascii", "replace")
    if not banner.startswith("SSH-2.0-"):
        raise CheckFailed(f"not an SSH 2 server: it said {banner!r}")
    return passed(banner)
