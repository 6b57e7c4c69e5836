"""HTTP requests. Never through a proxy: what is asked is on this machine."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..check import CheckFailed
from ..environment import Endpoint
from .connection import TIMEOUT, trusting, unreachable

BODY_LIMIT = 1 << 20
"""Bytes read of an answer's body."""


@dataclass(frozen=True)
class Response:
    """An answer."""

    status: int
    headers: http.client.HTTPMessage
    body: str

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises CheckFailed where it is none."""
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise CheckFailed("the answer is not JSON") from error
        if not isinstance(value, dict):
            raise CheckFailed("the answer is not a JSON object")
        return value


def request(
    endpoint: Endpoint,
    path: str,
    *,
    tls: bool,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
) -> Response:
    """One request over a connection of its own; redirects are not followed. For `tls` see connect.

    Raises CheckFailed, naming the address, where there is no answer.
    """
    if tls:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            endpoint.host, endpoint.port, timeout=TIMEOUT, context=trusting(endpoint)
        )
    else:
        connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=TIMEOUT)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        return Response(answer.status, answer.headers, answer.read(BODY_LIMIT).decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException) as error:
        raise unreachable(endpoint, error, tls=tls) from error
    finally:
        connection.close()
