"""Who follows which paths while a container starts, and links planted there. For tests/image/root-paths.test.ts.

Run inside the container, with Python's standard library alone:

    root_paths.py watched TRACES         reads what strace -ff wrote; prints {"followed": [...], "touched": [...]}
    root_paths.py sentinels OUTSIDE      makes a file and a folder of root's for each path of the plan on stdin
    root_paths.py plant OUTSIDE          puts links to them at the plan's paths, as who runs this; prints how many
    root_paths.py state OUTSIDE          prints all that is known of the files in OUTSIDE

A place is foreign where its folder is another user's than root's, or where everybody may make files and it is not
root's already: its owner can put a link there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STRING = re.compile(r'(?:(?:AT_FDCWD|\d+)<((?:[^<>\\]|\\.)*)>, )?(@?)"((?:[^"\\]|\\.)*)"')
CALL = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+|0x[0-9a-f]+|\?)(.*)$")
FOLDER_OF_FD = re.compile(r"^\d+<((?:[^<>\\]|\\.)*)>")
NOT_FILES = ("/proc/", "/sys/", "/dev/null", "/dev/tty", "/dev/std", "/dev/fd", "/dev/ptmx", "/dev/pts", "/dev/urandom")
# A walk that follows no link, of what belonged to one former owner; chown opens each folder by its handle.
CAREFUL_CHOWN = ("--recursive", "-P", "--no-dereference", "--from=")


@dataclass(frozen=True)
class Access:
    """A path that a process gave to the kernel, made absolute."""

    call: str
    path: str
    uid: int
    program: str
    follows: bool
    """Whether the kernel follows a link that the path itself is; those on the way are always followed."""
    made: bool
    """Whether the call made the file, and had failed where there was one."""


@dataclass
class Process:
    """What a process inherits."""

    uid: int
    folder: str
    program: str


def accesses(traces: Path) -> Iterator[Access]:
    """Every access in the files TRACES.PID, parents before children."""
    files = {int(file.suffix[1:]): file for file in traces.parent.glob(f"{traces.name}.*")}
    start = Process(0, "/workspace", "")
    heirs: dict[int, Process] = {}
    children: set[int] = set()
    for file in files.values():
        children.update(_children(file))
    waiting = [(pid, start) for pid in sorted(files) if pid not in children]
    while waiting:
        pid, process = waiting.pop()
        if pid in files:
            yield from _accesses_of(files.pop(pid), process, heirs)
            waiting += heirs.items()
            heirs.clear()


def _calls(file: Path) -> Iterator[tuple[str, str, str, str]]:
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := CALL.match(line):
            yield match[1], match[2], match[3], match[4]


def _children(file: Path) -> Iterator[int]:
    for name, _, result, _ in _calls(file):
        if name in ("clone", "clone3", "fork", "vfork") and result.isdecimal():
            yield int(result)


def _accesses_of(file: Path, given: Process, heirs: dict[int, Process]) -> Iterator[Access]:
    process = Process(given.uid, given.folder, given.program)
    for name, arguments, result, rest in _calls(file):
        failed = result.startswith("-")
        if name in ("clone", "clone3", "fork", "vfork"):
            if result.isdecimal():
                heirs[int(result)] = Process(process.uid, process.folder, process.program)
        elif name.startswith("set"):
            if not failed:
                process.uid = _effective_uid(name, arguments, process.uid)
        elif name == "fchdir":
            if (match := FOLDER_OF_FD.match(arguments)) and not failed:
                process.folder = match[1]
        elif name in ("connect", "bind") and "AF_UNIX" not in arguments:
            continue
        elif name not in ("getcwd", "prctl") and not name.startswith(("exit", "wait", "kill", "get")):
            found = [
                os.path.normpath(os.path.join(folder or process.folder, _unescaped(text)))
                for folder, abstract, text in STRING.findall(arguments)
                if not abstract
            ]
            for path in _paths_of(name, found):
                yield Access(
                    name, path, process.uid, process.program, _follows(name, arguments), _made(name, arguments, failed)
                )
            if name == "chdir" and found and not failed:
                process.folder = found[0]
            if name == "execve" and not failed:
                process.program = " ".join(text for _, _, text in STRING.findall(arguments)[1:])


def _effective_uid(name: str, arguments: str, uid: int) -> int:
    ids = [int(number) for number in re.findall(r"-?\d+", arguments)]
    if name == "setuid":
        return ids[0]
    if name in ("setreuid", "setresuid"):
        return uid if ids[1] == -1 else ids[1]
    return uid


def _paths_of(name: str, found: list[str]) -> list[str]:
    if name.startswith(("rename", "link")):
        return found[:2]
    if name.startswith("symlink"):
        return found[1:2]
    return found[:1]


def _follows(name: str, arguments: str) -> bool:
    if name.startswith(("unlink", "rename", "link", "symlink", "mkdir", "rmdir", "lstat", "readlink", "lchown")):
        return False
    return "NOFOLLOW" not in arguments and "O_EXCL" not in arguments


def _made(name: str, arguments: str, failed: bool) -> bool:
    return not failed and (name.startswith("mkdir") or (name.startswith("open") and "O_EXCL" in arguments))


def _unescaped(text: str) -> str:
    return text.encode("latin-1", "replace").decode("unicode_escape")


def foreign_part(path: str, made: set[str], *, follow: bool) -> str | None:
    """The first name on the way to `path` that somebody else than root could make a link; None where there is none."""
    done, names, hops = "/", path.strip("/").split("/"), 0
    while names:
        name = names.pop(0)
        here = os.path.normpath(os.path.join(done, name))
        folder = _look(done)
        entry = _look(here)
        if folder is None:
            return None
        if folder.st_uid != 0 or (folder.st_mode & 0o022 and not folder.st_mode & stat.S_ISVTX):
            return here
        if folder.st_mode & stat.S_ISVTX and here not in made and (entry is None or entry.st_uid != 0):
            return here
        if entry and stat.S_ISLNK(entry.st_mode) and (names or follow) and hops < 40:
            hops += 1
            target = os.path.normpath(os.path.join(done, os.readlink(here)))
            done, names = "/", target.strip("/").split("/") + names
        else:
            done = here
    return None


def _look(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def watched(traces: Path) -> dict[str, object]:
    """What root followed though somebody else could have bent it, and what anybody touched in such places."""
    followed, touched = {}, {}
    seen = [access for access in accesses(traces) if access.path != "/" and not access.path.startswith(NOT_FILES)]
    made = {access.path for access in seen if access.made and access.uid == 0}
    for access in seen:
        part = foreign_part(access.path, made, follow=access.follows)
        if part is None:
            continue
        touched[access.path] = _kind(access.path)
        is_look = access.call in ("lstat", "readlink") or "stat" in access.call and not access.follows
        only_a_look = is_look and part == access.path
        careful = all(option in access.program for option in CAREFUL_CHOWN)
        if access.uid == 0 and not only_a_look and not careful:
            followed[f"{access.program or 'the start'}: {access.call} {access.path}"] = True
    return {
        "followed": sorted(followed),
        "touched": [{"path": path, "kind": kind} for path, kind in sorted(touched.items())],
    }


def _kind(path: str) -> str:
    if os.path.isdir(path):
        return "folder"
    return "file" if os.path.lexists(path) else "missing"


def _sentinel(outside: Path, path: str) -> Path:
    return outside / hashlib.sha256(path.encode()).hexdigest()[:16]


def make_sentinels(outside: Path, plan: list[dict[str, str]]) -> None:
    """A folder of root's per path, with a file and a folder in it, that anybody may read."""
    for entry in plan:
        folder = _sentinel(outside, entry["path"])
        (folder / "folder").mkdir(parents=True, exist_ok=True)
        for file in (folder / "file", folder / "folder" / "inner"):
            file.write_text(f"{entry['path']}\n")
            file.chmod(0o640)


