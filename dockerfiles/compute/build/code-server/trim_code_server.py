"""Removes from a code-server installation what nobody runs.

    trim_code_server.py DIRECTORY amd64|arm64

That is: programs and libraries of other platforms (told by their first bytes, not by their names), what compiling
native modules left behind, source maps, and Windows' debugging symbols. Licences, documentation in packages, and
scripts stay.
"""

import pathlib
import shutil
import struct
import sys
from collections.abc import Iterator

ELF_MACHINES = {"amd64": 62, "arm64": 183}  # e_machine: EM_X86_64, EM_AARCH64 (System V ABI)
SYMBOLS = {".map", ".pdb"}
MACH_O = {b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe"}


def is_foreign(path: pathlib.Path, machine: int) -> bool:
    """Whether the file is a Windows or macOS binary, or a Linux one of another machine or C library."""
    with path.open("rb") as file:
        start = file.read(20)
    if start[:4] == b"\x7fELF":
        return struct.unpack_from("<H", start, 18)[0] != machine or "musl" in str(path)
    return start[:4] in MACH_O or (start[:2] == b"MZ" and path.suffix in {".exe", ".dll", ".node"})


def build_leftovers(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """Everything that node-gyp left in `build` beside its `binding.gyp`, but for the finished modules."""
    for recipe in directory.rglob("binding.gyp"):
        build = recipe.parent / "build"
        if build.is_dir():
            yield from (path for path in build.iterdir() if path.name != "Release")
            yield from (path for path in (build / "Release").glob("*") if path.suffix != ".node")


def remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def main(directory: str, arch: str) -> None:
    root = pathlib.Path(directory)
    for path in list(build_leftovers(root)):
        remove(path)
    for path in list(root.rglob("*")):
        if path.is_file() and not path.is_symlink() and (path.suffix in SYMBOLS or is_foreign(path, ELF_MACHINES[arch])):
            path.unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
