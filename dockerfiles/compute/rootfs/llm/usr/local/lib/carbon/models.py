"""Lists, pulls and removes the models of a folder, for `carbon models`.

Reads one line of JSON, the request, from standard input, and lives no longer than that stays open. Prints JSON, one
document a line, and ends with `{"error": …}` and 1, or with what was asked for and 0. The token of the hub is in the
request: no command line and no environment shows it.

Runs in a container of the compute image, and on the host in the environment of its LLM server: it imports nothing of
the image's.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, BinaryIO
from urllib.parse import urlsplit

MAGIC = b"GGUF"
STAGING = ".carbon"
"""Folder in the models' for what has not come whole yet, and for a record of each pull. The server does not look there."""
RECORD_LIMIT = 64_000
"""Bytes that are read of a record."""
SPARE = 500_000_000
"""Bytes of the disk that a pull leaves free."""
TRIES = 2
"""Attempts in a row that bring nothing, after which a pull gives up. The hub's client makes several of its own in each."""
REPORT = 0.5
"""Seconds between two words on how far it is."""
LOCAL = ("localhost", "127.0.0.1", "::1", "host.docker.internal")
"""Names of this machine: what goes there, nobody on the way reads."""
SHA256 = re.compile(r"[0-9a-f]{64}")
GIT_BLOB = re.compile(r"[0-9a-f]{40}")


class Refused(Exception):
    """What cannot be done, in a sentence for the user."""


class Worthless(Refused):
    """The same of what has come: it is not kept."""


def say(**document: Any) -> None:
    """One line for `carbon`. Names that are no UTF-8 go as lone surrogates, and come back as such."""
    print(json.dumps(document), flush=True)


# ---- the folder: all paths are names in a folder that is open, and no link is followed --------------------------


def become_owner(folder: str) -> None:
    """Root works as the folder's owner: what others can put there leads no further than they get themselves."""
    owner = os.lstat(folder)
    if os.getuid() == 0 and owner.st_uid != 0:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
    os.umask(0o022)


def open_folder(name: str, within: int | None = None) -> int:
    """A descriptor of the folder.

    :raises Refused: where a link or a file has its name.
    """
    try:
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Refused(f"{name} is a link or a file, and must be a folder. Remove it.") from None
        raise


def open_staging(models: int) -> int:
    """The folder for what is on its way, made at first need."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(STAGING, 0o755, dir_fd=models)
    return open_folder(STAGING, models)


def look(name: str, folder: int) -> os.stat_result | None:
    """What has this name, a link itself included; None where nothing has."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def open_file(name: str, folder: int, flags: int) -> BinaryIO:
    """The file, which is no link, device or pipe."""
    try:
        descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused(f"{name} is a link. Remove it.") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused(f"{name} is no file. Remove it.")
    return os.fdopen(descriptor, "r+b" if flags & os.O_RDWR else "rb")


def forget(name: str, folder: int) -> None:
    """Removes the name, where there is one; a link's target stays."""
    try:
        os.unlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENAMETOOLONG):
            raise


def read_record(name: str, staging: int) -> dict[str, Any]:
    """What was written down of a pull; empty where nothing was, or nothing that can be read."""
    try:
        with open_file(f"{name}.json", staging, os.O_RDONLY) as file:
            record = json.loads(file.read(RECORD_LIMIT))
    except (OSError, ValueError, Refused):
        return {}
    return record if isinstance(record, dict) else {}


def write_record(name: str, staging: int, record: dict[str, Any]) -> None:
    forget(f"{name}.json", staging)
    with open_file(f"{name}.json", staging, os.O_RDWR | os.O_CREAT | os.O_EXCL) as file:
        file.write(json.dumps(record).encode())


def is_as_recorded(found: os.stat_result, record: dict[str, Any]) -> bool:
    """Whether a file is the one that a pull has put there and verified."""
    return (
        stat.S_ISREG(found.st_mode)
        and record.get("bytes") == found.st_size
        and record.get("modified") == found.st_mtime_ns
    )


# ---- list and remove --------------------------------------------------------------------------------------------


