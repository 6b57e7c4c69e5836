"""noVNC's page and its WebSocket to the X server: websockify, for the desktop's own page and nobody else's.

A web page that the user visits may send requests here from the user's browser. So the Host must be one that no
stranger's name can stand for (DNS rebinding), and the Origin must be that Host: another page, or one whose origin is
`null`, is refused before anything reaches the X server. Browsers always send one with a WebSocket (RFC 6455, 10.2); a
program that sends none is no page. With TLS on, which means a network, a login stands in front: VNC's own
password is eight characters by protocol (RFC 6143, 7.2.2).
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import logging
import multiprocessing
import os
import re
import secrets
import signal
import socket
import ssl
import time
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from websockify.websocketproxy import ProxyRequestHandler, WebSocketProxy

PORT = 6900
SECRETS = Path("/run/carbon/user")
SERVICES = Path("/run/carbon/services.json")
"""What runs in the stack, where somebody deployed one."""
PAGES = Path("/usr/share/novnc")
LOGIN_PAGE = Path("/usr/share/carbon/desktop-login.html")
PAUSE = 1.0
"""Seconds that a wrong password costs the one who sent it; others are served meanwhile."""
BODY_LIMIT = 1024
"""Bytes of a form."""
CONNECTIONS = 200
"""At a time; each is a process, and the container has a limit of those."""


def is_own_host(authority: str, names: frozenset[str]) -> bool:
    """Whether a Host header says an IP address, localhost, or one of this machine's `names`."""
    match = re.fullmatch(r"(\[[0-9a-f:.]+\]|[0-9a-z._-]+)(:[0-9]{1,5})?", authority.lower())
    if not match:
        return False
    host = match[1].strip("[]").removesuffix(".")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost") or host in names
    return True


def own_names() -> frozenset[str]:
    """The container's name, and those that clients outside know the machine by."""
    document = json.loads(SERVICES.read_text(encoding="utf-8")) if SERVICES.exists() else {}
    return frozenset(name.lower() for name in (socket.gethostname(), *document.get("tlsNames", [])))


def stack_option() -> str:
    """What a command needs beside its name, where the stack is not the one that it means by itself."""
    stack = re.sub("[^A-Za-z0-9_.-]", "", os.environ.get("CARBON_STACK") or "dev")
    return "" if stack == "dev" else f" --stack {stack}"


