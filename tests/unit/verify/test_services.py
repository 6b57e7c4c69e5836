from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import socket
import struct
from http.server import BaseHTTPRequestHandler
from typing import Any

from verify.checks.services import mongodb, mosquitto, ollama, qdrant
from verify.protocols import bson, mongo

from .fakes import SECRETS, ServerTls, WorkspaceTestCase, form, reply, self_signed


def silent(connection: socket.socket) -> None:
    """Something else listens: it answers like a web server."""
    connection.recv(1024)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


class Mosquitto(WorkspaceTestCase):
    def serve(
        self,
        *,
        password: str = SECRETS["mosquitto"],
        open_to_all: bool = False,
        refusal: int = 5,
        message: bytes | None = None,
        tls: ServerTls | None = None,
    ) -> None:
        """A broker with one user, which sends each message back to whoever published it."""
        self.topics: list[str] = []

        def talk(connection: socket.socket) -> None:
            stream = connection.makefile("rwb")
            while head := stream.read(2):
                body = stream.read(head[1])
                if head[0] == 0x10:
                    right = body.endswith(password.encode()) and b"\x00\x06carbon" in body
                    answer = bytes([0x20, 2, 0, 0 if right or open_to_all else refusal])
                elif head[0] == 0x82:
                    self.topics.append(body[4:-1].decode())
                    answer = bytes([0x90, 3, *body[:2], 0])
                else:
                    end = 2 + int.from_bytes(body[:2], "big")
                    sent = body[:end] + (message or body[end:])
                    answer = bytes([0x30, len(sent)]) + sent
                stream.write(answer)
                stream.flush()

        self.listen("mosquitto", talk, tls)

    def test_passes_on_a_topic_of_its_own(self) -> None:
        self.serve()
        self.assertResult(self.run_check(mosquitto), "PASS", "message published and received")
        self.run_check(mosquitto)
        self.assertEqual(len(set(self.topics)), 2)

    def test_fails_where_anybody_is_let_in(self) -> None:
        self.serve(open_to_all=True)
        self.assertResult(self.run_check(mosquitto), "FAIL", "lets no password in")

    def test_fails_where_any_password_is_taken(self) -> None:
        self.serve(password="")
        self.assertResult(self.run_check(mosquitto), "FAIL", "lets a wrong password in")

    def test_fails_where_the_right_password_is_refused(self) -> None:
        self.serve(password="another")
        self.assertResult(self.run_check(mosquitto), "FAIL", "refuses the right password: code 5")

    def test_fails_where_the_login_is_refused_for_another_reason(self) -> None:
        self.serve(refusal=3)
        self.assertResult(self.run_check(mosquitto), "FAIL", "for another reason: code 3")

    def test_fails_where_another_message_comes_back(self) -> None:
        self.serve(message=b"noise")
        self.assertResult(self.run_check(mosquitto), "FAIL", "received 'noise'")

    def test_fails_where_something_else_listens(self) -> None:
        self.listen("mosquitto", silent)
        self.assertResult(self.run_check(mosquitto), "FAIL", "not an MQTT server")

    def test_with_tls_on_it_takes_the_services_own_certificate(self) -> None:
        self.variables(CARBON_TLS="on")
        self.serve(tls=self_signed())
        self.assertResult(self.run_check(mosquitto), "PASS", "TLS, certificate verified")

    def test_with_tls_on_it_fails_where_another_certificate_is_shown(self) -> None:
        self.variables(CARBON_TLS="on")
        self.serve(tls=self_signed())
        self.certificate("mosquitto", self_signed().certificate)
        result = self.run_check(mosquitto)
        self.assertResult(result, "FAIL", "shows a certificate that is not its own")
        self.assertIn("docker restart", result.hint)


class Mongodb(WorkspaceTestCase):
    def serve(
        self,
        *,
        password: str = SECRETS["mongodb"],
        open_to_all: bool = False,
        any_password: bool = False,
        knows_password: bool = True,
        forgetful: bool = False,
    ) -> None:
        """A MongoDB of a few commands, with one user."""
        self.collections: dict[str, list[Any]] = {}

        def talk(connection: socket.socket) -> None:
            session = Session(password, any_password, knows_password)
            session.entered = open_to_all
            while words := read_message(connection):
                send_message(connection, session.answer(words) or self.execute(words, session, forgetful))

        self.listen("mongodb", talk)

    def execute(self, words: dict[str, Any], session: Session, forgetful: bool) -> dict[str, Any]:
        if not session.entered:
            return {"ok": 0, "code": 13, "errmsg": "requires authentication"}
        name, collection = next(iter(words.items()))
        if name == "insert":
            self.collections[collection] = [] if forgetful else words["documents"]
        elif name == "find":
            return {"ok": 1, "cursor": {"firstBatch": self.collections[collection]}}
        elif name == "drop":
            del self.collections[collection]
        return {"ok": 1, "version": "8.0.28"}

    def test_passes_and_leaves_no_collection(self) -> None:
        self.serve()
        self.assertResult(self.run_check(mongodb), "PASS", "MongoDB 8.0.28")
        self.assertEqual(self.collections, {})

    def test_fails_where_no_password_is_needed(self) -> None:
        self.serve(open_to_all=True)
        self.assertResult(self.run_check(mongodb), "FAIL", "lets no password in")

    def test_fails_where_any_password_is_taken(self) -> None:
        self.serve(any_password=True, knows_password=False)
        self.assertResult(self.run_check(mongodb), "FAIL", "does not know the password itself")

    def test_fails_where_the_right_password_is_refused(self) -> None:
        self.serve(password="another")
        self.assertResult(self.run_check(mongodb), "FAIL", "refuses the right password: code 18")

    def test_fails_where_the_document_does_not_come_back(self) -> None:
        self.serve(forgetful=True)
        self.assertResult(self.run_check(mongodb), "FAIL", "inserted one document, found []")
        self.assertEqual(self.collections, {})

    def test_fails_where_something_else_listens(self) -> None:
        self.listen("mongodb", silent)
        self.assertResult(self.run_check(mongodb), "FAIL", "not a MongoDB server")