def inventory(models: int) -> dict[str, dict[str, Any]]:
    """Each model of the folder, and each that has come in part; with where it came from, as far as a pull wrote it down."""
    # Looking changes nothing: where no model was pulled yet, there is no staging folder.
    staging = open_folder(STAGING, models) if look(STAGING, models) else None
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(os.listdir(models)):
        status = look(name, models)
        if status and name.lower().endswith(".gguf"):
            record = read_record(name, staging) if staging is not None else {}
            found[name] = describe(name, status, record if is_as_recorded(status, record) else {})
    for part in sorted(os.listdir(staging)) if staging is not None else []:
        name, status = part.removesuffix(".part"), look(part, staging)
        if part.endswith(".part") and status and name not in found:
            record = read_record(name, staging)
            found[name] = {**describe(name, status, record), "complete": False, "total": record.get("total")}
    return found


def describe(name: str, status: os.stat_result, record: dict[str, Any]) -> dict[str, Any]:
    kind = "link" if stat.S_ISLNK(status.st_mode) else "file" if stat.S_ISREG(status.st_mode) else "other"
    source = {key: record[key] for key in ("repo", "file", "hash") if isinstance(record.get(key), str)}
    return {"name": name, "kind": kind, "bytes": status.st_size, "complete": True, **source}


def list_models(models: int, _: dict[str, Any]) -> None:
    say(models=list(inventory(models).values()), free=free_bytes(models))


def remove_models(models: int, request: dict[str, Any]) -> None:
    """Removes those of the names that the folder has: as no other name is taken, none leads out of it."""
    there = inventory(models)
    removed = [name for name in request["names"] if name in there]
    folders = [name for name in removed if there[name]["kind"] == "other"]
    if folders:
        raise Refused(f"{folders[0]} is a folder or a device, which no pull has made. It stays.")
    staging = open_staging(models)
    with exclusively(staging):
        for name in removed:
            forget(name, models)
            for leftover in (f"{name}.part", f"{name}.json"):
                forget(leftover, staging)
    say(removed=removed)


# ---- the hub ----------------------------------------------------------------------------------------------------


class Part:
    """The part of a file that has come, as the hub's client writes to it; refuses at once what is no GGUF."""

    def __init__(self, file: BinaryIO, name: str, size: int) -> None:
        """`size`: bytes that the hub has told of; the disk was looked at for as many."""
        self.file, self.name, self.size = file, name, size
        self.tell, self.seek, self.truncate = file.tell, file.seek, file.truncate

    def write(self, chunk: bytes) -> int:
        if self.tell() == 0:
            ensure_gguf(chunk, self.name)
        if self.tell() + len(chunk) > self.size:
            raise Worthless(f"{self.name} is longer than the hub has said.")
        return self.file.write(chunk)


def ensure_gguf(start: bytes, name: str) -> None:
    if start[: len(MAGIC)] != MAGIC[: len(start)]:
        beginning = ascii(start[:12].decode("latin-1"))
        raise Worthless(f"{name} is no GGUF file, it begins with {beginning}. llama.cpp reads no other.")


