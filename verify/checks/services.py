"""Mosquitto, MongoDB, Qdrant and Ollama, over the network and with the passwords that users get."""

from __future__ import annotations

import json
import secrets
from typing import Any
from urllib.parse import urlsplit

from ..check import check, service
from ..environment import Endpoint, Environment
from ..outcome import CheckFailed, CheckSkipped, Outcome, passed
from ..probes import ask
from ..processes import Finished
from ..protocols.connection import reach
from ..protocols.http import Response, request

_OLLAMA_PORT = 11434
_CLIENTS_PYTHON = "/opt/database-clients/bin/python"

# MongoDB's codes (mongodb.com/docs/manual/reference/error-codes) and MQTT 5's (section 3.2.2.2), with which
# mosquitto_rr ends.
_UNAUTHORIZED, _AUTHENTICATION_FAILED = 13, 18
_BAD_LOGIN, _NOT_AUTHORIZED = 0x86, 0x87

# Options of Mosquitto's clients come from a file that is named like them, in the program's own folder: a command line
# could be read by all.
_MOSQUITTO_RR = """
umask 077
XDG_CONFIG_HOME=$(mktemp -d) || exit
export XDG_CONFIG_HOME
cat > "$XDG_CONFIG_HOME/mosquitto_rr"
exec "$@"
"""


@check(
    "mosquitto",
    expected="a message published and received; no password and a wrong one are refused",
    hint="docker logs {mosquitto}",
    needs=(service("mosquitto"),),
)
def mosquitto(env: Environment) -> Outcome:
    """Mosquitto takes its password and no other, and passes a message on.

    Expected: the reason codes of MQTT 5, section 3.2.2.2; a message comes to whoever subscribed to its topic.
    The topic has a random name and the message is not retained.
    """
    endpoint = env.endpoint("mosquitto", "mqtt")
    reach(endpoint)
    for login, who in (("", "no password"), (_mqtt_login(secrets.token_hex(12)), "a wrong password")):
        answer = _mosquitto_rr(env, endpoint, login, "")
        if answer.code == 0:
            raise CheckFailed(f"Mosquitto lets {who} in")
        if answer.code not in (_BAD_LOGIN, _NOT_AUTHORIZED):
            raise CheckFailed(f"Mosquitto refuses {who}, but for another reason: {answer.complaint}")
    text = secrets.token_hex(8)
    answer = _mosquitto_rr(env, endpoint, _mqtt_login(env.secret("mosquitto")), text)
    if answer.code != 0:
        raise CheckFailed(f"no message with the right password: {answer.complaint}")
    received = answer.stdout.rstrip("\n")
    if received != text:
        raise CheckFailed(f"published {text!r}, received {received!r}")
    return passed(f"message published and received, wrong password refused{endpoint.tls}")


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
    endpoint = env.endpoint("mongodb", "mongodb")
    reach(endpoint)
    if "databases" not in env.toolsets:
        raise CheckSkipped("answers; its logins were not tried: the client is in the toolset databases")
    asked = {
        "host": endpoint.host,
        "port": endpoint.port,
        "passwords": {"wrong": secrets.token_hex(12), "right": env.secret("mongodb")},
        "collection": secrets.token_hex(8),
        "value": secrets.token_hex(8),
    }
    seen = ask(env, "mongodb", python=str(env.path(_CLIENTS_PYTHON)), stdin=json.dumps(asked))
    for login, who, code in (
        ("none", "no password", _UNAUTHORIZED),
        ("wrong", "a wrong password", _AUTHENTICATION_FAILED),
    ):
        refusal = seen["refusals"][login]
        if refusal is None:
            raise CheckFailed(f"MongoDB lets {who} in")
        if refusal["code"] != code:
            raise CheckFailed(f"MongoDB refuses {who}, but for another reason: {refusal['message']}")
    refusal = seen["refusals"]["right"]
    if refusal:
        raise CheckFailed(f"MongoDB refuses the right password: {refusal['message']}")
    if seen["found"] != [asked["value"]]:
        raise CheckFailed(f"inserted one document, found {seen['found']}")
    return passed(f"MongoDB {seen['version']}, document inserted, found and removed, wrong password refused")


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
)
def ollama(env: Environment) -> Outcome:
    """Ollama answers where the workspace's programs look for it.

    Expected: the answers that Ollama documents for /api/version and /api/tags (docs.ollama.com/api). It has no
    login. Whether a model runs depends on which the user has pulled.
    """
    address = env.variables.get("OLLAMA_HOST", "")
    if not address:
        raise CheckSkipped("service ollama is not in this stack, and OLLAMA_HOST names none")
    place = urlsplit(address)
    endpoint = Endpoint(place.hostname or "", place.port or _OLLAMA_PORT)
    version = _ollama(endpoint, "/api/version").get("version", "?")
    models = _ollama(endpoint, "/api/tags").get("models") or []
    return passed(f"Ollama {version} at {endpoint}, {len(models)} models")


def _mqtt_login(password: str) -> str:
    """As an options file says it."""
    return f"-u carbon\n-P {password}\n"


def _mosquitto_rr(env: Environment, endpoint: Endpoint, login: str, text: str) -> Finished:
    """Publishes a text under a topic that it has subscribed to, and prints what comes back within 10 s."""
    topic = f"carbon-verify/{secrets.token_hex(8)}"
    return env.run(
        *("sh", "-c", _MOSQUITTO_RR, "sh"),
        # Not the wrapper in front of it, which logs in by itself.
        *(str(env.path("/usr/bin/mosquitto_rr")), "-h", endpoint.host, "-p", str(endpoint.port)),
        *(("--cafile", str(endpoint.certificate)) if endpoint.certificate else ()),
        *("-t", topic, "-e", topic, "-m", text, "-W", "10"),
        stdin=login,
    )


def _qdrant(env: Environment, method: str, path: str, body: Any = None, *, key: str) -> Response:
    return request(
        env.endpoint("qdrant", "qdrant"),
        path,
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
    answer = request(endpoint, path)
    if answer.status != 200:
        raise CheckFailed(f"{endpoint} answers {answer.status} to {path}")
    return answer.json()
