"""Where the checks run: the machine, the image, the services and their secrets."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .outcome import CheckFailed
from .processes import Finished, Identity, Processes, identity

IMAGE_FILE = "/etc/carbon/image.json"
SERVICES_FILE = "/run/carbon/services.json"
"""What runs in this stack; the program that deploys it writes it. Missing where nobody deployed one."""
SECRETS_DIR = "/run/carbon/secrets"
TLS_DIR = "/run/carbon/tls"
VENV_PYTHON = "/opt/carbon/venv/bin/python"
_PERSONAL = (
    *("BASH_ENV", "INPUTRC", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHON", "VIRTUAL_ENV"),
    *("PG", "PSQL", "REDISCLI_", "MOSQUITTO_", "MONGOSH_", "XDG_CONFIG", "TF_", "TORCH_", "KERAS_", "CUDA_"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
)
"""How variables begin with which people configure what the checks start."""
USER = "carbon"
"""Who the programs that checks start run as: root runs nothing that reads what users write."""


@dataclass(frozen=True)
class Endpoint:
    """An address that a service listens on."""

    host: str
    port: int
    certificate: Path | None = None
    """The file with the certificate that it must show, where it speaks TLS; None where it speaks none."""

    @property
    def tls(self) -> str:
        """What a check that passed adds to its words."""
        return "; TLS, certificate verified" if self.certificate else ""

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.host}:{self.port}"


@dataclass
class Environment:
    """Everything a check may ask about its surroundings. The fields have the real machine as default."""

    root: Path = Path("/")
    """Absolute paths are looked up below it."""
    variables: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    system: str = field(default_factory=platform.system)
    """`Linux`; on other systems the programs that checks start run as whoever runs this."""
    machine: str = field(default_factory=platform.machine)
    """The architecture as programs see it, in the kernel's spelling: `x86_64`, `aarch64`, `arm64`."""

    def __post_init__(self) -> None:
        """Starts with nothing running and nothing looked up."""
        self._identity: Identity = identity(USER) if self.system == "Linux" else {}
        self._processes = Processes(self._identity)
        self._scratch: Path | None = None
        self._shared: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()

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
    def toolsets(self) -> frozenset[str]:
        """The image's toolsets; none where the image does not say (which the check `platform` reports)."""
        return frozenset(self._image_field("toolsets", ()))

    @property
    def services(self) -> Mapping[str, Any]:
        """The stack's services by name, the workspace among them, as the document describes them.

        Empty without a document. Raises CheckFailed where it is broken.
        """
        return self._document()["services"]

    def endpoint(self, service: str, port: str) -> Endpoint:
        """Where a service of the document listens, by the catalogue's name of the port."""
        spec = self.services[service]
        certificate = "cert" if service == "workspace" else service
        path = self.path(f"{TLS_DIR}/{certificate}.pem") if spec["tls"] else None
        return Endpoint(spec["host"], spec["ports"][port], path)

    @property
    def gpu_route(self) -> str:
        """How the stack's programs reach a GPU: `host`, `dri`, `nvidia`, or `off`. Raises CheckFailed as `services` does."""
        return str(self._document().get("gpu", {}).get("route", "off"))

    @property
    def python(self) -> str:
        """The interpreter that has torch and TensorFlow."""
        return str(self.path(VENV_PYTHON))

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
        """Name on the Docker host of a service's container, the first of several; `<service>` where it has none."""
        with contextlib.suppress(CheckFailed, LookupError):
            return str(self.services[service]["containers"][0])
        return f"<{service}>"

    def run(self, *argv: str, stdin: str = "", **variables: str) -> Finished:
        """Runs a program in this environment with more `variables`, as carbon where this is root. See Processes.run.

        Its home is a directory of its own that `close` removes: Keras, for one, writes its settings there. No setting of
        the caller's for a client or an interpreter reaches it: what is checked is the suite.
        """
        home = str(self._own_directory())
        inherited = {name: value for name, value in self.variables.items() if not name.startswith(_PERSONAL)}
        env = {**inherited, "HOME": home, "TMPDIR": home, **variables}
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

    def _document(self) -> Mapping[str, Any]:
        return self.once(SERVICES_FILE, self._read_document)

    def _read_document(self) -> Mapping[str, Any]:
        try:
            document = json.loads(self.path(SERVICES_FILE).read_text(encoding="utf-8"))
            return {**document, "services": document["services"]}
        except FileNotFoundError:
            return {"services": {}}
        except (LookupError, TypeError, ValueError) as error:
            raise CheckFailed(f"{SERVICES_FILE} is no document of services: {error}") from error

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