class Progress:
    """Stands for the client's progress bar, and tells `carbon` how far it is."""

    name, total = "", 0

    def __init__(self, initial: int = 0, **_: Any) -> None:
        self.done, self.said = initial, 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to close."""

    def update(self, count: int) -> None:
        self.done += count
        if time.monotonic() - self.said >= REPORT:
            self.said = time.monotonic()
            say(progress=Progress.name, done=self.done, total=Progress.total)


class Hub:
    """The hub, asked by its own client, huggingface_hub."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.endpoint: str = request["endpoint"]
        self.host = urlsplit(self.endpoint).hostname or ""
        self.given: str | None = request.get("token")
        self.token: str | bool = False
        os.environ.update(request.get("environment", {}))
        # Plain HTTP: a part of a file can be taken up again, and it goes through mirrors and proxies. Nothing of the
        # user's own set-up is read, and nothing is written beside the models.
        os.environ.update(HF_ENDPOINT=self.endpoint, HF_HOME="/nonexistent", HF_HUB_DISABLE_XET="1")
        os.environ.update(HF_HUB_DISABLE_IMPLICIT_TOKEN="1", HF_HUB_DISABLE_TELEMETRY="1")
        os.environ.pop("HF_TOKEN", None)
        from huggingface_hub import constants
        from huggingface_hub.utils import logging

        # What an interruption costs at most: less than the client's own 10 MB, so that a poor line gets on, too.
        constants.DOWNLOAD_CHUNK_SIZE = 1 << 20
        # It would tell of each attempt.
        logging.set_verbosity(logging.CRITICAL)
        if request.get("authorities"):
            trust(request["authorities"])

    def url(self, spec: dict[str, Any], revision: str) -> str:
        from huggingface_hub import hf_hub_url

        return hf_hub_url(spec["repo"], spec["file"], revision=revision, endpoint=self.endpoint)

    def metadata(self, spec: dict[str, Any]) -> Any:
        """Size, hash and commit of the file. The token is used where the hub does not answer without."""
        from huggingface_hub import errors, get_hf_file_metadata

        url = self.url(spec, spec.get("revision") or "main")
        try:
            found = get_hf_file_metadata(url, token=self.token, endpoint=self.endpoint)
        except errors.HfHubHTTPError as error:
            if self.given and self.token is False and status_of(error) in (401, 403, 404):
                self.ensure_private()
                self.token = self.given
                return self.metadata(spec)
            raise
        if not found.commit_hash or not found.etag or found.size is None:
            raise Refused(
                f"{self.host} does not answer as Hugging Face's hub does: the login page of a network may have "
                "answered, or HF_ENDPOINT names no hub."
            )
        return found

    def ensure_private(self) -> None:
        if not self.endpoint.startswith("https:") and self.host not in LOCAL:
            raise Refused(f"{self.host} wants a token, which http would show to everybody on the way. Use https.")

    def download(self, spec: dict[str, Any], found: Any, file: BinaryIO) -> None:
        """Goes on where the file ends, and tries again as long as that brings something."""
        import httpx2
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers

        # By its commit, so that all parts are of one version. A signed address that the hub leads to would run out.
        url, part = self.url(spec, found.commit_hash), Part(file, spec["file"], found.size)
        failures = 0
        while (done := file.tell()) < found.size:
            headers = build_hf_headers(token=self.token)
            try:
                http_get(
                    url, part, resume_size=done, headers=headers, expected_size=found.size, tqdm_class=Progress
                )
            except httpx2.TransportError as error:
                failures = 0 if file.tell() > done else failures + 1
                if failures >= TRIES:
                    percent = 100 * file.tell() // found.size
                    raise Refused(
                        f"The connection was lost after {percent} % of {spec['file']} ({brief(error)}). Type the same "
                        "command again: it goes on from there."
                    ) from None
                time.sleep(failures)


def trust(authorities: str) -> None:
    """Takes the authorities of the user's network, a PEM text, besides the usual ones."""
    import httpx2
    from huggingface_hub import set_client_factory

    context = httpx2.create_ssl_context()
    context.load_verify_locations(cadata=authorities)
    set_client_factory(lambda: httpx2.Client(verify=context, follow_redirects=True, timeout=None))


def status_of(error: Any) -> int:
    return getattr(error.response, "status_code", 0)


def brief(error: BaseException) -> str:
    """The first line of what went wrong, without addresses: those can be signed."""
    lines = str(error).strip().splitlines()
    return re.sub(r"https?://\S+", "…", lines[0])[:200].rstrip(".") if lines else type(error).__name__


