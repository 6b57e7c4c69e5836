from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler
from typing import Any

from verify.checks.services import mongodb, mosquitto, ollama, qdrant

from .fakes import SECRETS, ServerTls, WorkspaceTestCase, form, reply, self_signed


# A mosquitto_rr with a broker behind it that has one user; exit codes are MQTT 5's reason codes, as the program's own.
MOSQUITTO_RR = """
import json, os, pathlib, sys

arguments = sys.argv[1:]
file = pathlib.Path(os.environ["XDG_CONFIG_HOME"], "mosquitto_rr")
login = file.read_text()
with open(log, "a") as noted:
    json.dump({"arguments": arguments, "login": login, "mode": file.stat().st_mode & 0o777}, noted)
    noted.write("\\n")
entered = login == f"-u carbon\\n-P {password}\\n" or (any_password and login) or open_to_all
if not entered:
    print("Connection error: refused", file=sys.stderr)
    sys.exit(refusal)
print(message or arguments[arguments.index("-m") + 1])
"""


class Mosquitto(WorkspaceTestCase):
    def serve(self, *, tls: ServerTls | None = None, **changes: Any) -> None:
        """A broker that takes the right password alone and passes messages on, unless `changes` say otherwise."""
        self.log = self.root / "mosquitto.log"
        usual = {"password": SECRETS["mosquitto"], "any_password": False, "open_to_all": False}
        settings = {**usual, "refusal": 135, "message": "", **changes}
        self.script("/usr/bin/mosquitto_rr", MOSQUITTO_RR, log=str(self.log), **settings)
        self.listen("mqtt", lambda _: None, tls)

    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def test_passes_on_a_topic_of_its_own(self) -> None:
        self.serve()
        self.assertResult(self.run_check(mosquitto), "PASS", "message published and received")
        self.run_check(mosquitto)
        topics = [call["arguments"][call["arguments"].index("-t") + 1] for call in self.calls()]
        self.assertEqual((len(topics), len(set(topics))), (6, 6))

    def test_the_password_is_on_no_argument_list_and_in_a_file_of_its_own(self) -> None:
        self.serve()
        self.run_check(mosquitto)
        for call in self.calls():
            self.assertNotIn(SECRETS["mosquitto"], repr(call["arguments"]))
            self.assertEqual(call["mode"], 0o600)

    def test_fails_where_anybody_is_let_in(self) -> None:
        self.serve(open_to_all=True)
        self.assertResult(self.run_check(mosquitto), "FAIL", "lets no password in")

    def test_fails_where_any_password_is_taken(self) -> None:
        self.serve(any_password=True)
        self.assertResult(self.run_check(mosquitto), "FAIL", "lets a wrong password in")

    def test_fails_where_the_right_password_is_refused(self) -> None:
        self.serve(password="another")
        self.assertResult(self.run_check(mosquitto), "FAIL", "the right password: exit code 135: Connection error")

    def test_fails_where_the_login_is_refused_for_another_reason(self) -> None:
        self.serve(refusal=27)
        self.assertResult(self.run_check(mosquitto), "FAIL", "no password, but for another reason: exit code 27")

    def test_fails_where_another_message_comes_back(self) -> None:
        self.serve(message="noise")
        self.assertResult(self.run_check(mosquitto), "FAIL", "received 'noise'")

    def test_fails_where_nobody_listens(self) -> None:
        self.assertResult(self.run_check(mosquitto), "FAIL", "no answer from 127.0.0.1:9")

    def test_with_tls_on_it_takes_the_services_own_certificate(self) -> None:
        self.stack("mosquitto", tls=True)
        self.serve(tls=self_signed())
        self.assertResult(self.run_check(mosquitto), "PASS", "TLS, certificate verified")
        certificate = str(self.root / "run/carbon/tls/mosquitto.pem")
        for call in self.calls():
            self.assertEqual(call["arguments"][call["arguments"].index("--cafile") + 1], certificate)

    def test_with_tls_on_it_fails_where_another_certificate_is_shown(self) -> None:
        self.stack("mosquitto", tls=True)
        self.serve(tls=self_signed())
        self.certificate("mosquitto", self_signed().certificate)
        result = self.run_check(mosquitto)
        self.assertResult(result, "FAIL", "shows a certificate that is not its own")
        self.assertIn("docker restart", result.hint)


