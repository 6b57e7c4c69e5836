from __future__ import annotations

import hashlib
import hmac
import json
import socket
import subprocess
import sys
from pathlib import Path
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from verify.checks.end_to_end import completion, gateway

from .fakes import SECRETS, WorkspaceTestCase, form, reply


def proves(request: BaseHTTPRequestHandler) -> bool:
    """Answers a request for a proof, as the gateway does."""
    address = urlsplit(request.path)
    if address.path == "/carbon/proof":
        nonce = parse_qs(address.query)["nonce"][0]
        text = hmac.new(SECRETS["gpu"].encode(), f"carbon gateway {nonce}".encode(), hashlib.sha256).hexdigest()
        reply(request, 200, text)
    return address.path == "/carbon/proof"


def kernels(request: BaseHTTPRequestHandler) -> None:
    """A gateway that keeps its door shut."""
    if proves(request):
        return
    allowed = request.headers.get("Authorization") == f"token {SECRETS['gpu']}"
    specs = {"kernelspecs": {"mac-torch": {}, "mac-mlx": {}}}
    reply(request, 200 if allowed else 403, json.dumps(specs if allowed else {}))


class Gateway(WorkspaceTestCase):
    def serve(self, answer) -> None:
        self.gpu, self.gateway_port = "host", self.serve_http(answer)
        self.write_document()

    def test_passes_where_only_the_token_opens_it(self) -> None:
        self.serve(kernels)
        result = self.run_check(gateway)
        self.assertResult(result, "PASS", "mac-mlx, mac-torch; wrong token refused")
        self.assertNotIn(SECRETS["gpu"], str(result))

    def test_a_gateway_that_answers_without_a_token_is_a_fail_with_the_way_to_shut_it(self) -> None:
        self.serve(lambda request: reply(request, 200, '{"kernelspecs": {"mac-torch": {}}}'))
        result = self.run_check(gateway)
        self.assertResult(result, "FAIL", "answers 200 to no token")
        self.assertIn("./carbon gpu stop", result.hint)

    def test_a_gateway_that_takes_any_token_is_a_fail(self) -> None:
        self.serve(lambda request: reply(request, 200 if request.headers.get("Authorization") else 401, "{}"))
        self.assertResult(self.run_check(gateway), "FAIL", "answers 200 to a wrong token")

    def test_shows_the_token_to_none_that_does_not_know_it(self) -> None:
        shown: list[str] = []

        def stranger(request: BaseHTTPRequestHandler) -> None:
            shown.append(str(request.headers))
            reply(request, 200 if request.path.startswith("/carbon/proof") else 401, "0" * 64)

        self.serve(stranger)
        result = self.run_check(gateway)
        self.assertResult(result, "FAIL", "does not know the token")
        self.assertNotIn(SECRETS["gpu"], "".join(shown))

    def test_fails_where_it_refuses_its_own_token_or_has_no_kernel(self) -> None:
        self.serve(lambda request: proves(request) or reply(request, 403))
        self.assertResult(self.run_check(gateway), "FAIL", "answers 403 to its token")
        self.serve(
            lambda request: (
                proves(request)
                or (reply(request, 200, "{}") if SECRETS["gpu"] in str(request.headers) else reply(request, 401))
            )
        )
        self.assertResult(self.run_check(gateway), "FAIL", "has no kernel")

    def test_fails_where_nothing_listens(self) -> None:
        self.gpu = "host"
        self.write_document()
        result = self.run_check(gateway)
        self.assertResult(result, "FAIL", "no answer from 127.0.0.1:9")
        self.assertIn("./carbon gpu status", result.hint)

    def test_fails_where_something_listens_and_does_not_answer(self) -> None:
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        self.gpu, self.gateway_port = "host", silent.getsockname()[1]
        self.write_document()
        self.assertResult(self.run_check(gateway), "FAIL", "timed out")

    def test_is_skipped_where_the_gpu_is_not_the_hosts(self) -> None:
        self.assertResult(self.run_check(gateway), "SKIP", "carbon:gpu is off")


