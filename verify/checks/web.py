"""What opens in a browser: JupyterLab, code-server and the desktop."""

from __future__ import annotations

import secrets
from urllib.parse import urlencode, urljoin, urlsplit

from ..check import check, workspace_port
from ..environment import Endpoint, Environment
from ..outcome import CheckFailed, Outcome, passed
from ..protocols import rfb
from ..protocols.http import Refused, Response, receive_by_websocket, request

_LOGS = "docker logs {workspace}"
_WEBSOCKET = "/websockify"


@check("jupyter", expected="right token 200; wrong or no token 403", hint=_LOGS, needs=(workspace_port("jupyter"),))
def jupyter(env: Environment) -> Outcome:
    """JupyterLab answers, and only to those who have the token.

    Expected: Jupyter Server's REST API (jupyter-server.readthedocs.io, "REST API"): /api tells the version to
    everyone, /api/status needs a token and answers 403 without.
    """
    server = env.endpoint("workspace", "jupyter")
    version = _get(server, "/api").json().get("version")
    right = _get(server, "/api/status", Authorization=f"token {env.secret('jupyter')}").status
    wrong = _get(server, "/api/status", Authorization=f"token {secrets.token_hex(12)}").status
    none = _get(server, "/api/status").status
    observed = f"Jupyter Server {version}: right token {right}, wrong token {wrong}, no token {none}{server.tls}"
    if (right, wrong, none) != (200, 403, 403):
        raise CheckFailed(observed)
    return passed(observed)


@check(
    "code-server",
    expected="answers; asks for the password and takes the right one",
    hint=_LOGS,
    needs=(workspace_port("codeServer"),),
)
def code_server(env: Environment) -> Outcome:
    """code-server answers, and only to those who have the password.

    Expected: code-server's own routes: /healthz tells its state without a login, / redirects to ./login, and
    a login with the right password sets a session cookie, whatever others have tried before. No wrong one is
    tried: each leaves a line in the log that would alarm its reader.
    """
    server = env.endpoint("workspace", "codeServer")
    state = _get(server, "/healthz").json().get("status")
    if state not in ("alive", "expired"):  # "expired": nobody has used it lately
        raise CheckFailed(f"/healthz says {state!r}")
    front = _get(server, "/")
    if front.status != 302 or "login" not in front.headers.get("Location", ""):
        raise CheckFailed(f"asks for no password: / answers {front.status}")
    login = _log_in(server, password=env.secret("code-server"))
    if login.status != 302 or "code-server-session" not in login.headers.get("Set-Cookie", ""):
        raise CheckFailed(f"answers, but refuses the right password ({login.status})")
    return passed(f"answers, asks for the password and takes the right one{server.tls}")


@check(
    "novnc",
    expected="a page, and a websocket that reaches the VNC server, for this page alone; with TLS behind a login",
    hint=_LOGS,
    needs=(workspace_port("novnc"),),
)
def novnc(env: Environment) -> Outcome:
    """The desktop opens in a browser, and not for other pages.

    Expected: HTTP 200 for the address users are given; and, through the websocket that noVNC's page opens
    (/websockify, noVNC's default path), the banner every VNC server starts with (RFC 6143, §7.1.1). With
    another page's Origin (RFC 6454) the websocket is refused, and with TLS on without a login, too.
    """
    server = env.endpoint("workspace", "novnc")
    login = _novnc_login(env, server) if server.certificate else {}
    page = _get(server, "/", **login)
    if page.status in (301, 302, 303, 307, 308):
        target = urlsplit(urljoin("/", page.headers.get("Location", "")))
        path = f"{target.path}?{target.query}" if target.query else target.path
        page = _get(server, path, **login)
    if page.status != 200 or "<title>Directory listing" in page.body:
        raise CheckFailed(
            f"no page at /: {page.status}" if page.status != 200 else "/ is a directory listing"
        )
    own = {"Origin": f"{'https' if server.certificate else 'http'}://{server}"}
    version = rfb.read_version(_banner(server, {**own, **login}))
    _refuses_websocket(server, "another page", {"Origin": "https://example.com", **login})
    if server.certificate:
        for path in (_WEBSOCKET, "/login"):
            _refuses_websocket(server, "a page without a login", own, path)
    return passed(f"page 200, websocket reaches RFB {version}, another page refused{server.tls}")


def _novnc_login(env: Environment, server: Endpoint) -> dict[str, str]:
    """The header that a login gives. Raises CheckFailed where none is asked for, or the password is refused."""
    front = _get(server, "/")
    if front.status != 303 or front.headers.get("Location") != "/login":
        raise CheckFailed(f"asks for no login: / answers {front.status}")
    login = _log_in(server, user="carbon", password=env.secret("desktop"))
    if login.status != 303:
        raise CheckFailed(f"refuses the right password ({login.status})")
    return {"Cookie": login.headers.get("Set-Cookie", "").split(";")[0]}


def _banner(server: Endpoint, headers: dict[str, str], path: str = _WEBSOCKET) -> bytes:
    return receive_by_websocket(server, path, rfb.BANNER_LENGTH, headers)


def _refuses_websocket(
    server: Endpoint, who: str, headers: dict[str, str], path: str = _WEBSOCKET
) -> None:
    try:
        _banner(server, headers, path)
    except Refused:
        return
    raise CheckFailed(f"the websocket lets {who} in")


def _log_in(server: Endpoint, **form: str) -> Response:
    """The answer to a login page's form."""
    return request(
        server,
        "/login",
        method="POST",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=urlencode(form),
    )


def _get(server: Endpoint, path: str, **headers: str) -> Response:
    return request(server, path, headers=headers)