class Handler(ProxyRequestHandler):
    """One connection."""

    timeout = 20
    """Seconds of a connection that is no WebSocket, which has no limit."""
    server: Server
    session_cookie: str | None = None

    def setup(self) -> None:
        """Ends this connection's process in time, however slowly its requests come."""
        signal.alarm(self.timeout)
        super().setup()

    def parse_request(self) -> bool:
        """Answers what is refused by itself; everything else goes on as usual."""
        if not super().parse_request():
            return False
        hosts, origins = (self.headers.get_all(name, []) for name in ("Host", "Origin"))
        is_websocket = "upgrade" in self.headers
        if len(hosts) != 1 or not is_own_host(hosts[0], self.server.names):
            self.refuse(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"This is not a name of the desktop's. Open it as localhost or by an address, on port {PORT}.",
            )
        elif origins and not self.is_own_origin(origins, hosts[0]):
            self.refuse(HTTPStatus.FORBIDDEN, "Only the desktop's own page may ask for this.")
        elif self.server.password and not self.is_logged_in() and (is_websocket or self.route != "/login"):
            if is_websocket or self.command != "GET" or not re.search(r"(/|\.html)$", self.route):
                self.refuse(HTTPStatus.UNAUTHORIZED, "Log in first.")
            else:
                self.redirect("/login")
        else:
            return True
        return False

    @property
    def route(self) -> str:
        """The request's path without its query."""
        return self.path.split("?")[0]

    def is_own_origin(self, origins: list[str], host: str) -> bool:
        """Whether there is one Origin, and it is the page that this server serves."""
        scheme = "https" if self.server.ssl_only else "http"
        return [origin.lower() for origin in origins] == [f"{scheme}://{host.lower()}"]

    def is_logged_in(self) -> bool:
        """Whether a cookie carries the session."""
        cookies = (cookie.strip() for cookie in self.headers.get("Cookie", "").split(";"))
        return any(hmac.compare_digest(cookie.encode(), self.server.session.encode()) for cookie in cookies)

    def handle_upgrade(self) -> None:
        """From here on the connection lasts as long as the user looks at the desktop."""
        self.connection.settimeout(None)
        signal.alarm(0)
        super().handle_upgrade()

    def do_GET(self) -> None:
        """The login's page, noVNC's settings and page with the suite's own script, and noVNC's other files."""
        if self.server.password and self.route == "/login":
            if self.is_logged_in():
                self.redirect("/")
            else:
                self.answer_login(HTTPStatus.OK, "")
        elif self.server.password and self.route == "/defaults.json":
            # Who has logged in is not asked for VNC's password too.
            vnc = (SECRETS / "vnc").read_text(encoding="utf-8").strip()
            self.answer(HTTPStatus.OK, json.dumps({"password": vnc}), "application/json")
        elif self.route == "/vnc.html":
            page = (PAGES / "vnc.html").read_text(encoding="utf-8")
            own = '<script type="module" src="carbon.js"></script>'
            self.answer(HTTPStatus.OK, page.replace("<head>", f"<head>{own}", 1), "text/html")
        else:
            super().do_GET()

    def do_POST(self) -> None:
        """The login's form."""
        if not self.server.password or self.route != "/login":
            self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "There is nothing to send here.")
            return
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,9}", length) or int(length) > BODY_LIMIT:
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This is not the login's form.")
            return
        given = parse_qs(self.rfile.read(int(length)).decode("latin-1")).get("password", [""])[0]
        if hmac.compare_digest(given.encode(), self.server.password.encode()):
            self.session_cookie = f"{self.server.session}; Path=/; HttpOnly; Secure; SameSite=Strict"
            self.redirect("/")
            return
        self.log_message("a wrong password")
        time.sleep(PAUSE)
        self.answer_login(HTTPStatus.UNAUTHORIZED, "This is not the password.")

    def answer_login(self, status: HTTPStatus, problem: str) -> None:
        """The login's page, with a problem to show in it."""
        page = LOGIN_PAGE.read_text(encoding="utf-8").replace("@STACK@", stack_option())
        self.answer(status, page.replace("@PROBLEM@", problem), "text/html")

    def answer(self, status: HTTPStatus, body: str, media_type: str) -> None:
        """A whole answer, which no one keeps."""
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{media_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status: HTTPStatus, reason: str) -> None:
        """An answer that ends the connection: a body that was not read must not pass for the next request."""
        self.send_error(status, explain=reason)

    def redirect(self, path: str) -> None:
        """Sends the browser on, by GET."""
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def end_headers(self) -> None:
        """What every answer says: not for frames, nor for other pages."""
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        self.send_header("X-Content-Type-Options", "nosniff")
        # no-referrer would have browsers send the login's form with the Origin `null`.
        self.send_header("Referrer-Policy", "same-origin")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        if self.session_cookie:
            self.send_header("Set-Cookie", self.session_cookie)
            self.session_cookie = None
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """One line, in which what a stranger sent cannot steer a terminal."""
        said = "".join(character if character.isprintable() else "?" for character in format % args)
        self.logger.info("%s: %s", self.client_address[0], said)

    def log_error(self, format: str, *args: object) -> None:
        """Says nothing: what was refused tells who asked, and anybody may ask."""


class Server(WebSocketProxy):
    """Listens, and forks for each connection.

    Args:
        password: of the login; empty: there is none
    """

    def __init__(self, password: str, **options: object) -> None:
        super().__init__(Handler, **options)
        self.names = own_names()
        self.password = password
        # One for all, as there is one user; it ends with this process. Cookies do not know ports: two stacks on a host
        # must not log each other out.
        stack = re.sub("[^A-Za-z0-9-]", "", os.environ.get("CARBON_STACK", ""))
        self.session = f"__Host-carbon-desktop-{stack}={secrets.token_urlsafe(32)}"

    def poll(self) -> None:
        """Lets new connections wait as long as there are too many."""
        while len(multiprocessing.active_children()) >= CONNECTIONS:
            time.sleep(0.1)

    def do_handshake(self, sock: socket.socket, address: tuple) -> socket.socket:
        """TLS, too, must come in time."""
        sock.settimeout(Handler.timeout)
        return super().do_handshake(sock, address)


def main() -> None:
    """Serves until it is told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options: dict[str, object] = {}
    password = ""
    if os.environ.get("CARBON_TLS") == "on":
        password = (SECRETS / "desktop").read_text(encoding="utf-8").strip()
        options = {
            "ssl_only": True,
            "ssl_options": ssl.OP_ALL,
            "cert": os.environ["CARBON_TLS_CERT"],
            "key": os.environ["CARBON_TLS_KEY"],
        }
    Server(
        password,
        listen_port=PORT,
        web=str(PAGES),
        file_only=True,
        unix_target=f"{os.environ['XDG_RUNTIME_DIR']}/vnc.sock",
        **options,
    ).start_server()


if __name__ == "__main__":
    main()