# pymongo with a MongoDB behind it that has one user. The probe is run by this Python, with this in its way.
PYMONGO = """
class OperationFailure(Exception):
    def __init__(self, code, message):
        super().__init__(message + ", full error: {...}")
        self.code = code

class PyMongoError(Exception):
    pass

collections = {}

class Collection:
    def __init__(self, name):
        self.name = name
        collections[name] = []

    def insert_one(self, document):
        collections[self.name] += [] if settings["forgetful"] else [document]

    def find(self, wanted):
        if settings["broken"]:
            raise PyMongoError("the connection broke, Timeout: 10.0s, Topology Description: <...>")
        return collections[self.name]

    def drop(self):
        del collections[self.name]
        with open(settings["log"], "a") as log:
            log.write(f"dropped {self.name}, left {len(collections)}\\n")

class MongoClient:
    def __init__(self, host, port, directConnection, serverSelectionTimeoutMS, password=None, **login):
        assert login in ({}, {"username": "carbon", "authMechanism": "SCRAM-SHA-256"}), login
        self.password = password

    def list_database_names(self):
        if settings["open_to_all"] or (settings["any_password"] and self.password):
            return []
        if self.password is None:
            raise OperationFailure(13, "Command listDatabases requires authentication")
        if self.password != settings["password"]:
            raise OperationFailure(settings["refusal"], "Authentication failed.")
        return []

    def __getitem__(self, name):
        assert name == "carbon_verify"
        return Database()

    def server_info(self):
        return {"version": "8.0.28"}

class Database:
    def __getitem__(self, name):
        return Collection(name)
"""


class Mongodb(WorkspaceTestCase):
    def serve(self, **changes: Any) -> None:
        """A MongoDB that takes the right password alone and keeps documents, unless `changes` say otherwise."""
        self.log = self.root / "mongodb.log"
        usual = {"open_to_all": False, "any_password": False, "forgetful": False, "broken": False, "refusal": 18}
        settings = {**usual, "password": SECRETS["mongodb"], "log": str(self.log), **changes}
        source = f"settings = {settings!r}\n{PYMONGO}"
        self.write("/lib/pymongo/__init__.py", source)
        self.write("/lib/pymongo/errors.py", "from pymongo import OperationFailure, PyMongoError\n")
        # In place of -I, which keeps the pretended library out.
        start = f'shift; PYTHONPATH={self.root}/lib exec {sys.executable} "$@"'
        self.program("/opt/database-clients/bin/python", body=start)
        self.listen("mongodb", lambda _: None)

    def test_passes_and_leaves_no_collection(self) -> None:
        self.serve()
        self.assertResult(self.run_check(mongodb), "PASS", "MongoDB 8.0.28")
        self.run_check(mongodb)
        first, second = self.log.read_text().splitlines()
        self.assertNotEqual(first, second)
        self.assertIn("left 0", first)

    def test_is_skipped_where_the_image_has_no_client(self) -> None:
        self.serve()
        self.image("base", [])
        self.assertResult(self.run_check(mongodb), "SKIP", "answers; its logins were not tried")

    def test_fails_without_an_answer_where_the_image_has_no_client(self) -> None:
        self.image("base", [])
        self.assertResult(self.run_check(mongodb), "FAIL", "no answer from 127.0.0.1:9")

    def test_fails_where_no_password_is_needed(self) -> None:
        self.serve(open_to_all=True)
        self.assertResult(self.run_check(mongodb), "FAIL", "lets no password in")

    def test_fails_where_any_password_is_taken(self) -> None:
        self.serve(any_password=True)
        self.assertResult(self.run_check(mongodb), "FAIL", "lets a wrong password in")

    def test_fails_where_a_wrong_password_is_refused_for_another_reason(self) -> None:
        self.serve(refusal=None)
        self.assertResult(self.run_check(mongodb), "FAIL", "a wrong password, but for another reason")

    def test_fails_where_the_right_password_is_refused(self) -> None:
        self.serve(password="another")
        self.assertResult(self.run_check(mongodb), "FAIL", "refuses the right password: Authentication failed.")

    def test_fails_where_the_document_does_not_come_back_and_drops_the_collection(self) -> None:
        self.serve(forgetful=True)
        self.assertResult(self.run_check(mongodb), "FAIL", "inserted one document, found []")
        self.serve(broken=True)
        self.assertResult(self.run_check(mongodb), "FAIL", "mongodb does not work: exit code 1: the connection broke")
        self.assertEqual(self.log.read_text().count("left 0"), 2)

    def test_fails_where_nobody_listens(self) -> None:
        self.assertResult(self.run_check(mongodb), "FAIL", "no answer from 127.0.0.1:9")