@contextlib.contextmanager
def in_words(spec: dict[str, Any], hub: Hub) -> Iterator[None]:
    """Turns what the hub's client raises into a sentence."""
    import httpx2
    from huggingface_hub import errors

    repo, file, host = spec["repo"], spec["file"], hub.host
    try:
        yield
    except errors.GatedRepoError:
        raise Refused(
            f"{repo} is gated. Accept its terms at {hub.endpoint}/{repo}, and give the token of that account: HF_TOKEN "
            "in carbon:environment."
        ) from None
    except errors.RepositoryNotFoundError:
        advice = "the token does not open it" if hub.token else "it wants a token: HF_TOKEN in carbon:environment"
        raise Refused(f"There is no repository {repo} on {host}, or {advice}.") from None
    except errors.RevisionNotFoundError:
        raise Refused(
            f"{repo} no longer has the version that the catalogue knows. To take the newest: "
            f"./carbon models pull hf:{repo}:{file}"
        ) from None
    except errors.EntryNotFoundError:
        raise Refused(f"{repo} has no file {file}. Its files: {hub.endpoint}/{repo}/tree/main") from None
    except errors.HfHubHTTPError as error:
        status = status_of(error)
        if status in (401, 403):
            raise Refused(f"{host} refuses the token, or does not let it read {repo} ({status}).") from None
        raise Refused(f"{host} answers {status} for {file} of {repo}. Try again later.") from None
    except errors.HFValidationError:
        raise Refused(f"{repo} is no name of a repository.") from None
    except httpx2.TransportError as error:
        raise Refused(f"{host} cannot be reached ({brief(error)}).") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refused(
                f"No space left on device: {file} does not fit. What has come is kept; with room for the rest, the "
                "same command goes on from there."
            ) from None
        raise


# ---- pull -------------------------------------------------------------------------------------------------------


def free_bytes(folder: int) -> int:
    disk = os.fstatvfs(folder)
    return disk.f_bavail * disk.f_frsize


@contextlib.contextmanager
def exclusively(staging: int) -> Iterator[None]:
    """Keeps two commands from changing the same folder."""
    with open_file("lock", staging, os.O_RDWR | os.O_CREAT) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("Another command pulls or removes models there. Wait for it, or end it.") from None
        yield


def pull_models(models: int, request: dict[str, Any]) -> None:
    """Brings the files that are not there yet. All of them are looked up before the first byte comes."""
    hub, staging = Hub(request), open_staging(models)
    with exclusively(staging):
        wanted = []
        for spec in request["files"]:
            with in_words(spec, hub):
                wanted.append((spec, hub.metadata(spec)))
        for spec, found in wanted:
            ensure_verifiable(spec, found)
        missing = [(spec, found) for spec, found in wanted if not is_there(spec, found, models, staging)]
        ensure_room(missing, models, staging)
        for spec, found in missing:
            with in_words(spec, hub):
                pull(spec, found, hub, models, staging)
    fresh = [spec["name"] for spec, _ in missing]
    say(pulled=[{"name": spec["name"], "bytes": found.size, "fresh": spec["name"] in fresh} for spec, found in wanted])


def ensure_verifiable(spec: dict[str, Any], found: Any) -> None:
    """What the catalogue knows of a file, the hub must say, too."""
    repo, file, known = spec["repo"], spec["file"], spec.get("sha256")
    if known and found.etag != known:
        raise Refused(
            f"The hub has another {file} than the catalogue knows. To take it as it is: "
            f"./carbon models pull hf:{repo}:{file}"
        )
    if not (SHA256.fullmatch(found.etag) or GIT_BLOB.fullmatch(found.etag)):
        raise Refused(f"{repo} names no hash of {file}, so that nothing can verify it.")


def is_there(spec: dict[str, Any], found: Any, models: int, staging: int) -> bool:
    """Whether the folder has the file already, as the hub has it.

    :raises Refused: where something else has its name.
    """
    name, record = spec["name"], read_record(spec["name"], staging)
    status = look(name, models)
    if status is None:
        return False
    if not stat.S_ISREG(status.st_mode):
        raise Refused(f"{name} is a link or a folder there, which nothing is written to. Remove it first.")
    if is_as_recorded(status, record):
        if record.get("hash") == found.etag:
            return True
        if (record.get("repo"), record.get("file")) == (spec["repo"], spec["file"]):
            # An older version of the same, which the new one takes the place of.
            return False
    elif status.st_size == found.size:
        say(verifying=name)
        with open_file(name, models, os.O_RDONLY) as file:
            if digest(file, found) == found.etag:
                write_record(name, staging, record_of(spec, found, file))
                return True
    raise Refused(f"There is another {name} already. Remove it first: ./carbon models remove {name}")


def record_of(spec: dict[str, Any], found: Any, file: BinaryIO | None = None) -> dict[str, Any]:
    """What is written down of a pull; with the file, that it is whole and verified."""
    record = {"repo": spec["repo"], "file": spec["file"], "hash": found.etag, "total": found.size}
    if file is None:
        return record
    status = os.fstat(file.fileno())
    return {**record, "bytes": status.st_size, "modified": status.st_mtime_ns}


