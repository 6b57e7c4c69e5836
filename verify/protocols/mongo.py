"""MongoDB's protocol: commands, and the login by SCRAM-SHA-256.

Source: OP_MSG, mongodb.com/docs/manual/reference/mongodb-wire-protocol; SCRAM, RFC 5802 and RFC 7677.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket
import struct
from collections.abc import Mapping
from typing import Any, Optional

from ..check import CheckFailed
from . import bson
from .connection import receive

UNAUTHORIZED = 13
AUTHENTICATION_FAILED = 18
"""Codes of refused commands (mongodb.com/docs/manual/reference/error-codes)."""

_OP_MSG = 2013
_HEADER = struct.Struct("<iiii")
_LONGEST_ANSWER = 1 << 20
_HASH = "sha256"


def command(connection: socket.socket, database: str, words: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a command and returns the answer, which may be a refusal. Raises CheckFailed for what is no OP_MSG."""
    body = struct.pack("<IB", 0, 0) + bson.encode({**words, "$db": database})
    connection.sendall(_HEADER.pack(_HEADER.size + len(body), 1, 0, _OP_MSG) + body)
    head = receive(connection, _HEADER.size)
    length, _, _, operation = _HEADER.unpack(head)
    if operation != _OP_MSG or not _HEADER.size < length <= _LONGEST_ANSWER:
        raise CheckFailed(f"not a MongoDB server: it said {head!r}")
    return bson.decode(receive(connection, length - _HEADER.size)[5:])


def refusal(answer: Mapping[str, Any]) -> Optional[int]:
    """The code of a refused command; None where it was carried out."""
    return None if answer.get("ok") == 1 else int(answer.get("code", 0))


def log_in(connection: socket.socket, user: str, password: str) -> Optional[int]:
    """Logs in. Returns None, or the code of the refusal. Raises CheckFailed where the server does not know us."""
    nonce = base64.b64encode(os.urandom(18)).decode()
    first = f"n={user},r={nonce}"
    start = {"mechanism": "SCRAM-SHA-256", "payload": f"n,,{first}".encode()}
    answer = command(
        connection, "admin", {"saslStart": 1, **start, "options": {"skipEmptyExchange": True}}
    )
    if refusal(answer) is not None:
        return refusal(answer)
    challenge = answer["payload"].decode()
    proof, signature = answer_challenge(password, first, challenge)
    answer = command(
        connection,
        "admin",
        {"saslContinue": 1, "conversationId": answer["conversationId"], "payload": proof},
    )
    if refusal(answer) is None and answer["payload"] != signature:
        raise CheckFailed("the server does not know the password itself")
    return refusal(answer)


def answer_challenge(password: str, first: str, challenge: str) -> tuple[bytes, bytes]:
    """The client's last message, and what the server must answer to it (RFC 5802, section 3)."""
    given = dict(part.split("=", 1) for part in challenge.split(","))
    salted = hashlib.pbkdf2_hmac(
        _HASH, password.encode(), base64.b64decode(given["s"]), int(given["i"])
    )
    last = f"c=biws,r={given['r']}"
    said = f"{first},{challenge},{last}".encode()
    client_key = hmac.digest(salted, b"Client Key", _HASH)
    by_client = hmac.digest(hashlib.sha256(client_key).digest(), said, _HASH)
    proof = bytes(one ^ other for one, other in zip(client_key, by_client))
    by_server = hmac.digest(hmac.digest(salted, b"Server Key", _HASH), said, _HASH)
    return (
        f"{last},p={base64.b64encode(proof).decode()}".encode(),
        b"v=" + base64.b64encode(by_server),
    )
