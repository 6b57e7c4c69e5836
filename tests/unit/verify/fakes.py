"""A pretended workspace: files below a temporary root, small real servers on loopback, programs on a PATH."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import shlex
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from verify.check import Check
from verify.environment import SECRETS_DIR, SERVICES_FILE, TLS_DIR, VENV_PYTHON, Environment
from verify.report import Result
from verify.run import run_checks

RECORDED = Path(__file__).parent / "recorded"
SECRETS = {
    "ssh": "SshSecretSshSecretSsh000",
    "vnc": "VncSecr8",
    "desktop": "DesktopSecretDesktop0000",
    "jupyter": "JupyterSecretJupyter0000",
    "code-server": "CodeSecretCodeSecret0000",
    "postgres": "PostgresSecretPostgres00",
    "redis": "RedisSecretRedisSecret00",
    "mosquitto": "MosquittoSecretMosquitt0",
    "mongodb": "MongodbSecretMongodbSec0",
    "qdrant": "QdrantSecretQdrantSecre0",
    "spark": "SparkSecretSparkSecret00",
    "llm": "LlmSecretLlmSecretLlmSe0",
}
BASE_TOOLSETS = ("graphics", "desktop", "databases")
PORTS = {
    "workspace": ("novnc", "vnc", "rdp", "jupyter", "codeServer", "ssh"),
    "postgres": ("postgres",),
    "redis": ("redis",),
    "mosquitto": ("mqtt",),
    "mongodb": ("mongodb",),
    "qdrant": ("qdrant", "qdrantGrpc"),
    "ollama": ("ollama",),
    "spark-master": ("sparkUi", "sparkHistory"),
    "spark-worker": ("sparkWorkerUi",),
    "llm": ("llm",),
}
"""The names of the ports of every service in the catalogue."""
COMPUTE_TOOLSETS = (*BASE_TOOLSETS, "torch", "tensorflow", "codeServer")
Talk = Callable[[socket.socket], None]
Answer = Callable[[BaseHTTPRequestHandler], None]


class WorkspaceTestCase(unittest.TestCase):
    """A test with a workspace of its own: the compute image with everything, on an amd64 machine."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="carbon-verify-test-")
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        self.bin = self.root / "bin"
        self.bin.mkdir()
        self.env = Environment(
            root=self.root,
            variables={"PATH": f"{self.bin}:/usr/bin:/bin"},
            system="Linux",
            machine="x86_64",
        )
        self.addCleanup(self.env.close)
        self.gpu: str | None = None
        self.image("compute", COMPUTE_TOOLSETS)
        self.stack("postgres", "redis", "mosquitto", "mongodb", "qdrant")
        for name, secret in SECRETS.items():
            self.write(f"{SECRETS_DIR}/{name}", secret + "\n")

    def write(self, absolute: str, text: str) -> Path:
        path = self.root / absolute.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def image(self, name: str, toolsets: Sequence[str], platform: str = "linux/amd64") -> None:
        image = {"image": name, "platform": platform, "toolsets": list(toolsets)}
        self.write("/etc/carbon/image.json", json.dumps(image))

    def stack(self, *services: str, tls: bool = False) -> None:
        """Writes the document of a stack with the workspace and these services."""
        self.services = {
            name: {
                "containers": [f"carbon-dev-{name}-1" if name == "spark-worker" else f"carbon-dev-{name}"],
                "host": "127.0.0.1",
                "tls": tls,
                # Port 9 is discard: nothing listens there, so a service without a fake is a refused connection.
                "ports": {port: 9 for port in PORTS[name]},
                "secrets": {},
            }
            for name in ("workspace", *services)
        }
        self.write_document()

    def write_document(self) -> None:
        document = {"schema": 1, "stack": "dev", "tls": False, "tlsNames": [], "services": self.services}
        if self.gpu:
            document["gpu"] = {"route": self.gpu}
        self.write(SERVICES_FILE, json.dumps(document))

    def variables(self, **changes: str) -> None:
        self.env.variables = {**self.env.variables, **changes}

    def program(
        self, name: str, *, prints: str = "", complains: str = "", code: int = 0, body: str = ""
    ) -> None:
        """Puts a shell script on the PATH (or at an absolute path). `body` runs before it prints."""
        output = self.write(f"/outputs/{name}.out", prints)
        path = self.root / name.lstrip("/") if name.startswith("/") else self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            "#!/bin/sh",
            body,
            f"cat {shlex.quote(str(output))}",
            f"printf %s {shlex.quote(complains)} >&2",
        ]
        path.write_text("\n".join([*lines, f"exit {code}", ""]), encoding="utf-8")
        path.chmod(0o755)

    def script(self, absolute: str, source: str, **values: Any) -> None:
        """Puts a Python program at an absolute path, with `values` as its variables."""
        lines = [f"#!{sys.executable}", *(f"{name} = {value!r}" for name, value in values.items()), source]
        path = self.write(absolute, "\n".join(lines))
        path.chmod(0o755)

    def probe(self, seen: Mapping[str, Any], *, greeting: str = "") -> None:
        """Makes the venv's Python print a probe's report."""
        self.program(VENV_PYTHON, prints=f"{greeting}{json.dumps(seen)}\n")

    def listen(self, port: str, talk: Talk, tls: ServerTls | None = None) -> None:
        """Starts a server on a port of the document; `talk` has each connection until it returns."""

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                # A client that hangs up in the middle is what some tests are about.
                with contextlib.suppress(OSError):
                    connection = tls.wrap(self.request) if tls else self.request
                    with connection:
                        talk(connection)

        self._serve(port, _Server(("127.0.0.1", 0), Handler), tls)

    def listen_http(self, port: str, answer: Answer, tls: ServerTls | None = None) -> None:
        """Starts an HTTP server on a port of the document; `answer` gets each request."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(OSError):
                    answer(self)

            do_DELETE = do_POST = do_PUT = do_GET

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            server.socket = tls.wrap(server.socket)
        self._serve(port, server, tls)

    def fresh(self) -> Environment:
        """The environment as another run would find it: nothing shared, nothing stopped."""
        return dataclasses.replace(self.env)

    def run_check(self, check: Check, env: Environment | None = None) -> Result:
        """The result of a run of its own, in a fresh environment unless one is given."""
        [result] = run_checks([check], env or self.fresh())
        return result

    def assertResult(self, result: Result, status: str, *fragments: str) -> None:
        """The status, and each fragment in what was observed."""
        self.assertEqual(result.status.value, status, result)
        for fragment in fragments:
            self.assertIn(fragment, result.observed)
        if status == "FAIL":
            self.assertTrue(result.hint, "a FAIL says what to type next")

    def certificate(self, service: str, text: str) -> Path:
        """Puts the certificate that a service is known by where clients find it."""
        name = "cert" if service == "workspace" else service
        return self.write(f"{TLS_DIR}/{name}.pem", text)

    def _serve(self, port: str, server: socketserver.BaseServer, tls: ServerTls | None) -> None:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        service = next(name for name, spec in self.services.items() if port in spec["ports"])
        self.certificate(service, (tls or _some_tls()).certificate)
        self.services[service]["ports"][port] = server.server_address[1]
        self.write_document()


@dataclasses.dataclass(frozen=True)
class ServerTls:
    """A server's TLS with a certificate of its own."""

    context: ssl.SSLContext
    certificate: str

    def wrap(self, connection: socket.socket) -> ssl.SSLSocket:
        return self.context.wrap_socket(connection, server_side=True)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


