"""Mosquitto, MongoDB, Qdrant and Ollama, over the network and with the passwords that users get."""

from __future__ import annotations

import json
import secrets
import socket
from typing import Any
from urllib.parse import urlsplit

from ..check import CheckFailed, CheckSkipped, Outcome, check, passed, service, workspace
from ..environment import Endpoint, Environment
from ..protocols import mongo, mqtt
from ..protocols.connection import connect
from ..protocols.http import Response, request

_OLLAMA_PORT = 11434


@check(
    "mosquitto",
    expected="a message published and received; no password and a wrong one are refused",
    hint="docker logs {mosquitto}",
    needs=(service("mosquitto"),),
)
def mosquitto(env: Environment) -> Outcome:
    """Mosquitto takes its password and no other, and passes a message on.

    Expected: the return codes of MQTT 3.1.1, section 3.2.2.3; a message comes to whoever subscribed to its topic.
    The topic has a random name and the message is not retained.
    """
    _expect_mqtt_refusal(_mqtt_login(env, None), "no password")
    _expect_mqtt_refusal(_mqtt_login(env, "carbon", secrets.token_hex(12)), "a wrong password")
    name, text = f"carbon-verify/{secrets.token_hex(8)}", secrets.token_hex(8)
    with connect(env.endpoints["mosquitto"], tls=env.tls) as connection:
        code = mqtt.log_in(connection, _client(), "carbon", env.secret("mosquitto"))
        if code != mqtt.ACCEPTED:
            raise CheckFailed(f"Mosquitto refuses the right password: code {code}")
        if not mqtt.subscribe(connection, name):
            raise CheckFailed("Mosquitto refuses a subscription")
        mqtt.publish(connection, name, text)
        received = mqtt.receive_message(connection)
    if received != (name, text):
        raise CheckFailed(f"published {text!r}, received {received[1]!r}")
    tls = "; TLS, certificate verified" if env.tls else ""
    return passed(f"message published and received, wrong password refused{tls}")


@check(
    "mongodb",
    expected="a document inserted, found and removed; no password and a wrong one are refused",
    hint="docker logs {mongodb}",
    needs=(service("mongodb"),),
)
def mongodb(env: Environment) -> Outcome:
    """MongoDB takes its password and no other, and keeps what it is given.

    Expected: the codes that MongoDB documents for refused commands and logins. The collection has a random name
    in the database carbon_verify and is dropped.
    """
    with connect(env.endpoints["mongodb"]) as connection:
        _expect_code(mongo.command(connection, "admin", {"listDatabases": 1}), mongo.UNAUTHORIZED)
        if mongo.log_in(connection, "carbon", secrets.token_hex(12)) != mongo.AUTHENTICATION_FAILED:
            raise CheckFailed("MongoDB lets a wrong password in")
        code = mongo.log_in(connection, "carbon", env.secret("mongodb"))
        if code is not None:
            raise CheckFailed(f"MongoDB refuses the right password: code {code}")
        _document_round_trip(connection)
        version = _carried_out(connection, "admin", {"buildInfo": 1}).get("version", "?")
    return passed(f"MongoDB {version}, document inserted, found and removed, wrong password refused")


@check(
    "qdrant",
    expected="the nearest of two vectors; no API key and a wrong one are refused",
    hint="docker logs {qdrant}",
    needs=(service("qdrant"),),
)
def qdrant(env: Environment) -> Outcome:
    """Qdrant takes its API key and no other, and finds the nearest vector.

    Expected: of (1,2,3) and (4,6,3) the second is nearest to (4,6,4). The collection has a random name and is
    deleted.
    """
    for key, what in (("", "no API key"), (secrets.token_hex(12), "a wrong API key")):
        status = _qdrant(env, "GET", "/collections", key=key).status
        if status not in (401, 403):
            raise CheckFailed(f"Qdrant answers {status} to {what}")
    path = f"/collections/carbon-verify-{secrets.token_hex(8)}"
    _qdrant_result(env, "PUT", path, {"vectors": {"size": 3, "distance": "Euclid"}})
    try:
        points = [{"id": 1, "vector": [1, 2, 3]}, {"id": 2, "vector": [4, 6, 3]}]
        _qdrant_result(env, "PUT", f"{path}/points?wait=true", {"points": points})
        found = _qdrant_result(env, "POST", f"{path}/points/query", {"query": [4, 6, 4], "limit": 1})
    finally:
        _qdrant_result(env, "DELETE", path)
    nearest = [point.get("id") for point in found.get("points", [])]
    if nearest != [2]:
        raise CheckFailed(f"the nearest vector is {nearest}, not [2]")
    version = _qdrant(env, "GET", "/", key=env.secret("qdrant")).json().get("version", "?")
    return passed(f"Qdrant {version}, nearest vector right, wrong API key refused")