def ensure_room(missing: list[tuple[dict[str, Any], Any]], models: int, staging: int) -> None:
    needed = sum(found.size - resumable(spec, found, staging) for spec, found in missing)
    free = free_bytes(models)
    if missing and needed + SPARE > free:
        raise Refused(
            f"The disk has too little room: {gigabytes(needed)} to come, {gigabytes(SPARE)} to stay free, and only "
            f"{gigabytes(free)} free where the models are kept."
        )


def gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


def resumable(spec: dict[str, Any], found: Any, staging: int) -> int:
    """Bytes that an interrupted pull of the very same file has left."""
    status, record = look(f"{spec['name']}.part", staging), read_record(spec["name"], staging)
    is_same = [record.get(key) for key in ("repo", "file", "hash")] == [spec["repo"], spec["file"], found.etag]
    fits = status is not None and stat.S_ISREG(status.st_mode) and status.st_size <= found.size
    return status.st_size if status and is_same and fits else 0


def pull(spec: dict[str, Any], found: Any, hub: Hub, models: int, staging: int) -> None:
    """Brings one file to the staging folder, verifies it, and only then puts it where the server looks."""
    name, part = spec["name"], f"{spec['name']}.part"
    done = resumable(spec, found, staging)
    if not done:
        forget(part, staging)
        write_record(name, staging, record_of(spec, found))
    Progress.name, Progress.total = name, found.size
    say(pulling=name, done=done, total=found.size)
    try:
        with open_file(part, staging, os.O_RDWR | os.O_CREAT) as file:
            file.seek(done)
            hub.download(spec, found, file)
            say(verifying=name)
            verify(file, spec, found)
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
            write_record(name, staging, record_of(spec, found, file))
    except Worthless:
        forget(part, staging)
        forget(f"{name}.json", staging)
        raise
    os.rename(part, name, src_dir_fd=staging, dst_dir_fd=models)


def verify(file: BinaryIO, spec: dict[str, Any], found: Any) -> None:
    """Holds the whole file to the hub's own hash.

    :raises Worthless: where it is another one.
    """
    file.flush()
    file.seek(0)
    ensure_gguf(file.read(len(MAGIC)).ljust(len(MAGIC), b"?"), spec["file"])
    came = digest(file, found)
    if came != found.etag:
        raise Worthless(
            f"{spec['file']} came with the hash {came[:12]}…, and the hub says {found.etag[:12]}…: it was damaged "
            "or changed on the way, and is deleted. Try again."
        )


def digest(file: BinaryIO, found: Any) -> str:
    """The hash of the kind that the hub gives: SHA-256 of large files, git's own of others."""
    if SHA256.fullmatch(found.etag):
        state = hashlib.sha256()
    else:
        state = hashlib.sha1(b"blob %d\0" % os.fstat(file.fileno()).st_size, usedforsecurity=False)
    file.seek(0)
    while chunk := file.read(1 << 20):
        state.update(chunk)
    return state.hexdigest()


# ---- the command ------------------------------------------------------------------------------------------------


def read_request() -> dict[str, Any]:
    """The first line of standard input."""
    text = b""
    while b"\n" not in text and (more := os.read(0, 1 << 16)):
        text += more
    return json.loads(text)


def end_with_input() -> None:
    """Ends with the command that has asked, however that ends: its end of the pipe closes."""

    def wait() -> None:
        # Not by sys.stdin: whose buffer a waiting thread holds, cannot end.
        while os.read(0, 1 << 16):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Does what the request asks for; 130 when it was interrupted."""
    # Also as process 1 of a container, which signals without a handler do not reach.
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    request = read_request()
    end_with_input()
    actions = {"list": list_models, "pull": pull_models, "remove": remove_models}
    try:
        become_owner(request["folder"])
        actions[request["action"]](open_folder(request["folder"]), request)
    except Refused as error:
        say(error=str(error))
        return 1
    except OSError as error:
        say(error=f"The models' folder cannot be used: {error.strerror or brief(error)}.")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
