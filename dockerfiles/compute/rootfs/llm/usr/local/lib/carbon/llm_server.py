"""Serves the models of a folder over the OpenAI API, with llama.cpp's own server; until there is one, says what to do.

    llm_server.py --models FOLDER --key-file FILE [--model auto|NAME.gguf] [--address ADDRESS] [--port PORT]
                  [--threads NUMBER] [--how-to-add TEXT] [--how-to-read TEXT]

The folder's files are told apart by what they say of themselves: one with a pooling type makes embeddings, one of the
architecture `clip` turns pictures into what a chat model understands (mmproj), any other chats. The first of each kind
by name is served, or for the chat the one that is asked for. Where no model is for embeddings, the chat's makes them.

Each model has a llama.cpp server in a process of its own, on a socket that nobody else reaches: what ends one, such as
a broken file, ends nothing else. This process alone listens at the address. It asks for the key, answers for health and
for the list of models itself, at any time, and hands all else on.

It needs the packages aiohttp and xllamacpp, and nothing of the image, as it runs on the user's machine, too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import itertools
import json
import os
import re
import signal
import struct
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector, web

CONTEXT = 4096
"""Tokens of prompt and answer together; the memory for it is taken at the start."""
PARALLEL = 4
"""Requests at most that a model answers at a time; others wait for their turn."""
CACHE = 3 * 2**30
"""Bytes that the contexts of these requests may take together: a model that needs more answers fewer at a time."""
EMBEDDED = 2048
"""Tokens of a text to embed, which are computed in one go."""
SETTLED = 3.0
"""Seconds that a file must not have changed before it counts as whole."""

CHAT, EMBEDDING, PROJECTOR = "chat", "embedding", "projector"
HEALTH = ("/health", "/v1/health")
LISTS = ("/models", "/v1/models")
EMBEDS = ("/embedding", "/embeddings", "/v1/embeddings")
RANK = 4
"""llama.cpp's pooling type of models that sort texts and embed none."""
MEAN = 1

