"""Where the checks run: the machine, the image, the services and their secrets."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .check import CheckFailed
from .processes import Finished, Identity, Processes, identity

IMAGE_FILE = "/etc/carbon/image.json"
SECRETS_DIR = "/run/carbon/secrets"
TLS_DIR = "/run/carbon/tls"
VENV_PYTHON = "/opt/carbon/venv/bin/python"
USER = "carbon"
"""Who the programs that checks start run as: root runs nothing that reads what users write."""


@dataclass(frozen=True)
class Endpoint:
    """An address that a service listens on."""

    host: str
    port: int
    certificate: str | Path | None = None
    """The file with the certificate that it must show where it speaks TLS; None where it never does."""

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.host}:{self.port}"


SERVICES = (
    "postgres",
    "redis",
    "mosquitto",
    "mongodb",
    "qdrant",
    "ollama",
    "spark-master",
    "spark-worker",
    "llm",
)
"""What can run beside the workspace, each in a container of its own."""

_OWN, _TO_OTHERS = f"{TLS_DIR}/cert.pem", f"{TLS_DIR}/{{}}.pem"

ENDPOINTS: Mapping[str, Endpoint] = {
    "jupyter": Endpoint("127.0.0.1", 8888, _OWN),
    "code-server": Endpoint("127.0.0.1", 9999, _OWN),
    "novnc": Endpoint("127.0.0.1", 6900, _OWN),
    "vnc": Endpoint("127.0.0.1", 5900, _OWN),
    "ssh": Endpoint("127.0.0.1", 2222),
    "postgres": Endpoint("postgres", 5432, _TO_OTHERS.format("postgres")),
    "redis": Endpoint("redis", 6379, _TO_OTHERS.format("redis")),
    "mosquitto": Endpoint("mosquitto", 1883, _TO_OTHERS.format("mosquitto")),
    "mongodb": Endpoint("mongodb", 27017),
    "qdrant": Endpoint("qdrant", 6333),
    "spark": Endpoint("spark-master", 8080),
    "llm": Endpoint("llm", 8001),
}
"""As seen from the workspace: its own services on loopback, the others by their name on the network."""


@dataclass
class Environment:
    """Everything a check may ask about its surroundings. The fields have the real machine as default."""

    root: Path = Path("/")
    """Absolute paths are looked up below it."""
    variables: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    system: str = field(default_factory=platform.system)
    """`Linux` or `Darwin`."""
    machine: str = field(default_factory=platform.machine)
    """The architecture as programs see it, in the kernel's spelling: `x86_64`, `aarch64`, `arm64`."""
    endpoints: Mapping[str, Endpoint] = field(default_factory=lambda: dict(ENDPOINTS))

    def __post_init__(self) -> None:
        """Starts with nothing running and nothing looked up."""
        self._identity: Identity = identity(USER) if self.system == "Linux" else {}
        self._processes = Processes(self._identity)
        self._scratch: Path | None = None
        self._shared: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()

    @property
    def is_mac(self) -> bool:
        """Whether this is a macOS host, and not a container."""
        return self.system == "Darwin"

    @property
    def target(self) -> str:
        """The document's `target`."""
        return "host" if self.is_mac else "workspace"

    def path(self, absolute: str) -> Path:
        """Where an absolute path lies."""
        return self.root / absolute.lstrip("/")

    def image(self) -> dict[str, Any]:
        """What the image says of itself. Raises CheckFailed where it does not or the file is broken."""
        try:
            image = json.loads(self.path(IMAGE_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise CheckFailed(f"{IMAGE_FILE} is missing") from error
        except ValueError as error:
            raise CheckFailed(f"{IMAGE_FILE} is not JSON: {error}") from error
        if not isinstance(image, dict) or not {"image", "platform", "toolsets"} <= image.keys():
            raise CheckFailed(f"{IMAGE_FILE} lacks one of image, platform, toolsets")
        return image

    @property
    def image_name(self) -> str:
        """`base` or `compute`; empty where the image does not say (which the check `platform` reports)."""
        return str(self._image_field("image", ""))

    @property
    def toolsets(self) -> frozenset[str]:
        """The image's toolsets; none where the image does not say (which the check `platform` reports)."""
        return frozenset(self._image_field("toolsets", ()))

    @property
    def services(self) -> frozenset[str]:
        """The services on the network."""
        return frozenset(self.variables.get("CARBON_SERVICES", "").split())

    @property
    def tls(self) -> bool:
        """Whether the services speak TLS."""
        return self.variables.get("CARBON_TLS") == "on"

    @property
    def python(self) -> str:
        """The interpreter that has torch and TensorFlow."""
        return sys.executable if self.is_mac else str(self.path(VENV_PYTHON))

    def secret(self, name: str) -> str:
        """A service's password. Raises CheckFailed where it cannot be read."""
        try:
            return self.path(f"{SECRETS_DIR}/{name}").read_text(encoding="utf-8").strip()
        except FileNotFoundError as error:
            raise CheckFailed(f"{SECRETS_DIR}/{name} is missing") from error
        except PermissionError as error:
            raise CheckFailed(
                f"{SECRETS_DIR}/{name} may be read by root only", "sudo carbon-verify"
            ) from error

    def scrub(self, text: str) -> str:
        """The text without any secret of this machine."""
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, "[secret]")
        return text

    def container(self, service: str) -> str:
        """The container's name on the Docker host."""
        return f"carbon-{self.variables.get('CARBON_STACK', '<stack>')}-{service}"

    def run(self, *argv: str, stdin: str = "", **variables: str) -> Finished:
        """Runs a program in this environment with more `variables`, as carbon where this is root. See Processes.run.

        Its home is a directory of its own that `close` removes: Keras, for one, writes its settings there.
        """
        home = str(self._own_directory())
        env = {**self.variables, "HOME": home, "TMPDIR": home, **variables}
        return self._processes.run(argv, env=env, stdin=stdin)

    def close(self) -> None:
        """Ends the programs that still run and removes what they wrote; nothing can be started any more."""
        self._processes.stop()
        with self._lock:
            if self._scratch:
                # By its owner: root does not delete in a directory of somebody else's.
                with contextlib.suppress(subprocess.CalledProcessError):
                    self._as_user("rm", "-rf", "--", str(self._scratch))

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What `make` returns, or raises: called by the first check that asks, waited for by the others."""
        with self._lock:
            future = self._shared.get(key)
            is_first = future is None
            if future is None:
                future = self._shared[key] = Future()
        if is_first:
            try:
                future.set_result(make())
            except Exception as error:
                future.set_exception(error)
        return future.result()

    def _own_directory(self) -> Path:
        with self._lock:
            if not self._scratch:
                template = f"{tempfile.gettempdir()}/carbon-verify-XXXXXXXXXX"
                self._scratch = Path(self._as_user("mktemp", "-d", template).rstrip("\n"))
            return self._scratch

    def _as_user(self, *argv: str) -> str:
        """What a program of carbon's prints. Away from the terminal: root's may be there, and carbon could type on it."""
        return subprocess.run(
            argv,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **self._identity,
        ).stdout

    def _image_field(self, name: str, default: Any) -> Any:
        try:
            return self.image()[name]
        except CheckFailed:
            return default

    def _secrets(self) -> set[str]:
        directory = self.path(SECRETS_DIR)
        if not os.access(directory, os.R_OK | os.X_OK):
            return set()
        files = (file for file in directory.iterdir() if os.access(file, os.R_OK))
        return {secret for file in files if (secret := file.read_text(encoding="utf-8").strip())}
