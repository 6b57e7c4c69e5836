"""The start of the Remote Framebuffer protocol (RFC 6143, §7.1): what a VNC server asks of its clients."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

from ..outcome import CheckFailed
from .connection import receive

BANNER = re.compile(rb"RFB (\d{3})\.(\d{3})\n")
BANNER_LENGTH = 12

NONE, VNC_AUTH, VENCRYPT = 1, 2, 19
X509_VNC = 261

# Names as TigerVNC's option -SecurityTypes spells them. Numbers: IANA's registry of RFB security types, and
# for those from 256 the VeNCrypt subtypes of the community's protocol text (github.com/rfbproto/rfbproto).
_NAMES = {
    NONE: "None",
    VNC_AUTH: "VncAuth",
    5: "RA2",
    6: "RA2ne",
    VENCRYPT: "VeNCrypt",
    129: "RA2_256",
    130: "RA2ne_256",
    256: "Plain",
    257: "TLSNone",
    258: "TLSVnc",
    259: "TLSPlain",
    260: "X509None",
    X509_VNC: "X509Vnc",
    262: "X509Plain",
}
OPEN_TO_ALL = frozenset({NONE, 257, 260})
"""Types that let everyone in, encrypted or not."""
UNENCRYPTED = frozenset({NONE, VNC_AUTH, 256})
"""Types that leave the session in the clear."""


@dataclass(frozen=True)
class Offer:
    """What a server offers before anyone has logged in."""

    version: str
    types: tuple[int, ...]
    """Security types; where VeNCrypt is among them, its subtypes too."""

    def __str__(self) -> str:
        """For people."""
        names = ", ".join(_NAMES.get(type, f"type {type}") for type in self.types)
        return f"RFB {self.version}, security {names}"


def read_version(banner: bytes) -> str:
    """`3.8` of `RFB 003.008`. Raises CheckFailed where it is no banner."""
    match = BANNER.fullmatch(banner)
    if not match:
        raise CheckFailed(f"not a VNC server: it said {banner!r}")
    return f"{int(match[1])}.{int(match[2])}"


def read_offer(connection: socket.socket) -> Offer:
    """Goes as far as the security types. Raises CheckFailed where the server refuses the client."""
    version = read_version(receive(connection, BANNER_LENGTH))
    if version == "3.3":
        # The oldest version names one type in four bytes. TigerVNC uses it to turn away a blocked address.
        types: tuple[int, ...] = tuple(filter(None, (_number(connection),)))
    else:
        connection.sendall(b"RFB 003.008\n")
        types = tuple(receive(connection, receive(connection, 1)[0]))
    if not types:
        reason = receive(connection, _number(connection)).decode("utf-8", "replace")
        raise CheckFailed(f"the VNC server refuses clients: {reason}")
    return Offer(version, types + (_subtypes(connection) if VENCRYPT in types else ()))


def _subtypes(connection: socket.socket) -> tuple[int, ...]:
    connection.sendall(bytes([VENCRYPT]))
    receive(connection, 2)
    connection.sendall(bytes([0, 2]))
    if receive(connection, 1) != b"\0":
        raise CheckFailed("the VNC server does not speak VeNCrypt 0.2")
    return tuple(_number(connection) for _ in range(receive(connection, 1)[0]))


def _number(connection: socket.socket) -> int:
    return int.from_bytes(receive(connection, 4), "big")
