from __future__ import annotations

import base64
import hashlib
import json
import socket
from collections.abc import Callable, Collection
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs

from verify.checks.web import code_server, jupyter, novnc

from .fakes import SECRETS, ServerTls, WorkspaceTestCase, form, reply, self_signed

BANNER = b"RFB 003.008\n"
CONFIDENTIAL = "Too Confidential"


class Jupyter(WorkspaceTestCase):
    def serve(
        self,
        *,
        tokens: Collection[str] | None = None,
        refuses: Collection[str] = (),
        tls: ServerTls | None = None,
    ) -> None:
        """Lets in whoever has one of the tokens; without any, everybody but those it refuses."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            token = request.headers.get("Authorization", "").removeprefix("token ")
            if request.path == "/api":
                reply(request, 200, json.dumps({"version": "2.17.0"}))
            elif token in tokens if tokens is not None else token not in refuses:
                reply(request, 200, json.dumps({"kernels": 0}))
            else:
                reply(request, 403)

        self.listen_http("jupyter", answer, tls)

    def test_passes_where_the_token_and_nothing_else_opens(self) -> None:
        self.serve(tokens={SECRETS["jupyter"]})
        self.assertResult(
            self.run_check(jupyter), "PASS", "2.17.0", "right token 200, wrong token 403, no token 403"
        )

    def test_fails_where_everybody_is_let_in(self) -> None:
        self.serve()
        self.assertResult(self.run_check(jupyter), "FAIL", "wrong token 200, no token 200")

    def test_fails_where_no_token_is_needed_though_a_wrong_one_is_refused(self) -> None:
        self.serve(tokens={SECRETS["jupyter"], ""})
        self.assertResult(self.run_check(jupyter), "FAIL", "wrong token 403, no token 200")

    def test_fails_where_any_token_will_do(self) -> None:
        self.serve(refuses={""})
        self.assertResult(self.run_check(jupyter), "FAIL", "wrong token 200, no token 403")

    def test_fails_where_the_right_token_is_refused(self) -> None:
        self.serve(tokens={"another"})
        self.assertResult(self.run_check(jupyter), "FAIL", "right token 403")

    def test_fails_where_nothing_listens(self) -> None:
        self.assertResult(self.run_check(jupyter), "FAIL", "no answer from 127.0.0.1:9: Connection refused")

    def test_fails_where_something_else_listens(self) -> None:
        self.listen_http("jupyter", lambda request: reply(request, 200, "<html>"))
        self.assertResult(self.run_check(jupyter), "FAIL", "the answer is not JSON")
        self.listen("jupyter", lambda connection: connection.sendall(BANNER))
        self.assertResult(self.run_check(jupyter), "FAIL", "no answer from 127.0.0.1")

    def test_with_tls_on_it_wants_the_certificate_that_it_knows_and_says_so(self) -> None:
        self.stack(tls=True)
        self.serve(tokens={SECRETS["jupyter"]}, tls=self_signed())
        self.assertResult(self.run_check(jupyter), "PASS", "TLS, certificate verified")

    def test_with_tls_on_a_server_without_it_is_a_fail(self) -> None:
        self.stack(tls=True)
        self.serve(tokens={SECRETS["jupyter"]})
        self.assertResult(self.run_check(jupyter), "FAIL", "over TLS")

    def test_fails_without_the_secrets_file(self) -> None:
        self.serve(tokens=set())
        (self.root / "run/carbon/secrets/jupyter").unlink()
        self.assertResult(self.run_check(jupyter), "FAIL", "/run/carbon/secrets/jupyter is missing")


class CodeServer(WorkspaceTestCase):
    def serve(
        self, *, password: str = SECRETS["code-server"], locked: bool = True, state: str = "expired"
    ) -> None:
        def answer(request: BaseHTTPRequestHandler) -> None:
            if request.path == "/healthz":
                reply(request, 200, json.dumps({"status": state, "lastHeartbeat": 0}))
            elif request.command == "GET":
                reply(request, 302, Location="./login?to=%2F") if locked else reply(request, 200, "<html>")
            elif parse_qs(form(request)).get("password") == [password]:
                reply(request, 302, Location="/", Set_Cookie=f"code-server-session={CONFIDENTIAL}; Path=/")
            else:
                reply(request, 200, "Incorrect password")

        self.listen_http("codeServer", answer)

    def test_passes_where_the_password_is_asked_for_and_taken(self) -> None:
        self.serve()
        result = self.run_check(code_server)
        self.assertResult(result, "PASS", "answers, asks for the password")
        self.assertNotIn(CONFIDENTIAL, repr(result))

    def test_fails_where_no_password_is_asked_for(self) -> None:
        self.serve(locked=False)
        self.assertResult(self.run_check(code_server), "FAIL", "asks for no password: / answers 200")

    def test_fails_where_the_right_password_is_refused(self) -> None:
        self.serve(password="another")
        self.assertResult(self.run_check(code_server), "FAIL", "refuses the right password (200)")

    def test_fails_on_another_state(self) -> None:
        self.serve(state="dying")
        self.assertResult(self.run_check(code_server), "FAIL", "/healthz says 'dying'")


class NoVnc(WorkspaceTestCase):
    def serve(
        self,
        websocket: Callable[[socket.socket, str], None],
        page: dict[str, tuple] | None = None,
        *,
        lets_everybody_in: bool = False,
        tls: ServerTls | None = None,
        password: str = SECRETS["desktop"],
        asks_for_login: bool = True,
    ) -> None:
        """`page`: status, body and Location of each path. With `tls` there is a login, which sets a cookie."""
        pages = page or {"/": (200, "<title>noVNC</title>", "")}

        def answer(request: BaseHTTPRequestHandler) -> None:
            logged_in = not (tls and asks_for_login) or request.headers["Cookie"] == f"session={CONFIDENTIAL}"
            own_page = f"{'https' if tls else 'http'}://{request.headers['Host']}"
            if request.path == "/websockify":
                if lets_everybody_in or (logged_in and request.headers["Origin"] == own_page):
                    request.wfile.flush()
                    websocket(request.connection, request.headers["Sec-WebSocket-Key"])
                else:
                    reply(request, 403)
            elif request.command == "POST":
                if parse_qs(form(request)).get("password") == [password]:
                    reply(request, 303, Location="/", Set_Cookie=f"session={CONFIDENTIAL}; Path=/; HttpOnly")
                else:
                    reply(request, 401)
            elif not logged_in:
                reply(request, 303, Location="/login")
            else:
                status, body, location = pages.get(request.path, (404, "", ""))
                reply(request, status, body, **({"Location": location} if location else {}))

        self.listen_http("novnc", answer, tls)

    def test_fails_where_the_websocket_takes_other_pages(self) -> None:
        self.serve(lambda connection, key: accept(connection, key, frame(BANNER)), lets_everybody_in=True)
        self.assertResult(self.run_check(novnc), "FAIL", "the websocket lets another page in")

    def test_with_tls_on_it_logs_in(self) -> None:
        self.stack(tls=True)
        self.serve(lambda connection, key: accept(connection, key, frame(BANNER)), tls=self_signed())
        result = self.run_check(novnc)
        self.assertResult(result, "PASS", "websocket reaches RFB 3.8, another page refused; TLS")
        self.assertNotIn(CONFIDENTIAL, repr(result))

    def test_with_tls_on_it_fails_without_a_login_or_where_the_password_is_refused(self) -> None:
        self.stack(tls=True)
        tls = self_signed()
        self.serve(lambda connection, key: accept(connection, key, frame(BANNER)), tls=tls, asks_for_login=False)
        self.assertResult(self.run_check(novnc), "FAIL", "asks for no login: / answers 200")
        self.serve(lambda connection, key: accept(connection, key, frame(BANNER)), tls=tls, password="another")
        self.assertResult(self.run_check(novnc), "FAIL", "refuses the right password (401)")

    def test_passes_where_the_websocket_reaches_a_vnc_server(self) -> None:
        self.serve(lambda connection, key: accept(connection, key, frame(BANNER)))
        self.assertResult(self.run_check(novnc), "PASS", "page 200, websocket reaches RFB 3.8")

    def test_puts_a_banner_together_that_comes_in_pieces_with_a_ping_between(self) -> None:
        pieces = (
            frame(BANNER[:5], opcode=2, last=False) + frame(b"ping", opcode=9) + frame(BANNER[5:], opcode=0)
        )
        self.serve(lambda connection, key: accept(connection, key, pieces))
        self.assertResult(self.run_check(novnc), "PASS")

    def test_reads_long_frames(self) -> None:
        for padding in (200, 70_000):
            with self.subTest(padding):
                self.serve(
                    lambda connection, key, size=padding: accept(connection, key, frame(BANNER + b"x" * size))
                )
                self.assertResult(self.run_check(novnc), "PASS")

    def test_follows_the_redirect_to_the_page(self) -> None:
        pages = {"/": (302, "", "vnc.html?resize=remote"), "/vnc.html?resize=remote": (200, "noVNC", "")}
        self.serve(lambda connection, key: accept(connection, key, frame(BANNER)), pages)
        self.assertResult(self.run_check(novnc), "PASS")

    def test_fails_without_a_page(self) -> None:
        for page, observed in (
            ((404, "", ""), "no page at /: 404"),
            ((302, "", "gone.html"), "no page at /: 404"),
            ((200, "<title>Directory listing for /</title>", ""), "/ is a directory listing"),
        ):
            self.serve(lambda connection, key: accept(connection, key, frame(BANNER)), {"/": page})
            self.assertResult(self.run_check(novnc), "FAIL", observed)

    def test_fails_where_the_websocket_is_refused(self) -> None:
        self.serve(lambda connection, _: connection.sendall(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n"))
        self.assertResult(self.run_check(novnc), "FAIL", "refused: 405 Method Not Allowed")

    def test_fails_where_the_answer_belongs_to_another_key(self) -> None:
        self.serve(lambda connection, _: accept(connection, "bm90IHRoZSBrZXk=", frame(BANNER)))
        self.assertResult(self.run_check(novnc), "FAIL", "does not fit its key")

    def test_fails_where_no_vnc_server_is_behind_it(self) -> None:
        gone = frame(b"\x03\xf3Failed to connect to downstream server", opcode=8)
        self.serve(lambda connection, key: accept(connection, key, gone))
        self.assertResult(self.run_check(novnc), "FAIL", "closed: Failed to connect to downstream server")

    def test_fails_where_something_else_is_behind_it(self) -> None:
        self.serve(lambda connection, key: accept(connection, key, frame(b"SSH-2.0-OpenSSH_10")))
        self.assertResult(self.run_check(novnc), "FAIL", "not a VNC server")


def accept(connection: socket.socket, key: str, frames: bytes) -> None:
    """The server's side of the handshake (RFC 6455, §4.2.2), then frames, then the client's goodbye."""
    digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}", "", ""]
    connection.sendall("\r\n".join(lines).encode() + frames)
    while connection.recv(1024):
        continue


def frame(payload: bytes, opcode: int = 2, last: bool = True) -> bytes:
    """A server's frame (RFC 6455, §5.2)."""
    length = len(payload)
    if length < 126:
        size = bytes([length])
    elif length < 1 << 16:
        size = b"\x7e" + length.to_bytes(2, "big")
    else:
        size = b"\x7f" + length.to_bytes(8, "big")
    return bytes([(0x80 if last else 0) | opcode]) + size + payload