def plant(outside: Path, plan: list[dict[str, str]]) -> int:
    """Puts a link at each path that this user can: to a folder, a file, or a file that is not there yet."""
    planted = 0
    for entry in plan:
        path, target = entry["path"], _sentinel(outside, entry["path"])
        goal = {"folder": target / "folder", "file": target / "file", "missing": target / "folder" / "new"}[entry["kind"]]
        with suppress(OSError):
            _own_the_way_to(os.path.dirname(path))
            if os.path.lexists(path):
                _move_away(path)
            os.symlink(goal, path)
            planted += 1
    return planted


def _own_the_way_to(folder: str) -> None:
    """Makes `folder` this user's: what is another's on the way is renamed, as whoever owns the folder around it may."""
    if os.path.isdir(folder) and not os.path.islink(folder) and os.stat(folder).st_uid == os.getuid():
        return
    found = _look(folder)
    if found and found.st_mode & stat.S_ISVTX:
        return
    if folder == "/":
        raise PermissionError(folder)
    _own_the_way_to(os.path.dirname(folder))
    if found:
        _move_away(folder)
    os.mkdir(folder)


def _move_away(path: str) -> None:
    name = f"{path}.was"
    while os.path.lexists(name):
        name += "-too"
    os.rename(path, name)


def state(outside: Path) -> dict[str, str]:
    """Owner, mode, time and content of everything in `outside`, by path."""
    known = {}
    for path in sorted(outside.rglob("*")):
        seen = path.lstat()
        content = path.read_text() if path.is_file() else ""
        known[str(path)] = f"{seen.st_uid}:{seen.st_gid} {stat.filemode(seen.st_mode)} {seen.st_mtime_ns} {content}"
    return known


def main(command: str, folder: str) -> None:
    """Does what the command line asks for."""
    where = Path(folder)
    if command == "watched":
        print(json.dumps(watched(where)))
    elif command == "sentinels":
        make_sentinels(where, json.load(sys.stdin))
    elif command == "plant":
        print(plant(where, json.load(sys.stdin)))
    elif command == "state":
        print(json.dumps(state(where)))


if __name__ == "__main__":
    main(*sys.argv[1:])
