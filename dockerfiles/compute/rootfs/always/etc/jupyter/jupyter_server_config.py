"""JupyterLab in the workspace. A file of the same name in ~/.jupyter has the last word, but for the address and the token
(the service's `run`)."""

import os
import re
import warnings
from importlib.util import find_spec

from carbon_jupyter import gateway, memory
from jupyter_core.paths import jupyter_data_dir
from jupyter_server.auth.login import LoginFormHandler

c = get_config()  # noqa: F821 - Jupyter defines it

# The login page names the command that shows the token.
stack = os.environ.get("CARBON_STACK") or "dev"
c.ServerApp.extra_template_paths = ["/usr/local/share/carbon/jupyter"]
c.ServerApp.jinja_template_vars = {"carbon_stack_option": "" if stack == "dev" else f" --stack {stack}"}


class LoginHandler(LoginFormHandler):
    """A link that logs in has the token in its fragment, which browsers take along to where they are sent."""

    def redirect(self, url, *args, **kwargs):
        """Sends a browser that is logged in already on without the fragment: by an empty one."""
        super().redirect(f"{url}#" if self.request.method == "GET" else url, *args, **kwargs)


c.IdentityProvider.login_handler_class = LoginHandler

# A page of another site cannot use the login that a browser has here. The login's cookie is Secure by itself.
c.IdentityProvider.cookie_options = {"samesite": "Lax"}
xsrf_cookie = {"path": "/", "samesite": "Lax", "secure": os.environ.get("CARBON_TLS") == "on"}
c.ServerApp.tornado_settings = {"xsrf_cookie_kwargs": xsrf_cookie}

# The image's JupyterLab, whose files the user's Python environment does not hold.
image = "/opt/carbon/venv"
if find_spec("jupyterlab").origin.startswith(f"{image}/"):
    c.LabApp.app_dir = f"{image}/share/jupyter/lab"

c.ServerApp.root_dir = "/workspace"
c.ServerApp.open_browser = False
c.Application.log_level = "WARN"
c.ServerApp.terminado_settings = {"shell_command": ["/usr/bin/zsh", "--login"]}
# The bind mount has no trash: a deleted file is gone, as it is for everything else that works on the folder.
c.FileContentsManager.delete_to_trash = False
c.FileContentsManager.always_delete_dir = True
# JupyterLab's menu decides whether hidden files are shown; it starts with no. What is never shown, also not by the chat
# panel's makers, who would hide virtual environments and .git:
c.FileContentsManager.allow_hidden = True
c.FileContentsManager.hide_globs = ["__pycache__", "*.pyc", "*.pyo", ".DS_Store", "*~"]

# Nothing of Jupyter's own lies in the user's project.
state = jupyter_data_dir()
c.FileContentsManager.checkpoints_class = "carbon_jupyter.checkpoints.Checkpoints"
c.LanguageServerManager.virtual_documents_dir = f"{state}/virtual_documents"
c.SQLiteYStore.db_path = f"{state}/ystore.db"
c.YDocExtension.session_store_path = f"{state}/collaboration_sessions.json"

# A kernel that Linux ends for its memory says so; the status bar shows the limit.
c.AsyncIOLoopKernelManager.restarter_class = "carbon_jupyter.memory.Restarter"
c.ServerApp.kernel_websocket_connection_class = "carbon_jupyter.memory.WebsocketConnection"
c.ResourceUseDisplay.mem_limit = memory.limit()

# Kernels on the user's machine beside these, where the stack asks for them. What does it comes with an extension for
# Google's cloud.
c.ServerApp.jpserver_extensions = {"google.cloud.jupyter_config": False}
if host := gateway.find():
    from carbon_jupyter import host_kernels

    host_kernels.configure(c, host)

# Neither is anything that a user could mend: a cell without an id is given one, and the status bar's makers use an old name.
warnings.filterwarnings("ignore", category=UserWarning, message="date_default is deprecated")
warnings.filterwarnings("ignore", message="Cell is missing an id field")

# What can be exported to.
load_subconfig("jupyter_nbconvert_config.py")  # noqa: F821 - Jupyter defines it

# Kernels that can encrypt what they exchange with the server; the others go on without.
c.KernelManager.transport_encryption = "auto"

# Nothing asks the outside unasked: no news, no update check, no list of extensions to install at run time.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.handlers.announcements.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"

# The chat panel's assistant is the LLM server that the setting llm names.
if find_spec("carbon_assistant"):
    c.PersonaManagerExtension.persona_manager_class = "carbon_assistant.AssistantManager"

# Gradio asks this header where a browser finds it; it knows no other way to learn the path of a proxy before it.
if find_spec("jupyter_server_proxy"):
    from jupyter_server_proxy.handlers import LocalProxyHandler

    def address(handler: LocalProxyHandler) -> dict[str, str]:
        """Where a browser finds the program that it asks for."""
        prefix = re.match(r".*?/proxy/\d+(?=/|$)", handler.request.path)
        origin = f"{handler.request.protocol}://{handler.request.host}"
        return {"X-Gradio-Server": origin + prefix[0]} if prefix else {}

    LocalProxyHandler.get_request_headers_override = address

# The launcher's cards: the stack's pages, and programs that start at the first click, on a free port of the loopback: who
# sees them has passed Jupyter's login.
if find_spec("jupyter_server_proxy"):
    from carbon_jupyter.cards import cards

    def starts(title: str, icon: str, command: list[str], seconds: int) -> dict[str, object]:
        """A program that is started for its card, which may take so many seconds on a cold disk."""
        entry = {"title": title, "icon_path": f"/etc/jupyter/{icon}.svg"}
        return {"command": command, "timeout": seconds, "launcher_entry": entry}

    # %tensorboard's frame and Dask's links come by this server: a frame in a page with TLS must have it, too, and the user's
    # machine may have another port.
    os.environ.setdefault("TENSORBOARD_PROXY_URL", "/proxy/%PORT%/")
    os.environ.setdefault("DASK_DISTRIBUTED__DASHBOARD__LINK", "/proxy/{port}/status")

    c.ServerProxy.servers = cards()
    if find_spec("tensorboard"):
        # TensorBoard's second program for reading logs is faster with many, and holds a port that asks nobody for a login.
        options = ["--logdir=/workspace/runs", "--host=127.0.0.1", "--port={port}", "--load_fast=false"]
        c.ServerProxy.servers["tensorboard"] = starts(
            "TensorBoard", "tensorboard", ["/opt/carbon/venv/bin/tensorboard", *options], 60
        )
    if find_spec("mlflow"):
        # With what notebooks in the top folder have logged.
        mlflow = "cd /workspace && exec /opt/carbon/venv/bin/mlflow ui --host=127.0.0.1 --port={port}"
        c.ServerProxy.servers["mlflow"] = starts("MLflow", "mlflow", ["/bin/sh", "-c", mlflow], 90)
