"""Serves a model from /models over the OpenAI API; until there is one, says what to do.

CARBON_LLM_MODEL is the file's name in /models; `auto` is the first .gguf by name. The API key is in a file; no command
line or environment shows it.
"""

from __future__ import annotations

import hmac
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODELS = Path("/models")
SECRETS = Path("/run/carbon/user")
PORT = 8001
CONTEXT = 4096
"""Tokens of prompt and answer together; the memory for it is taken at the start."""
BODY_LIMIT = 1_000_000
"""Bytes of a request that are waited for while there is no model; anybody may send one."""
SETTLED = 3.0
"""Seconds that a file must not have grown before it counts as whole."""


def find_model(wanted: str) -> tuple[Path | None, str]:
    """The model's file, or None and what to do."""
    stack = os.environ.get("CARBON_STACK") or "<stack>"
    copy = f"docker cp model.gguf carbon-{stack}-llm:/models/"
    if wanted == "auto":
        file = min(MODELS.glob("*.gguf"), default=None)
        if file is None:
            return None, f"no model yet: put a .gguf file into the volume: {copy}"
    else:
        file = MODELS / wanted
        if not file.exists():
            return None, f"no model yet: llmModel is {wanted}, which is not in the volume: {copy}"
    if not os.access(file, os.R_OK):
        return None, f"{file} cannot be read: docker restart carbon-{stack}-llm"
    before = file.stat().st_size
    time.sleep(SETTLED)
    if before == 0 or file.stat().st_size != before:
        return None, f"{file} is still being copied"
    return file, ""


class Waiting(BaseHTTPRequestHandler):
    """Answers 503 and what to do, to those who have the key."""

    protocol_version = "HTTP/1.1"
    timeout = 20
    key = ""
    reason = ""

    def do_GET(self) -> None:
        length = self.headers.get("Content-Length", "0")
        self.close_connection = not length.isdecimal() or int(length) > BODY_LIMIT
        self.rfile.read(0 if self.close_connection else int(length))
        given = self.headers.get("Authorization", "")
        if hmac.compare_digest(given.encode(), f"Bearer {self.key}".encode()):
            self.answer(503, self.reason)
        else:
            self.answer(401, "Invalid API key")

    do_POST = do_GET

    def answer(self, status: int, message: str) -> None:
        body = json.dumps({"error": {"message": message, "type": "no_model", "code": status}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing: the reason is in the log once."""


def wait_for_model(wanted: str, key: str) -> Path:
    """Blocks until the model is there, answering meanwhile; a new reason is a new line in the log."""
    file, Waiting.reason = find_model(wanted)
    if file:
        return file
    Waiting.key = key
    server = ThreadingHTTPServer(("", PORT), Waiting)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    said = ""
    while not file:
        if Waiting.reason != said:
            said = Waiting.reason
            print(said, flush=True)
        time.sleep(1)
        file, reason = find_model(wanted)
        Waiting.reason = reason or said
    server.shutdown()
    server.server_close()
    return file


def serve(file: Path, key: str) -> None:
    """llama.cpp's server with this model, for as long as the process lives."""
    # Here, not above: they take seconds to load, and who waits for a model has none to wait for.
    import uvicorn
    from fastapi.middleware.cors import CORSMiddleware
    from llama_cpp.server.app import create_app
    from llama_cpp.server.settings import ModelSettings, ServerSettings

    model = ModelSettings(
        model=str(file),
        model_alias=file.stem,
        n_ctx=CONTEXT,
        n_threads=len(os.sched_getaffinity(0)),
        verbose=False,
    )
    app = create_app(server_settings=ServerSettings(api_key=key), model_settings=[model])
    # It would let every web page in the user's browser read its answers, and takes no setting for it.
    app.user_middleware = [entry for entry in app.user_middleware if entry.cls is not CORSMiddleware]
    uvicorn.run(app, host="0.0.0.0", port=PORT)


def main() -> None:
    """Waits for a model, and serves it."""
    key = (SECRETS / "llm").read_text(encoding="utf-8").strip()
    file = wait_for_model(os.environ.get("CARBON_LLM_MODEL") or "auto", key)
    print(f"serving {file.name}", flush=True)
    serve(file, key)


if __name__ == "__main__":
    main()
