"""JupyterLab in the workspace. A file of the same name in ~/.jupyter has the last word."""

import os
import pathlib
import re
from importlib.util import find_spec

c = get_config()  # noqa: F821 - Jupyter defines it

# From a file that only carbon reads, so that neither a process list nor an environment shows it. Where the workspace
# role does not run there is none, and Jupyter makes a token of its own.
token = pathlib.Path("/run/carbon/user/jupyter")
if token.exists():
    c.IdentityProvider.token = token.read_text(encoding="utf-8").strip()

# A page of another site cannot use the login that a browser has here. The login's cookie is Secure by itself.
c.IdentityProvider.cookie_options = {"samesite": "Lax"}
xsrf_cookie = {"path": "/", "samesite": "Lax", "secure": os.environ.get("CARBON_TLS") == "on"}
c.ServerApp.tornado_settings = {"xsrf_cookie_kwargs": xsrf_cookie}

c.ServerApp.ip = "0.0.0.0"
c.ServerApp.port = 8888
# Another port would not be the published one: better to fail and say so.
c.ServerApp.port_retries = 0
c.ServerApp.root_dir = "/workspace"
c.ServerApp.open_browser = False
c.Application.log_level = "WARN"
c.ServerApp.terminado_settings = {"shell_command": ["/usr/bin/zsh", "--login"]}
# The bind mount has no trash: a deleted file is gone, as it is for everything else that works on the folder.
c.FileContentsManager.delete_to_trash = False

# Kernels that can encrypt what they exchange with the server; the others go on without.
c.KernelManager.transport_encryption = "auto"

# Nothing asks the outside unasked: no news, no update check, no list of extensions to install at run time.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.handlers.announcements.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"

# The chat panel's assistant is the suite's own LLM server. Hidden files stay hidden: the panel's makers would show them.
if find_spec("carbon_assistant"):
    c.PersonaManagerExtension.persona_manager_class = "carbon_assistant.AssistantManager"
    c.FileContentsManager.allow_hidden = False

# Gradio asks this header where a browser finds it; it knows no other way to learn the path of a proxy before it.
if find_spec("jupyter_server_proxy"):
    from jupyter_server_proxy.handlers import LocalProxyHandler

    def address(handler: LocalProxyHandler) -> dict[str, str]:
        """Where a browser finds the program that it asks for."""
        prefix = re.match(r".*?/proxy/\d+(?=/|$)", handler.request.path)
        origin = f"{handler.request.protocol}://{handler.request.host}"
        return {"X-Gradio-Server": origin + prefix[0]} if prefix else {}

    LocalProxyHandler.get_request_headers_override = address

# TensorBoard starts at the first click on its card, on a free port of the loopback: who sees it has passed Jupyter's login.
if find_spec("tensorboard") and find_spec("jupyter_server_proxy"):
    c.ServerProxy.servers = {
        "tensorboard": {
            "command": [
                "/opt/carbon/venv/bin/tensorboard",
                "--logdir=/workspace/runs",
                "--host=127.0.0.1",
                "--port={port}",
                # Its second program for reading logs is faster with many, and holds a port that asks nobody for a login.
                "--load_fast=false",
            ],
            # Seconds; it imports TensorFlow, which takes its time on a cold disk.
            "timeout": 60,
            "launcher_entry": {"title": "TensorBoard", "icon_path": "/etc/jupyter/tensorboard.svg"},
        }
    }

# MLflow likewise, with what notebooks in the top folder have logged.
if find_spec("mlflow") and find_spec("jupyter_server_proxy"):
    mlflow = "cd /workspace && exec /opt/carbon/venv/bin/mlflow ui --host=127.0.0.1 --port={port}"
    cards = c.ServerProxy.servers if find_spec("tensorboard") else {}
    c.ServerProxy.servers = cards | {
        "mlflow": {
            "command": ["/bin/sh", "-c", mlflow],
            "timeout": 90,
            "launcher_entry": {"title": "MLflow", "icon_path": "/etc/jupyter/mlflow.svg"},
        }
    }

if os.environ.get("CARBON_TLS") == "on":
    c.ServerApp.certfile = os.environ["CARBON_TLS_CERT"]
    c.ServerApp.keyfile = os.environ["CARBON_TLS_KEY"]
