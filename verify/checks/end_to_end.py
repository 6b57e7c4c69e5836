"""From the workspace to what its programs use beyond it: the kernels on the user's machine, and the LLM."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import secrets
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from ..check import check, gpu
from ..environment import Endpoint, Environment
from ..outcome import CheckFailed, CheckSkipped, Outcome, passed
from ..protocols.http import BODY_LIMIT, request

_HTTP_PORT = 80
_ANSWER_LIMIT = 90.0
"""Seconds that a model may take for a few words; a large one is loaded first."""


@check(
    "gateway",
    expected="the list of kernels with the token; no token and a wrong one are refused",
    hint="./carbon gpu status",
    needs=(gpu("host"),),
)
def gateway(env: Environment) -> Outcome:
    """The gateway of the host's kernels answers the workspace, and only with the token.

    It is shown the token once it has proved that it knows it, as any client of the suite's does.

    Expected: Jupyter's REST API (jupyter-server.readthedocs.io, "REST API"): GET /api/kernelspecs lists kernels, and
    is refused with 401 or 403 without a login.
    """
    address = urlsplit(env.gateway)
    endpoint = Endpoint(address.hostname or "", address.port or _HTTP_PORT)

    def kernels(token: str) -> Any:
        headers = {"Authorization": f"token {token}"} if token else {}
        return request(endpoint, "/api/kernelspecs", headers=headers)

    for token, what in (("", "no token"), (secrets.token_hex(24), "a wrong token")):
        status = kernels(token).status
        if status not in (401, 403):
            raise CheckFailed(
                f"the gateway answers {status} to {what}",
                "everybody who reaches it runs programs as you: ./carbon gpu stop, then ./carbon gpu rotate",
            )
    nonce = secrets.token_hex(32)
    said = request(endpoint, f"/carbon/proof?nonce={nonce}")
    expected = hmac.new(env.secret("gpu").encode(), f"carbon gateway {nonce}".encode(), hashlib.sha256).hexdigest()
    if said.status != 200 or not hmac.compare_digest(said.body.encode(), expected.encode()):
        raise CheckFailed(
            "what answers there does not know the token: it is another program, or has another token",
            "./carbon gpu status",
        )
    answer = kernels(env.secret("gpu"))
    if answer.status != 200:
        raise CheckFailed(f"the gateway answers {answer.status} to its token", "./carbon up")
    names = sorted(answer.json().get("kernelspecs", {}))
    if not names:
        raise CheckFailed("the gateway has no kernel", "./carbon gpu install")
    return passed(f"{endpoint}: {', '.join(names)}; wrong token refused")


@check(
    "completion",
    expected="words of a model, by the address and the key that the workspace's programs use",
    hint="the service: docker logs {llm}; with carbon:llm host: ./carbon gpu status",
    limit=_ANSWER_LIMIT + 10,
)
def completion(env: Environment) -> Outcome:
    """The LLM that the settings name completes a sentence.

    Expected: OpenAI's API (platform.openai.com/docs/api-reference): GET /models lists one, POST /chat/completions
    answers with a choice. Until it has a model the suite's own server answers 503.
    """
    address = env.variables.get("OPENAI_BASE_URL") or env.variables.get("CARBON_LLM_URL", "")
    if not address:
        raise CheckSkipped("no LLM is in this stack: neither OPENAI_BASE_URL nor CARBON_LLM_URL is set")
    models = _ask(env, f"{address}/models")
    names = [str(model.get("id")) for model in models.get("data") or []]
    if not names:
        raise CheckFailed(f"{address} lists no model")
    question = {
        "model": names[0],
        "messages": [{"role": "user", "content": "Say yes."}],
        "max_tokens": 8,
    }
    answer = _ask(env, f"{address}/chat/completions", question)
    choices = answer.get("choices") or [{}]
    text = str(choices[0].get("message", {}).get("content") or "")
    tokens = int((answer.get("usage") or {}).get("completion_tokens") or 0)
    if not text.strip() and not tokens:
        raise CheckFailed(f"{address}: {names[0]} completes nothing")
    return passed(f"{address}: {names[0]} says {text.strip()[:40]!r}")


def _ask(env: Environment, url: str, body: Any = None) -> dict[str, Any]:
    """An answer of the API's; `url` may be anybody's, so that a proxy and the system's authorities count."""
    headers = {"Content-Type": "application/json"}
    if env.has_secret("llm"):
        headers["Authorization"] = f"Bearer {env.secret('llm')}"
    data = None if body is None else json.dumps(body).encode()
    try:
        asked = urllib.request.Request(url, data, headers)
        with urllib.request.urlopen(asked, timeout=_ANSWER_LIMIT) as answer:
            document = json.loads(answer.read(BODY_LIMIT))
    except urllib.error.HTTPError as error:
        said = error.read(BODY_LIMIT).decode("utf-8", "replace")
        if error.code == 503:
            raise CheckSkipped(_message(said) or "no model yet") from error
        raise CheckFailed(f"{url} answers {error.code}: {_message(said) or error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise CheckFailed(f"no answer from {url}: {getattr(reason, 'strerror', None) or reason}") from error
    except ValueError as error:
        raise CheckFailed(f"{url} answers with something else than JSON") from error
    if not isinstance(document, dict):
        raise CheckFailed(f"{url} answers with something else than a JSON object")
    return document


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return ""