class Qdrant(WorkspaceTestCase):
    def serve(self, *, key: str | None = SECRETS["qdrant"], nearest: int = 2, broken: str = "") -> None:
        """A Qdrant with one API key (None: open to all) that always finds the same point."""
        self.requests: list[str] = []

        def answer(http: BaseHTTPRequestHandler) -> None:
            body = json.loads(form(http)) if http.headers["Content-Length"] else None
            if key and http.headers["api-key"] != key:
                reply(http, 401, "Must provide an API key or an Authorization bearer token")
                return
            self.requests.append(f"{http.command} {http.path.partition('?')[0]}")
            if http.command == broken:
                reply(http, 500)
                return
            result = {"points": [{"id": nearest}]} if body and "query" in body else True
            reply(http, 200, json.dumps({"result": result, "status": "ok", "version": "1.18.2"}))

        self.listen_http("qdrant", answer)

    def test_passes_and_deletes_its_collection(self) -> None:
        self.serve()
        self.assertResult(self.run_check(qdrant), "PASS", "Qdrant 1.18.2, nearest vector right")
        made, deleted = (line for line in self.requests if line.count("/") == 2)
        self.assertEqual(deleted, made.replace("PUT", "DELETE"))

    def test_fails_where_no_key_is_needed(self) -> None:
        self.serve(key=None)
        self.assertResult(self.run_check(qdrant), "FAIL", "answers 200 to no API key")

    def test_fails_where_the_right_key_is_refused(self) -> None:
        self.serve(key="another")
        self.assertResult(self.run_check(qdrant), "FAIL", "answers 401 to PUT /collections/carbon-verify-")

    def test_fails_where_another_vector_is_nearest(self) -> None:
        self.serve(nearest=1)
        self.assertResult(self.run_check(qdrant), "FAIL", "the nearest vector is [1], not [2]")

    def test_deletes_its_collection_also_where_the_query_fails(self) -> None:
        self.serve(broken="POST")
        self.assertResult(self.run_check(qdrant), "FAIL", "answers 500 to POST")
        self.assertTrue(self.requests[-1].startswith("DELETE /collections/carbon-verify-"))


class Ollama(WorkspaceTestCase):
    def serve(self, answers: dict[str, Any]) -> None:
        def answer(http: BaseHTTPRequestHandler) -> None:
            found = answers.get(http.path)
            reply(http, 200 if found else 404, json.dumps(found))

        self.stack("ollama")
        self.listen_http("ollama", answer)
        self.variables(OLLAMA_HOST=f"http://{self.fresh().endpoint('ollama', 'ollama')}")

    def test_is_skipped_where_there_is_none(self) -> None:
        self.assertResult(self.run_check(ollama), "SKIP", "service ollama is not in this stack")

    def test_passes_where_the_address_says(self) -> None:
        self.serve({"/api/version": {"version": "0.35.0"}, "/api/tags": {"models": [{"name": "a"}]}})
        self.assertResult(self.run_check(ollama), "PASS", "Ollama 0.35.0 at 127.0.0.1:", "1 models")

    def test_fails_where_nobody_listens(self) -> None:
        self.stack("ollama")
        self.variables(OLLAMA_HOST="http://127.0.0.1:9")
        result = self.run_check(ollama)
        self.assertResult(result, "FAIL", "no answer from 127.0.0.1:9")
        self.assertIn("docker logs carbon-dev-ollama", result.hint)

    def test_fails_where_something_else_answers(self) -> None:
        self.serve({})
        self.assertResult(self.run_check(ollama), "FAIL", "answers 404 to /api/version")