def reply(request: BaseHTTPRequestHandler, status: int, body: str = "", **headers: str) -> None:
    """Answers an HTTP request."""
    data = body.encode()
    request.send_response(status)
    for name, value in {**headers, "Content-Length": str(len(data))}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(data)


def form(request: BaseHTTPRequestHandler) -> str:
    """A request's body."""
    return request.rfile.read(int(request.headers["Content-Length"])).decode()


def self_signed(name: str = "IP:127.0.0.1") -> ServerTls:
    """A server's TLS with a fresh certificate of the suite's shape, for `name`."""
    with tempfile.TemporaryDirectory() as directory:
        key, certificate = f"{directory}/key.pem", f"{directory}/certificate.pem"
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-keyout",
                key,
                "-out",
                certificate,
                "-days",
                "1",
                "-subj",
                "/CN=carbon",
                "-config",
                "/dev/stdin",
            ],
            input=f"""
                [req]
                distinguished_name = subject
                x509_extensions = leaf
                [subject]
                [leaf]
                basicConstraints = critical, CA:FALSE
                keyUsage = critical, digitalSignature
                extendedKeyUsage = serverAuth
                subjectKeyIdentifier = hash
                subjectAltName = {name}
            """,
            text=True,
            check=True,
            capture_output=True,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return ServerTls(context, Path(certificate).read_text(encoding="ascii"))


@functools.lru_cache(maxsize=1)
def _some_tls() -> ServerTls:
    """What clients expect of a server that turns out to speak no TLS."""
    return self_signed()


def recorded(name: str) -> str:
    """What a real program printed (Debian 13, Mesa 25.0.7)."""
    return (RECORDED / name).read_text(encoding="utf-8")
