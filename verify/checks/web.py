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
    a login with the right password sets a session cookie, whatever others have tried before. No wrong one is
    tried: each leaves a line in the log that would alarm its reader.
    """
    state = _get(env, "code-server", "/healthz").json().get("status")
    if state not in ("alive", "expired"):  # "expired": nobody has used it lately
        raise CheckFailed(f"/healthz says {state!r}")
    front = _get(env, "code-server", "/")
    if front.status != 302 or "login" not in front.headers.get("Location", ""):
        raise CheckFailed(f"asks for no password: / answers {front.status}")
    login = _log_in(env, "code-server", password=env.secret("code-server"))
    if login.status != 302 or "code-server-session" not in login.headers.get("Set-Cookie", ""):
        raise CheckFailed(f"answers, but refuses the right password ({login.status})")
    return passed(f"answers, asks for the password and takes the right one{_tls(env)}")


@check(
    "novnc",
    expected="a page, and a websocket that reaches the VNC server, for this page alone; with TLS behind a login",
    hint=_LOGS,
    needs=(toolset("desktop"),),
)
def novnc(env: Environment) -> Outcome:
    """The desktop opens in a browser, and not for other pages.

    Expected: HTTP 200 for the address users are given; and, through the websocket that noVNC's page opens
    (/websockify, noVNC's default path), the banner every VNC server starts with (RFC 6143, §7.1.1). With
    another page's Origin (RFC 6454) the websocket is refused, and with TLS on without a login, too.
    """
    login = _novnc_login(env) if env.tls else {}
    page = _get(env, "novnc", "/", **login)
    if page.status in (301, 302, 303, 307, 308):
        target = urlsplit(urljoin("/", page.headers.get("Location", "")))
        path = f"{target.path}?{target.query}" if target.query else target.path
        page = _get(env, "novnc", path, **login)
    if page.status != 200 or "<title>Directory listing" in page.body:
        raise CheckFailed(
            f"no page at /: {page.status}" if page.status != 200 else "/ is a directory listing"
        )
    endpoint = env.endpoints["novnc"]
    own = {"Origin": f"{'https' if env.tls else 'http'}://{endpoint}"}
    with connect(endpoint, tls=env.tls) as connection:
        websocket.upgrade(connection, endpoint, "/websockify", "binary", {**own, **login})
        version = rfb.read_version(websocket.receive_payload(connection, rfb.BANNER_LENGTH))
        websocket.close(connection)
    _refuses_websocket(env, "another page", {"Origin": "https://example.com", **login})
    if env.tls:
        for path in ("/websockify", "/login"):
            _refuses_websocket(env, "a page without a login", own, path)
    return passed(f"page 200, websocket reaches RFB {version}, another page refused{_tls(env)}")


def _novnc_login(env: Environment) -> dict[str, str]:
    """The header that a login gives. Raises CheckFailed where none is asked for, or the password is refused."""
    front = _get(env, "novnc", "/")
    if front.status != 303 or front.headers.get("Location") != "/login":
        raise CheckFailed(f"asks for no login: / answers {front.status}")
    login = _log_in(env, "novnc", user="carbon", password=env.secret("desktop"))
    if login.status != 303:
        raise CheckFailed(f"refuses the right password ({login.status})")
    return {"Cookie": login.headers.get("Set-Cookie", "").split(";")[0]}


def _refuses_websocket(
    env: Environment, who: str, headers: dict[str, str], path: str = "/websockify"
) -> None:
    endpoint = env.endpoints["novnc"]
    try:
        with connect(endpoint, tls=env.tls) as connection:
            websocket.upgrade(connection, endpoint, path, "binary", headers)
    except websocket.Refused:
        return
    raise CheckFailed(f"the websocket lets {who} in")


def _log_in(env: Environment, service: str, **form: str) -> Response:
    """The answer to a login page's form."""
    return request(
        env.endpoints[service],
        "/login",
        tls=env.tls,
        method="POST",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=urlencode(form),
    )


def _get(env: Environment, service: str, path: str, **headers: str) -> Response:
    return request(env.endpoints[service], path, tls=env.tls, headers=headers)


def _tls(env: Environment) -> str:
    return "; TLS, certificate verified" if env.tls else ""
