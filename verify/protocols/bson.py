"""BSON, as far as MongoDB's answers to this package's commands need it.

Source: bsonspec.org, version 1.1.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from ..check import CheckFailed

_DOUBLE, _TEXT, _DOCUMENT, _LIST, _BINARY, _OBJECT_ID, _BOOLEAN, _DATE = 1, 2, 3, 4, 5, 7, 8, 9
_NULL, _INT32, _TIMESTAMP, _INT64 = 10, 16, 17, 18
_FIXED = {_DOUBLE: "<d", _BOOLEAN: "<?", _DATE: "<q", _INT32: "<i", _TIMESTAMP: "<Q", _INT64: "<q"}


def encode(document: Mapping[str, Any]) -> bytes:
    """A document of texts, whole numbers, booleans, bytes, documents and lists."""
    body = b"".join(_element(name, value) for name, value in document.items())
    return struct.pack("<i", len(body) + 5) + body + b"\x00"


def decode(data: bytes) -> dict[str, Any]:
    """A document. Raises CheckFailed for what is none."""
    try:
        return _document(data, 0)[0]
    except (struct.error, IndexError, ValueError) as error:
        raise CheckFailed("the answer is not BSON") from error


def _element(name: str, value: Any) -> bytes:
    kind, data = _encoded(value)
    return bytes([kind]) + name.encode() + b"\x00" + data


def _encoded(value: Any) -> tuple[int, bytes]:
    if isinstance(value, bool):
        return _BOOLEAN, struct.pack("<?", value)
    if isinstance(value, int):
        return _INT32, struct.pack("<i", value)
    if isinstance(value, str):
        text = value.encode() + b"\x00"
        return _TEXT, struct.pack("<i", len(text)) + text
    if isinstance(value, bytes):
        return _BINARY, struct.pack("<iB", len(value), 0) + value
    if isinstance(value, list):
        return _LIST, encode({str(index): item for index, item in enumerate(value)})
    return _DOCUMENT, encode(value)


def _document(data: bytes, at: int) -> tuple[dict[str, Any], int]:
    """The document that starts at a place, and where it ends."""
    (length,) = struct.unpack_from("<i", data, at)
    end = at + length
    found: dict[str, Any] = {}
    at += 4
    while data[at] != 0:
        name_end = data.index(b"\x00", at + 1)
        name = data[at + 1 : name_end].decode("utf-8", "replace")
        found[name], at = _value(data[at], data, name_end + 1)
    return found, end


def _value(kind: int, data: bytes, at: int) -> tuple[Any, int]:
    if kind in _FIXED:
        return struct.unpack_from(_FIXED[kind], data, at)[0], at + struct.calcsize(_FIXED[kind])
    if kind == _NULL:
        return None, at
    if kind == _OBJECT_ID:
        return data[at : at + 12], at + 12
    if kind in (_DOCUMENT, _LIST):
        found, end = _document(data, at)
        return (list(found.values()) if kind == _LIST else found), end
    (length,) = struct.unpack_from("<i", data, at)
    if kind == _TEXT:
        return data[at + 4 : at + 3 + length].decode("utf-8", "replace"), at + 4 + length
    if kind == _BINARY:
        return data[at + 5 : at + 5 + length], at + 5 + length
    raise CheckFailed(f"the answer holds BSON of type {kind}")