class Tokens(WorkspaceTestCase):
    """What `carbon verify --compare` runs in the workspace."""

    def measure(self, *addresses: str) -> list:
        probe = Path(__file__).parents[3] / "verify/probes/tokens_probe.py"
        ended = subprocess.run(
            [sys.executable, "-I", "-B", str(probe), *addresses], capture_output=True, text=True, check=True
        )
        return json.loads(ended.stdout)

    def test_counts_the_tokens_of_an_answer_after_one_that_does_not_count(self) -> None:
        asked: list[int] = []

        def answer(request: BaseHTTPRequestHandler) -> None:
            if request.path == "/v1/models":
                reply(request, 200, '{"data": [{"id": "tiny"}]}')
                return
            asked.append(json.loads(form(request))["max_tokens"])
            reply(request, 200, json.dumps({"usage": {"completion_tokens": asked[-1]}}))

        address = f"http://127.0.0.1:{self.serve_http(answer)}/v1"
        [seen, dead] = self.measure(address, "http://127.0.0.1:9/v1")
        self.assertEqual((seen["address"], seen["model"], seen["tokens"]), (address, "tiny", 64))
        self.assertGreater(seen["seconds"], 0)
        self.assertEqual(asked, [1, 64])
        self.assertIn("Connection refused", dead["error"])

    def test_says_why_a_server_was_not_measured(self) -> None:
        address = f"http://127.0.0.1:{self.serve_http(lambda request: reply(request, 503))}/v1"
        self.assertEqual(self.measure(address), [{"address": address, "error": "answers 503"}])


class Completion(WorkspaceTestCase):
    def serve(self, words: str | None = "Yes.", status: int = 200, **usage: int) -> None:
        def answer(request: BaseHTTPRequestHandler) -> None:
            if request.headers.get("Authorization") != f"Bearer {SECRETS['llm']}":
                reply(request, 401, '{"error": {"message": "no such key"}}')
            elif status != 200:
                reply(request, status, '{"error": {"message": "Put a model into the volume."}}')
            elif request.path == "/v1/models":
                reply(request, 200, '{"data": [{"id": "tiny.gguf"}]}')
            else:
                self.asked = json.loads(form(request))
                choice = {"message": {"content": words}}
                reply(request, 200, json.dumps({"choices": [choice], "usage": usage}))

        self.variables(OPENAI_BASE_URL=f"http://127.0.0.1:{self.serve_http(answer)}/v1")

    def test_passes_with_the_models_words(self) -> None:
        self.serve()
        self.assertResult(self.run_check(completion), "PASS", "/v1: tiny.gguf says 'Yes.'")
        self.assertEqual((self.asked["model"], self.asked["max_tokens"]), ("tiny.gguf", 8))

    def test_counts_tokens_that_are_no_letters(self) -> None:
        self.serve("\n", completion_tokens=8)
        self.assertResult(self.run_check(completion), "PASS")

    def test_fails_where_nothing_is_completed(self) -> None:
        self.serve("")
        self.assertResult(self.run_check(completion), "FAIL", "completes nothing")

    def test_is_skipped_with_the_servers_words_until_there_is_a_model(self) -> None:
        self.serve(status=503)
        self.assertResult(self.run_check(completion), "SKIP", "Put a model into the volume.")

    def test_fails_with_the_servers_words_for_any_other_answer(self) -> None:
        self.serve(status=500)
        self.assertResult(self.run_check(completion), "FAIL", "answers 500: Put a model")

    def test_fails_with_a_wrong_key_and_does_not_tell_it(self) -> None:
        self.serve()
        self.write("/run/carbon/secrets/llm", "WrongWrongWrong")
        result = self.run_check(completion)
        self.assertResult(result, "FAIL", "answers 401: no such key")
        self.assertNotIn("WrongWrong", str(result))

    def test_fails_where_nothing_listens(self) -> None:
        self.variables(OPENAI_BASE_URL="http://127.0.0.1:9/v1")
        self.assertResult(self.run_check(completion), "FAIL", "no answer from http://127.0.0.1:9/v1/models")

    def test_falls_back_to_the_suites_own_variable_and_is_skipped_without_any(self) -> None:
        self.assertResult(self.run_check(completion), "SKIP", "no LLM is in this stack")
        self.serve()
        address = self.env.variables["OPENAI_BASE_URL"]
        self.env.variables = {"CARBON_LLM_URL": address}
        self.assertResult(self.run_check(completion), "PASS")
