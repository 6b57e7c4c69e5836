"""Spark and the LLM server, which run from the compute image, over the network."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from ..check import check, service
from ..environment import Environment
from ..outcome import CheckFailed, CheckSkipped, Outcome, passed
from ..protocols.http import Response, request


@check(
    "spark",
    expected="the master is ALIVE and has a worker that is; its page refuses a wrong login",
    hint="docker logs {spark-master}; docker logs {spark-worker}",
    needs=(service("spark-master"),),
)
def spark(env: Environment) -> Outcome:
    """Spark's master is alive, has workers to give jobs to, and shows its page to nobody without the login.

    Expected: the states that Spark's master reports at /json (its MasterWebUI). Where the suite runs no workers,
    none are expected.
    """
    for login, what in (("", "no login"), (secrets.token_hex(12), "a wrong login")):
        status = _master(env, login).status
        if status != 401:
            raise CheckFailed(f"the master's page answers {status} to {what}")
    answer = _master(env, env.secret("spark"))
    if answer.status != 200:
        raise CheckFailed(f"the master answers {answer.status} to /json/")
    master = answer.json()
    if master.get("status") != "ALIVE":
        raise CheckFailed(f"the master is {master.get('status')}")
    alive = [worker for worker in master.get("workers", []) if worker.get("state") == "ALIVE"]
    if not alive and "spark-worker" in env.services:
        raise CheckFailed("the master has no worker that is alive")
    cores, memory = _sum(alive, "cores"), _sum(alive, "memory")
    return passed(
        f"master alive, workers: {len(alive)} with {cores} cores and {memory} MiB, wrong login refused"
    )


@check(
    "llm",
    expected="the model's name; no API key and a wrong one are refused",
    hint="docker logs {llm}",
    needs=(service("llm"),),
)
def llm(env: Environment) -> Outcome:
    """The LLM server takes its API key and no other, and serves a model.

    Expected: 401 without the key; with it, the list of OpenAI's GET /v1/models. Until its volume holds a model the
    server answers 503 and says how to put one there; of one that it cannot serve, it says why.
    """
    for key, what in (("", "no API key"), (secrets.token_hex(12), "a wrong API key")):
        status = _models(env, key).status
        if status not in (401, 403):
            raise CheckFailed(f"the LLM server answers {status} to {what}")
    answer = _models(env, env.secret("llm"))
    if answer.status == 503:
        error = answer.json().get("error", {})
        message = str(error.get("message", "no model yet"))
        raise (CheckFailed if error.get("type") == "broken_model" else CheckSkipped)(message)
    if answer.status != 200:
        raise CheckFailed(f"the LLM server answers {answer.status} to /v1/models")
    names = [str(model.get("id")) for model in answer.json().get("data", [])]
    if not names:
        raise CheckFailed("the LLM server lists no model")
    return passed(f"serves {', '.join(names)}, wrong API key refused")


def _sum(workers: list[dict[str, Any]], field: str) -> int:
    return sum(int(worker.get(field, 0)) for worker in workers)


def _master(env: Environment, password: str) -> Response:
    login = base64.b64encode(f"carbon:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {login}"} if password else {}
    return request(env.endpoint("spark-master", "sparkUi"), "/json/", headers=headers)


def _models(env: Environment, key: str) -> Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return request(env.endpoint("llm", "llm"), "/v1/models", headers=headers)
