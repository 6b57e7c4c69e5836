"""What opens in a browser: JupyterLab, code-server and the desktop."""

from __future__ import annotations

import secrets
from urllib.parse import urlencode, urljoin, urlsplit

from ..check import CheckFailed, Outcome, check, compute_image, passed, toolset
from ..environment import Environment
from ..protocols import rfb, websocket
from ..protocols.connection import connect
from ..protocols.http import Response, request

_LOGS = "docker logs {workspace}"


@check("jupyter", expected="right token 200; wrong or no token 403", hint=_LOGS, needs=(compute_image,))
def jupyter(env: Environment) -> Outcome:
    """JupyterLab answers, and only to those who have the token.

    Expected: Jupyter Server's REST API (jupyter-server.readthedocs.io, "REST API"): /api tells the version to
    everyone, /api/status needs a token and answers 403 without.
    """
    version = _get(env, "jupyter", "/api").json().get("version")
    right = _get(env, "jupyter", "/api/status", Authorization=f"token {env.secret('jupyter')}").status
    wrong = _get(env, "jupyter", "/api/status", Authorization=f"token {secrets.token_hex(12)}").status
    none = _get(env, "jupyter", "/api/status").status
    observed = (
        f"Jupyter Server {version}: right token {right}, wrong token {wrong}, no token {none}{_tls(env)}"
    )
    if (right, wrong, none) != (200, 403, 403):
        raise CheckFailed(observed)
    return passed(observed)


@check(
    "code-server",
    expected="answers; asks for the password and takes the right one",
    hint=_LOGS,
    needs=(toolset("codeServer"),),
)
def code_server(env: Environment) -> Outcome:
    """code-server answers, and only to those who have the password.

    Expected: code-server's own routes: /healthz tells its state without a login, / redirects to ./login, and
    a login with the right password sets a session cookie. No wrong one is tried: code-server allows two of
    them a minute and twelve an hour, and a check must not lock its user out.
    """
    state = _get(env, "code-server", "/healthz").json().get("status")
    if state not in ("alive", "expired"):  # "expired": nobody has used it lately
        raise CheckFailed(f"/healthz says {state!r}")
    front = _get(env, "code-server", "/")
    if front.status != 302 or "login" not in front.headers.get("Location", ""):
        raise CheckFailed(f"asks for no password: / answers {front.status}")
    login = request(
        env.endpoints["code-server"],
        "/login",
        tls=env.tls,
        method="POST",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=urlencode({"password": env.secret("code-server")}),
    )
    if login.status != 302 or "code-server-session" not in login.headers.get("Set-Cookie", ""):
        limited = "; too many failed logins of late" if "rate limit" in login.body.lower() else ""
        raise CheckFailed(f"answers, but refuses the right password ({login.status}{limited})")
    return passed(f"answers, asks for the password and takes the right one{_tls(env)}")


@check(
    "novnc",
    expected="a page, and a websocket that reaches the VNC server",
    hint=_LOGS,
    needs=(toolset("desktop"),),
)
def novnc(env: Environment) -> Outcome:
    """The desktop opens in a browser.

    Expected: HTTP 200 for the address users are given; and, through the websocket that noVNC's page opens
    (/websockify, noVNC's default path), the banner every VNC server starts with (RFC 6143, §7.1.1).
    """
    page = _get(env, "novnc", "/")
    if page.status in (301, 302, 307, 308):
        target = urlsplit(urljoin("/", page.headers.get("Location", "")))
        page = _get(env, "novnc", f"{target.path}?{target.query}" if target.query else target.path)
    if page.status != 200 or "<title>Directory listing" in page.body:
        raise CheckFailed(
            f"no page at /: {page.status}" if page.status != 200 else "/ is a directory listing"
        )
    endpoint = env.endpoints["novnc"]
    with connect(endpoint, tls=env.tls) as connection:
        websocket.upgrade(connection, endpoint, "/websockify", "binary")
        version = rfb.read_version(websocket.receive_payload(connection, rfb.BANNER_LENGTH))
        websocket.close(connection)
    return passed(f"page 200, websocket reaches RFB {version}{_tls(env)}")


def _get(env: Environment, service: str, path: str, **headers: str) -> Response:
    return request(env.endpoints[service], path, tls=env.tls, headers=headers)


def _tls(env: Environment) -> str:
    return "; TLS, certificate not verified" if env.tls else ""