NOT_HANDED_ON = {
    *("connection", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
    *("authorization", "origin", "x-api-key"),
}
"""Of a request: what concerns this connection alone, and what llama.cpp's server has no use for."""


def read_header(file: Path) -> dict[str, Any]:
    """What a model file says of itself; lists are left out.

    The package gguf reads a file whole: 6 s of computing for a vocabulary of 150,000.

    :raises ValueError: saying why it is no such file.
    """
    with file.open("rb") as stream:
        magic, version, _, count = _unpack(stream, "<4sIQQ")
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError("it is no GGUF file of version 2 or 3")
        pairs = ((_text(stream), _value(stream, *_unpack(stream, "<I"))) for _ in range(count))
        return {key: value for key, value in pairs if value is not None}


# By type, as https://github.com/ggml-org/ggml/blob/master/docs/gguf.md numbers them.
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LONGEST_TEXT = 16 * 2**20


def _unpack(stream: BinaryIO, form: str) -> tuple[Any, ...]:
    size = struct.calcsize(form)
    data = stream.read(size)
    if len(data) < size:
        raise ValueError("it ends too early")
    return struct.unpack(form, data)


def _text(stream: BinaryIO) -> str:
    (length,) = _unpack(stream, "<Q")
    if length > _LONGEST_TEXT:
        raise ValueError("a text in it is too long")
    return _unpack(stream, f"<{length}s")[0].decode("utf-8", "replace")


def _value(stream: BinaryIO, kind: int) -> Any:
    if kind in _NUMBERS:
        return _unpack(stream, f"<{_NUMBERS[kind]}")[0]
    if kind == _STRING:
        return _text(stream)
    if kind != _ARRAY:
        raise ValueError("it has a value of an unknown type")
    of, count = _unpack(stream, "<IQ")
    if of == _ARRAY:
        raise ValueError("it has a list of lists, which no model has")
    if of in _NUMBERS:
        stream.seek(count * struct.calcsize(f"<{_NUMBERS[of]}"), os.SEEK_CUR)
    else:
        for _ in range(count):
            _value(stream, of)
    return None


@dataclass(frozen=True)
class Model:
    """A file that can be served, as it is now."""

    file: Path
    stamp: tuple[int, ...]
    header: dict[str, Any] = field(compare=False, hash=False)

    @property
    def kind(self) -> str:
        """What it is for; empty where it is nothing that this server offers."""
        if self.header.get("general.architecture") == "clip":
            return PROJECTOR
        if self.header.get("split.no"):
            return ""  # llama.cpp reads it with the first part.
        if self.pooling == RANK:
            return ""
        return EMBEDDING if self.pooling else CHAT

    @property
    def pooling(self) -> int:
        """How it makes one vector of a text, as llama.cpp numbers it; 0 where it is not made for that."""
        return self._own("pooling_type", 0)

    @property
    def width(self) -> int:
        """Numbers that stand for a token: a projector must make as many."""
        if self.kind == PROJECTOR:
            sights = (self.header.get(f"clip.{sense}.projection_dim") for sense in ("vision", "audio"))
            return next((sight for sight in sights if sight), 0)
        return self._own("embedding_length", 0)

    @property
    def slots(self) -> int:
        """How many requests it can answer at a time."""
        heads = self._own("attention.head_count", 1)
        size = self.width // max(heads, 1)
        kept = self._own("attention.key_length", size) + self._own("attention.value_length", size)
        # 16 bits each.
        context = CONTEXT * self._own("block_count", 1) * self._own("attention.head_count_kv", heads) * kept * 2
        return max(1, min(PARALLEL, CACHE // max(context, 1)))

    def _own(self, name: str, default: int) -> int:
        value = self.header.get(f"{self.header.get('general.architecture')}.{name}")
        return value if isinstance(value, int) else default


class Folder:
    """The models of a folder, and what keeps the others from being served."""

    def __init__(self, path: Path, wanted: str, how_to_add: str, how_to_read: str) -> None:
        self.path = path
        self.wanted = wanted
        self.how_to_add = how_to_add
        self.how_to_read = how_to_read
        self.models: list[Model] = []
        self.waiting: dict[str, str] = {}
        """Files that may be served later, with what to say of them."""
        self.broken: dict[str, str] = {}
        self.failed: dict[tuple[Model, Model | None], str] = {}
        """Models, with the projector that they were started with, that llama.cpp did not take."""
        self._read: dict[tuple[Path, tuple[int, ...]], Model | str] = {}
        self._since: dict[tuple[Path, tuple[int, ...]], float] = {}

    def look(self) -> None:
        """Sees what is there now."""
        models, waiting, broken, since = [], {}, {}, {}
        # Who puts a file there need not be who may read what a link names.
        for file in sorted(file for file in self.path.glob("*.gguf") if not file.is_symlink()):
            found = self._examine(file, since)
            if isinstance(found, Model):
                models.append(found)
            elif found:
                (broken if (file, _stamp(file)) in self._read else waiting)[file.name] = found
        self.models, self.waiting, self.broken, self._since = models, waiting, broken, since
        self._read = {key: found for key, found in self._read.items() if key in since}
        self.failed = {pair: reason for pair, reason in self.failed.items() if pair[0] in models}

    def _examine(self, file: Path, since: dict[tuple[Path, tuple[int, ...]], float]) -> Model | str:
        stamp = _stamp(file)
        key = (file, stamp)
        since[key] = self._since.get(key, time.monotonic())
        if not os.access(file, os.R_OK):
            return f"{file} cannot be read: {self.how_to_read}"
        if not stamp[0] or time.monotonic() - since[key] < SETTLED:
            return f"{file} is still being copied"
        if key not in self._read:
            try:
                self._read[key] = Model(file, stamp, read_header(file))
            except (OSError, ValueError) as error:
                self._read[key] = f"{file} cannot be served: {error}"
        return self._read[key]

    def choose(self, role: str) -> tuple[Model, Model | None] | None:
        """The model to serve and its projector; what failed is not tried again until a file of it is another."""
        return next(filter(None, map(self.pair, self._candidates(role))), None)

    def pair(self, model: Model) -> tuple[Model, Model | None] | None:
        """A model with its projector, or without where llama.cpp did not take the two together."""
        projector = self._projector(model) if model.kind == CHAT else None
        pairs = ((model, projector), (model, None))
        return next((pair for pair in pairs if pair not in self.failed), None)

    def _candidates(self, role: str) -> list[Model]:
        ours = [model for model in self.models if model.kind == role]
        asked = role == CHAT and self.wanted != "auto"
        return [model for model in ours if model.file.name == self.wanted] if asked else ours

    def _projector(self, model: Model) -> Model | None:
        """The one that is named after the model; else the first that fits it and is named after no other."""
        projectors = {one.file.name: one for one in self.models if one.kind == PROJECTOR}
        others = {f"mmproj-{other.file.name}" for other in self.models if other != model}
        fitting = (
            one for name, one in projectors.items() if name not in others and one.width in (0, model.width)
        )
        return projectors.get(f"mmproj-{model.file.name}") or next(fitting, None)

    def has(self, role: str) -> bool:
        """Whether a file is there for this, be it one that cannot be served."""
        return any(model.kind == role for model in self.models)

    def whynot(self, role: str) -> tuple[str, str]:
        """Why nothing is served, and what to do: what kind of trouble it is, and words for it."""
        asked = role == CHAT and self.wanted != "auto"
        names = {self.wanted} if asked else None
        failed = {
            model.file.name: f"{model.file} cannot be served: {reason}"
            for (model, projector), reason in self.failed.items()
            if projector is None and model.kind == role
        }
        for kind, reasons in (("broken_model", self.broken | failed), ("no_model", self.waiting)):
            for name, reason in sorted(reasons.items()):
                if names is None or name in names:
                    return kind, reason
        if role == EMBEDDING:
            return "no_model", f"no model for embeddings yet: put a .gguf file of one {self.how_to_add}"
        if not asked:
            return "no_model", f"no model yet: put a .gguf file {self.how_to_add}"
        if (self.path / self.wanted).exists():
            return "no_model", f"no model yet: {self.wanted}, which is asked for, is no model that chats"
        return "no_model", f"no model yet: {self.wanted}, which is asked for, is not there: put it {self.how_to_add}"


def _stamp(file: Path) -> tuple[int, ...]:
    try:
        found = file.stat()
    except OSError:
        return (0,)
    return found.st_size, found.st_mtime_ns, found.st_ino


class Backend:
    """llama.cpp's server with one model, in a process of its own."""

    def __init__(self, model: Model, projector: Model | None, socket: Path, threads: int) -> None:
        self.model = model
        self.projector = projector
        self.name = model.file.stem
        self.ready = False
        self.since = int(time.time())
        self.socket = socket
        self._threads = threads
        self._errors: list[str] = []
        self._process: asyncio.subprocess.Process | None = None
        self.stopped = False

    def stop(self) -> None:
        """Ends it, and what it is computing."""
        self.stopped = True
        if self._process and self._process.returncode is None:
            self._process.terminate()

    async def run(self, say: Callable[[str], None]) -> str:
        """Until it ends. What it ends with; before it is ready, the first error that it reported."""
        spec = {
            "model": str(self.model.file),
            "projector": str(self.projector.file) if self.projector else "",
            "name": self.name,
            "socket": str(self.socket),
            "slots": self.model.slots,
            "pooling": self.model.pooling or MEAN,
            "threads": self._threads,
        }
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", __file__, "--one", json.dumps(spec)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=2**20,
        )
        # No connection is used twice: one that llama.cpp closes while it is idle would fail the next request.
        self.session = ClientSession(connector=UnixConnector(str(self.socket), limit=0, force_close=True))
        watching = asyncio.create_task(self._watch())
        try:
            await self._pass_on_log(process.stdout, say)
            code = await process.wait()
        finally:
            self.ready = False
            watching.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
            await self.session.close()
        if self.stopped:
            return "its files have changed"
        if code == -signal.SIGKILL:
            return "it was ended from outside (signal 9), as Linux does where memory is short"
        ended = f"it ended with {signal.Signals(-code).name if code < 0 else code}"
        return next(iter(self._errors), ended)

    async def _watch(self) -> None:
        """Sees that it is ready."""
        while not self.ready:
            await asyncio.sleep(0.2)
            try:
                async with self.session.get("http://llama.cpp/health") as answer:
                    self.ready = answer.status == 200
            except (ClientError, OSError):
                continue
        self._errors = []

    async def _pass_on_log(self, stream: asyncio.StreamReader, say: Callable[[str], None]) -> None:
        """Its lines, of which the first error is remembered. A file's own texts are among them."""
        async for line in _lines(stream):
            text = _printable(line.decode("utf-8", "replace").rstrip())
            say(f"{self.name}: {text}")
            error = re.match(r"[\d.]+ E (?:[^:]*\w: +)?(?:error loading model: )?(.{1,300})", text)
            if error and not self.ready:
                self._errors.append(error[1])


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """A stream's lines; of one that is too long, nothing."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            continue
        if not line:
            return
        yield line


class Server:
    """What answers at the address."""

    def __init__(self, folder: Folder, key: str, sockets: Path, threads: int) -> None:
        self.folder = folder
        self._key = key
        self._sockets = (sockets / f"{number}.sock" for number in itertools.count())
        self._threads = threads
        self._running: dict[str, Backend] = {}
        self._said: dict[str, str] = {}

    def say(self, text: str) -> None:
        """Names of files among it, which anybody can have chosen."""
        print(_printable(text), flush=True)

    async def keep(self, _app: web.Application) -> AsyncIterator[None]:
        """While the server is there, starts what can be served and is not, and sees what comes into the folder."""
        keeping = asyncio.create_task(self._keep())
        # Without it nothing would be served; whoever started this starts it again.
        keeping.add_done_callback(lambda task: task.cancelled() or signal.raise_signal(signal.SIGTERM))
        yield
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping

    async def _keep(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.to_thread(self.folder.look)
                for backend in self._running.values():
                    if self._is_outdated(backend):
                        backend.stop()
                for role in (CHAT, EMBEDDING):
                    chosen = None if role in self._running else self.folder.choose(role)
                    if chosen:
                        backend = Backend(*chosen, next(self._sockets), self._threads)
                        self._running[role] = backend
                        group.create_task(self._serve(role, backend))
                self._report()
                await asyncio.sleep(1)

    def _is_outdated(self, backend: Backend) -> bool:
        """Whether its files have changed since, or its projector has come."""
        now = self.folder.pair(backend.model)
        return backend.model not in self.folder.models or now != (backend.model, backend.projector)

    async def _serve(self, role: str, backend: Backend) -> None:
        model, projector = backend.model, backend.projector
        names = f"{model.file.name} with {projector.file.name}" if projector else model.file.name
        self.say(f"loading {names}, for {role}")
        began = asyncio.create_task(self._say_when_ready(backend, f"serving {names}, for {role}"))
        reason = await backend.run(self.say)
        was_served = began.done()
        began.cancel()
        del self._running[role]
        if was_served or backend.stopped:
            self.say(f"no longer serving {names}: {reason}")
            return
        self.folder.failed[model, projector] = reason
        self.say(f"{names} cannot be served: {reason}")

    async def _say_when_ready(self, backend: Backend, text: str) -> None:
        while not backend.ready:
            await asyncio.sleep(0.1)
        self.say(text)

    def _report(self) -> None:
        """Why a file is not served, and why nothing is: each once."""
        reasons = self.folder.waiting | self.folder.broken
        if not self._running and not reasons:
            reasons = {"": self.folder.whynot(CHAT)[1]}
        for name, reason in reasons.items():
            if self._said.get(name) != reason:
                self.say(reason)
        self._said = reasons

    def _backend(self, role: str) -> Backend | None:
        if role == EMBEDDING and role not in self._running and not self.folder.has(role):
            role = CHAT
        backend = self._running.get(role)
        return backend if backend and backend.ready else None

    def _whynot(self, role: str) -> tuple[str, str]:
        backend = self._running.get(role)
        if backend:
            return "loading_model", f"{backend.model.file.name} is being loaded"
        return self.folder.whynot(role)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        served = [backend for role in (CHAT, EMBEDDING) if (backend := self._backend(role))]
        if request.path in HEALTH:
            return _json(200, {"status": "ok"}) if served else _json(503, {"status": self._whynot(CHAT)[0]})
        if not self._has_key(request):
            return _error(401, "invalid_api_key", "Invalid API key")
        if request.path in LISTS and request.method in ("GET", "HEAD"):
            return self._list(dict.fromkeys(served)) if served else _error(503, *self._whynot(CHAT))
        role = EMBEDDING if request.path in EMBEDS else CHAT
        backend = self._backend(role)
        return await _hand_on(request, backend) if backend else _error(503, *self._whynot(role))

    def _has_key(self, request: web.Request) -> bool:
        """The second header is that of Anthropic's clients."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.headers.get("X-Api-Key", "")
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._key.encode())

    def _list(self, backends: Iterable[Backend]) -> web.Response:
        models = [
            {"id": one.name, "object": "model", "created": one.since, "owned_by": "carbon"} for one in backends
        ]
        return _json(200, {"object": "list", "data": models})


def _json(status: int, content: Any) -> web.Response:
    return web.json_response(content, status=status)


def _error(status: int, kind: str, message: str) -> web.Response:
    return _json(status, {"error": {"message": message, "type": kind, "code": status}})


async def _hand_on(request: web.Request, backend: Backend) -> web.StreamResponse:
    """The backend's answer, piece by piece. A client that goes away cancels this, which closes the connection behind it,
    by which llama.cpp sees that nobody waits."""
    headers = {name: value for name, value in request.headers.items() if name.lower() not in NOT_HANDED_ON}
    body = request.content if request.body_exists else None
    reply = None
    try:
        async with backend.session.request(
            *(request.method, f"http://llama.cpp{request.raw_path}"),
            headers=headers,
            data=body,
            allow_redirects=False,
            timeout=ClientTimeout(total=None, sock_connect=10),
        ) as answer:
            reply = web.StreamResponse(status=answer.status)
            for name in ("Content-Type", "Content-Length"):
                if name in answer.headers:
                    reply.headers[name] = answer.headers[name]
            await reply.prepare(request)
            async for piece in answer.content.iter_any():
                await reply.write(piece)
            await reply.write_eof()
            return reply
    except ClientError:
        if reply is None:
            return _error(503, "server_error", f"the server of {backend.name} ended; it is started again")
        # What the client has is not the whole answer, and must not look like it.
        if request.transport:
            request.transport.abort()
        return reply


def serve_one(spec: dict[str, Any]) -> None:
    """llama.cpp's server with one model, on its socket, until the process that started it ends."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = spec["model"]
    params.mmproj.path = spec["projector"]
    params.model_alias = {spec["name"]}
    params.hostnames = [spec["socket"]]
    # A context of its own for each request: in one that they share, the one that fills it ends them all.
    params.n_parallel = spec["slots"]
    params.n_ctx = CONTEXT * spec["slots"]
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type(spec["pooling"])
    params.n_batch = params.n_ubatch = EMBEDDED
    # Waiting requests hold a thread each.
    params.n_threads_http = 64
    if spec["threads"]:
        params.cpuparams.n_threads = spec["threads"]
    # Copies of contexts in memory, 8 GiB of them unless it is said otherwise.
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    params.ui = False
    params.endpoint_metrics = True
    params.cors_origins = ""
    params.cors_credentials = False
    # Errors alone: it warns of what is as it should be here.
    params.verbosity = 1
    try:
        _server = xllamacpp.Server(params)
    except RuntimeError:
        # Its log says why.
        os._exit(1)
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--models", type=Path, help="folder of the .gguf files")
    parser.add_argument("--key-file", type=Path, help="file with the API key")
    parser.add_argument("--model", default="auto", help="file that chats; auto: the first by name")
    parser.add_argument("--address", default="127.0.0.1", help="to listen on")
    parser.add_argument("--port", type=int, default=8011)
    # All that the process may use; on a Mac llama.cpp knows better which of its processors compute.
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    parser.add_argument("--threads", type=int, default=usable, help="that compute a token; 0: llama.cpp's choice")
    parser.add_argument("--how-to-add", default="into its folder", help="where a model is to be put, for messages")
    parser.add_argument("--how-to-read", default="change its mode", help="what makes one readable, for messages")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.one and not (arguments.models and arguments.key_file):
        parser.error("--models and --key-file are needed")
    return arguments


def main() -> None:
    """Serves until it is told to stop."""
    arguments = parse_arguments()
    if arguments.one:
        serve_one(arguments.one)
        return
    try:
        key = arguments.key_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        sys.exit(f"{arguments.key_file} cannot be read: {error.strerror}")
    if not key:
        sys.exit(f"{arguments.key_file} holds no key")
    folder = Folder(arguments.models, arguments.model, arguments.how_to_add, arguments.how_to_read)
    with tempfile.TemporaryDirectory(prefix="carbon-llm-") as sockets:
        server = Server(folder, key, Path(sockets), arguments.threads)
        app = web.Application()
        app.cleanup_ctx.append(server.keep)
        app.router.add_route("*", "/{path:.*}", server.answer)
        run = partial(web.run_app, app, print=None, access_log=None, shutdown_timeout=1)
        run(host=arguments.address, port=arguments.port, handler_cancellation=True)


if __name__ == "__main__":
    main()
