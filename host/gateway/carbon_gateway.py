"""The gateway of this machine's kernels: `python carbon_gateway.py HOME`.

Jupyter's kernel gateway with what Carbon needs of it: address and port from HOME/config.json, the token from
HOME/token (from no argument, variable or address, which other programs can see), HOME/kernels and no other kernels, and
each kernel in the machine's own folder for a folder of /workspace. No other configuration file is read: one of the
user's for gateways of their own could take the token away.
"""

import hashlib
import hmac
import ipaddress
import json
import logging
import os
import re
import sys
from pathlib import Path, PurePosixPath

from jupyter_client.kernelspec import KernelSpecManager
from kernel_gateway.gatewayapp import KernelGatewayApp
from kernel_gateway.services.kernels.manager import SeedingMappingKernelManager
from tornado import web
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import PeriodicCallback
from traitlets import default
from traitlets.config import Config

WORKSPACE = PurePosixPath("/workspace")
NAMES = ("host.docker.internal", "localhost", "127.0.0.1")
"""What it may be called besides its address: a page of another name that leads here is somebody else's."""
PROOF = "/carbon/proof"
"""Tells whoever asks that the token is known here, and not the token: a client shows its own only after that, as another
program can have the port while the gateway is away."""
HOME = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path.cwd()


def read_config(home: Path) -> dict:
    return json.loads((home / "config.json").read_text())


def working_folder(workspaces: dict[str, str], stack: str | None, inside: str | None) -> Path:
    """The machine's folder for one of a stack's workspace container; its workspace folder for what lies elsewhere.

    A link that leads out of the workspace folder is not followed: what it means, it means in the container.
    """
    only = next(iter(workspaces.values())) if len(workspaces) == 1 else None
    chosen = workspaces.get(stack or "", only)
    root = Path(chosen).resolve() if chosen else Path.home()
    if not chosen or not root.is_dir():
        return Path.home()
    path = PurePosixPath(inside or WORKSPACE)
    if not path.is_relative_to(WORKSPACE):
        return root
    folder = (root / path.relative_to(WORKSPACE)).resolve()
    return folder if folder.is_relative_to(root) and folder.is_dir() else root


class OwnKernels(KernelSpecManager):
    """Those of HOME/kernels alone."""

    @default("kernel_dirs")
    def _own_folder(self) -> list[str]:
        return [str(HOME / "kernels")]


class WorkspaceKernels(SeedingMappingKernelManager):
    """Starts each kernel in the folder that its client names in KERNEL_WORKING_DIR, as this machine has it."""

    async def start_kernel(self, *, path: str | None = None, **kwargs) -> str:
        env = kwargs.get("env") or {}
        # Read anew, so that a stack that has come up since is known.
        workspaces = read_config(HOME)["workspaces"]
        folder = working_folder(workspaces, env.get("CARBON_STACK"), env.get("KERNEL_WORKING_DIR"))
        return await super().start_kernel(cwd=str(folder), **kwargs)


class Proof(web.RequestHandler):
    """HMAC-SHA256 of the caller's number, with the token as its key."""

    def get(self) -> None:
        nonce = self.get_query_argument("nonce", "")
        if not re.fullmatch(r"[0-9a-f]{64}", nonce):
            raise web.HTTPError(400)
        token = self.settings["kg_auth_token"].encode()
        self.finish(hmac.new(token, f"carbon gateway {nonce}".encode(), hashlib.sha256).hexdigest())


def log_without_query(handler: web.RequestHandler) -> None:
    """What was asked for, as Tornado logs it, but for the query: clients of the user's could put a token there."""
    status, request = handler.get_status(), handler.request
    level = logging.INFO if status < 400 else logging.WARNING
    taken = 1000 * request.request_time()
    summary = f"{status} {request.method} {request.path} ({request.remote_ip}) {taken:.0f} ms"
    logging.getLogger("tornado.access").log(level, "%s", summary)


class CarbonGateway(KernelGatewayApp):
    """Is configured here, and ends when whoever started it is gone: nothing would end it later."""

    def load_config_file(self, *_args, **_kwargs) -> None:
        pass

    def init_webapp(self) -> None:
        super().init_webapp()
        app = self.web_app
        find = app.find_handler

        def find_handler(request: HTTPServerRequest, **options):
            if status := self._refusal(request):
                return app.get_handler_delegate(request, web.ErrorHandler, {"status_code": status})
            if request.path == PROOF:
                return app.get_handler_delegate(request, Proof)
            return find(request, **options)

        app.find_handler = find_handler
        app.settings["log_function"] = log_without_query

    def _refusal(self, request: HTTPServerRequest) -> int | None:
        """The status of what is refused to everybody."""
        if request.host_name not in (*NAMES, self.ip) or "token" in request.query_arguments:
            return 403
        # The description of the API asks for no token.
        return 404 if request.path.startswith("/api/swagger") else None

    def start_app(self) -> None:
        super().start_app()
        parent = os.getppid()
        self._watch = PeriodicCallback(lambda: os.getppid() == parent or self.stop(), 1000)
        self._watch.start()


def configuration(home: Path) -> Config:
    """The gateway's settings.

    Raises:
        SystemExit: where it would be open to anybody.
    """
    config, token = read_config(home), (home / "token").read_text().strip()
    if not re.fullmatch(r"[A-Za-z0-9]{48}", token):
        sys.exit(f"{home}/token does not hold a token. Type: ./carbon gpu rotate")
    if ipaddress.ip_address(config["address"]).is_unspecified:
        sys.exit(f"{config['address']} is every address of this machine, and kernels are not for everybody.")
    settings = Config()
    app = settings.KernelGatewayApp
    app.ip, app.port, app.port_retries = config["address"], config["port"], 0
    app.auth_token = token
    app.kernel_manager_class = WorkspaceKernels
    app.kernel_spec_manager_class = OwnKernels
    # The environment that it was started with is made for kernels, and has nothing secret.
    app.env_process_whitelist = list(os.environ)
    settings.KernelSpecManager.ensure_native_kernel = False
    # Between gateway and kernel lies a local port, which every user of this machine reaches: what a kernel prints
    # would be for all of them.
    settings.KernelManager.transport_encryption = "required"
    # A program's output is its user's: none is held back, as servers do for the sake of browsers.
    settings.ZMQChannelsWebsocketConnection.iopub_data_rate_limit = 0
    settings.ZMQChannelsWebsocketConnection.iopub_msg_rate_limit = 0
    settings.JupyterWebsocketPersonality.list_kernels = True
    settings.JupyterWebsocketPersonality.env_whitelist = ["CARBON_STACK"]
    return settings


if __name__ == "__main__":
    os.umask(0o077)
    gateway = CarbonGateway.instance(config=configuration(HOME), runtime_dir=str(HOME / "run" / "jupyter"))
    gateway.initialize([])
    gateway.start()