class Session:
    """The server's side of SCRAM-SHA-256 (RFC 5802), for one connection."""

    def __init__(self, password: str, any_password: bool, knows_password: bool) -> None:
        self.salt, self.rounds = secrets.token_bytes(16), 4096
        self.salted = hashlib.pbkdf2_hmac("sha256", password.encode(), self.salt, self.rounds)
        self.any_password, self.knows_password = any_password, knows_password
        self.entered = False

    def answer(self, words: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to a step of the login; None for any other command."""
        if "saslStart" in words:
            self.first = words["payload"].decode().removeprefix("n,,")
            nonce = self.first.partition("r=")[2] + secrets.token_hex(8)
            salt = base64.b64encode(self.salt).decode()
            self.challenge = f"r={nonce},s={salt},i={self.rounds}"
            return {"ok": 1, "conversationId": 1, "payload": self.challenge.encode()}
        if "saslContinue" in words:
            last, _, proof = words["payload"].decode().partition(",p=")
            said = f"{self.first},{self.challenge},{last}".encode()
            self.entered = self.any_password or self._proves(base64.b64decode(proof), said)
            if not self.entered:
                return {"ok": 0, "code": 18, "errmsg": "Authentication failed."}
            return {"ok": 1, "conversationId": 1, "payload": self._signature(said)}
        return None

    def _proves(self, proof: bytes, said: bytes) -> bool:
        stored = hashlib.sha256(self._digest(self.salted, b"Client Key")).digest()
        key = bytes(one ^ other for one, other in zip(proof, self._digest(stored, said)))
        return hashlib.sha256(key).digest() == stored

    def _signature(self, said: bytes) -> bytes:
        key = self._digest(self.salted, b"Server Key") if self.knows_password else b"another"
        return b"v=" + base64.b64encode(self._digest(key, said))

    @staticmethod
    def _digest(key: bytes, message: bytes) -> bytes:
        return hmac.digest(key, message, "sha256")


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

        self.listen_http("ollama", answer)
        self.variables(OLLAMA_HOST=f"http://{self.env.endpoints['ollama']}")

    def test_is_skipped_where_there_is_none(self) -> None:
        self.assertResult(self.run_check(ollama), "SKIP", "service ollama is not in CARBON_SERVICES")

    def test_passes_where_the_address_says(self) -> None:
        self.serve({"/api/version": {"version": "0.35.0"}, "/api/tags": {"models": [{"name": "a"}]}})
        self.assertResult(self.run_check(ollama), "PASS", "Ollama 0.35.0 at 127.0.0.1:", "1 models")

    def test_fails_where_nobody_listens(self) -> None:
        self.variables(OLLAMA_HOST="http://127.0.0.1:9")
        result = self.run_check(ollama)
        self.assertResult(result, "FAIL", "no answer from 127.0.0.1:9")
        self.assertIn("docker logs carbon-dev-ollama", result.hint)

    def test_fails_where_something_else_answers(self) -> None:
        self.serve({})
        self.assertResult(self.run_check(ollama), "FAIL", "answers 404 to /api/version")


class Scram(WorkspaceTestCase):
    def test_answers_the_example_of_rfc_7677(self) -> None:
        nonce = "rOprNGfwEbeRWgbNEkqO"
        challenge = f"r={nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        last, signature = mongo.answer_challenge("pencil", f"n=user,r={nonce}", challenge)
        self.assertTrue(last.endswith(b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), last)
        self.assertEqual(signature, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


class Bson(WorkspaceTestCase):
    def test_encodes_the_example_of_its_specification(self) -> None:
        example = b"\x16\x00\x00\x00\x02hello\x00\x06\x00\x00\x00world\x00\x00"
        self.assertEqual(bson.encode({"hello": "world"}), example)

    def test_comes_back_as_it_went(self) -> None:
        document = {"t": "ä", "n": -7, "b": True, "x": b"\x00", "d": {"l": [1, "two", {}]}, "e": ""}
        self.assertEqual(bson.decode(bson.encode(document)), document)

    def test_reads_what_only_servers_send(self) -> None:
        elements = (
            b"\x01d\x00" + struct.pack("<d", 1.5),
            b"\x12q\x00" + struct.pack("<q", 1 << 40),
            b"\x09t\x00" + struct.pack("<q", 1000),
            b"\x11s\x00" + struct.pack("<Q", 7),
            b"\x07o\x00" + b"123456789012",
            b"\x0an\x00",
        )
        body = b"".join(elements)
        read = bson.decode(struct.pack("<i", len(body) + 5) + body + b"\x00")
        self.assertEqual(
            read, {"d": 1.5, "q": 1 << 40, "t": 1000, "s": 7, "o": b"123456789012", "n": None}
        )


def read_message(connection: socket.socket) -> dict[str, Any]:
    """A client's command; empty at the end."""
    head = connection.recv(16, socket.MSG_WAITALL)
    if len(head) < 16:
        return {}
    length = struct.unpack_from("<i", head)[0] - 16
    return bson.decode(connection.recv(length, socket.MSG_WAITALL)[5:])


def send_message(connection: socket.socket, answer: dict[str, Any]) -> None:
    body = struct.pack("<IB", 0, 0) + bson.encode(answer)
    connection.sendall(struct.pack("<iiii", 16 + len(body), 1, 1, 2013) + body)