@check(
    "ollama",
    expected="its version and its list of models",
    hint="service: docker logs {ollama}; host: start Ollama there (ollama serve)",
    needs=(workspace,),
)
def ollama(env: Environment) -> Outcome:
    """Ollama answers where the workspace's programs look for it.

    Expected: the answers that Ollama documents for /api/version and /api/tags (docs.ollama.com/api). It has no
    login. Whether a model runs depends on which the user has pulled.
    """
    address = env.variables.get("OLLAMA_HOST", "")
    if not address:
        raise CheckSkipped("service ollama is not in CARBON_SERVICES, and OLLAMA_HOST names none")
    place = urlsplit(address)
    endpoint = Endpoint(place.hostname or "", place.port or _OLLAMA_PORT)
    version = _ollama(endpoint, "/api/version").get("version", "?")
    models = _ollama(endpoint, "/api/tags").get("models") or []
    return passed(f"Ollama {version} at {endpoint}, {len(models)} models")


def _client() -> str:
    return f"carbon-verify-{secrets.token_hex(4)}"


def _mqtt_login(env: Environment, user: str | None, password: str = "") -> int:
    with connect(env.endpoints["mosquitto"], tls=env.tls) as connection:
        return mqtt.log_in(connection, _client(), user, password)


def _expect_mqtt_refusal(code: int, what: str) -> None:
    if code == mqtt.ACCEPTED:
        raise CheckFailed(f"Mosquitto lets {what} in")
    if code not in (mqtt.BAD_LOGIN, mqtt.NOT_AUTHORIZED):
        raise CheckFailed(f"Mosquitto refuses {what}, but for another reason: code {code}")


def _expect_code(answer: dict[str, Any], code: int) -> None:
    if mongo.refusal(answer) is None:
        raise CheckFailed("MongoDB lets no password in")
    if mongo.refusal(answer) != code:
        raise CheckFailed(f"MongoDB refuses no password, but for another reason: {answer.get('errmsg')}")


def _carried_out(connection: socket.socket, database: str, words: dict[str, Any]) -> dict[str, Any]:
    answer = mongo.command(connection, database, words)
    if mongo.refusal(answer) is not None:
        raise CheckFailed(f"MongoDB refuses {next(iter(words))}: {answer.get('errmsg')}")
    return answer


def _document_round_trip(connection: socket.socket) -> None:
    database, collection, value = "carbon_verify", secrets.token_hex(8), secrets.token_hex(8)
    _carried_out(connection, database, {"insert": collection, "documents": [{"_id": 1, "value": value}]})
    try:
        found = _carried_out(connection, database, {"find": collection, "filter": {"_id": 1}})
    finally:
        _carried_out(connection, database, {"drop": collection})
    documents = found.get("cursor", {}).get("firstBatch")
    if documents != [{"_id": 1, "value": value}]:
        raise CheckFailed(f"inserted one document, found {documents}")


def _qdrant(env: Environment, method: str, path: str, body: Any = None, *, key: str) -> Response:
    return request(
        env.endpoints["qdrant"],
        path,
        tls=False,
        method=method,
        headers={"Content-Type": "application/json", **({"api-key": key} if key else {})},
        body=None if body is None else json.dumps(body),
    )


def _qdrant_result(env: Environment, method: str, path: str, body: Any = None) -> Any:
    answer = _qdrant(env, method, path, body, key=env.secret("qdrant"))
    if answer.status != 200:
        raise CheckFailed(f"Qdrant answers {answer.status} to {method} {path}")
    return answer.json().get("result")


def _ollama(endpoint: Endpoint, path: str) -> dict[str, Any]:
    answer = request(endpoint, path, tls=False)
    if answer.status != 200:
        raise CheckFailed(f"{endpoint} answers {answer.status} to {path}")
    return answer.json()
