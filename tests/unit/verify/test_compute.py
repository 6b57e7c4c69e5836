from __future__ import annotations

import base64
import json
from http.server import BaseHTTPRequestHandler
from typing import Any

from verify.checks.compute import llm, spark

from .fakes import SECRETS, WorkspaceTestCase, reply


class Spark(WorkspaceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.stack("spark-master", "spark-worker")

    def serve(self, *states: str, status: str = "ALIVE", open_to_all: bool = False) -> None:
        """A master with a worker in each of the states, and a login unless it is `open_to_all`."""
        login = base64.b64encode(f"carbon:{SECRETS['spark']}".encode()).decode()
        workers = [{"state": state, "cores": 2, "memory": 1280} for state in states]
        master = json.dumps({"status": status, "workers": workers})

        def answer(http: BaseHTTPRequestHandler) -> None:
            if not open_to_all and http.headers["Authorization"] != f"Basic {login}":
                reply(http, 401, "Spark's pages need a login.")
            else:
                reply(http, 200 if http.path == "/json/" else 302, master)

        self.listen_http("sparkUi", answer)

    def test_is_skipped_where_there_is_none(self) -> None:
        self.stack("redis")
        self.assertResult(self.run_check(spark), "SKIP", "spark-master is not in this stack")

    def test_passes_and_counts_the_workers_that_are_alive(self) -> None:
        self.serve("ALIVE", "DEAD", "ALIVE")
        self.assertResult(self.run_check(spark), "PASS", "workers: 2 with 4 cores and 2560 MiB")

    def test_fails_where_no_login_is_needed(self) -> None:
        self.serve("ALIVE", open_to_all=True)
        self.assertResult(self.run_check(spark), "FAIL", "the master's page answers 200 to no login")

    def test_fails_where_no_worker_is_alive(self) -> None:
        self.serve("DEAD")
        result = self.run_check(spark)
        self.assertResult(result, "FAIL", "no worker that is alive")
        self.assertIn("docker logs carbon-dev-spark-worker-1", result.hint)

    def test_passes_without_workers_where_the_suite_runs_none(self) -> None:
        self.stack("spark-master")
        self.serve()
        self.assertResult(self.run_check(spark), "PASS", "workers: 0")

    def test_fails_where_the_master_is_not_alive(self) -> None:
        self.serve("ALIVE", status="RECOVERING")
        self.assertResult(self.run_check(spark), "FAIL", "the master is RECOVERING")

    def test_fails_where_nobody_listens(self) -> None:
        self.assertResult(self.run_check(spark), "FAIL", "no answer from 127.0.0.1:9")


class Llm(WorkspaceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.stack("llm")

    def serve(self, status: int, body: Any, *, key: str | None = SECRETS["llm"]) -> None:
        """A server with one API key; None: open to all."""

        def answer(http: BaseHTTPRequestHandler) -> None:
            if key and http.headers["Authorization"] != f"Bearer {key}":
                reply(http, 401, "Invalid API key")
            else:
                reply(http, status if http.path == "/v1/models" else 404, json.dumps(body))

        self.listen_http("llm", answer)

    def test_is_skipped_where_there_is_none(self) -> None:
        self.stack("redis")
        self.assertResult(self.run_check(llm), "SKIP", "llm is not in this stack")

    def test_passes_with_the_models_name(self) -> None:
        self.serve(200, {"data": [{"id": "tiny"}]})
        self.assertResult(self.run_check(llm), "PASS", "serves tiny, wrong API key refused")

    def test_is_skipped_without_a_model_and_says_what_to_do(self) -> None:
        advice = "no model yet: docker cp model.gguf carbon-dev-llm:/models/"
        self.serve(503, {"error": {"message": advice}})
        self.assertResult(self.run_check(llm), "SKIP", advice)

    def test_fails_where_the_model_is_broken(self) -> None:
        reason = "/models/a.gguf cannot be served: it is no GGUF file of version 2 or 3"
        self.serve(503, {"error": {"message": reason, "type": "broken_model"}})
        self.assertResult(self.run_check(llm), "FAIL", reason)

    def test_fails_where_no_key_is_needed(self) -> None:
        self.serve(200, {"data": [{"id": "tiny"}]}, key=None)
        self.assertResult(self.run_check(llm), "FAIL", "answers 200 to no API key")

    def test_fails_where_the_right_key_is_refused(self) -> None:
        self.serve(200, {"data": [{"id": "tiny"}]}, key="another")
        self.assertResult(self.run_check(llm), "FAIL", "answers 401 to /v1/models")

    def test_fails_where_it_serves_nothing(self) -> None:
        self.serve(200, {"data": []})
        self.assertResult(self.run_check(llm), "FAIL", "lists no model")

    def test_fails_where_nobody_listens(self) -> None:
        result = self.run_check(llm)
        self.assertResult(result, "FAIL", "no answer from 127.0.0.1:9")
        self.assertIn("docker logs carbon-dev-llm", result.hint)
