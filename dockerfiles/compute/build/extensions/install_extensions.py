"""Downloads code-server's extensions from an Open VSX registry and lays them out as the image has them.

    install_extensions.py LIST REGISTRY amd64|arm64 OUT

LIST is dockerfiles/compute/extensions.json: each extension's id, version and the sha256 of its file, one file for every
platform or one for each. Each is unpacked to OUT/opt/carbon/code-server-extensions/ID, with a link to it among the
extensions that code-server itself brings: so code-server has them for every user, and what a user installs in the home
volume stands beside them.

Where the registry cannot be reached, the build goes on without any: one line says so, and
OUT/etc/carbon/unavailable/codeServerExtensions holds it. An extension that cannot be had, or whose file is another than
the recorded one, is left out and named; if more than a tenth are, the build ends.
"""

import concurrent.futures
import hashlib
import http.client
import json
import pathlib
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from typing import IO

UNPACKED = pathlib.PurePath("opt/carbon/code-server-extensions")
BUILT_IN = pathlib.PurePath("opt/carbon/code-server/node_modules/code-server/lib/vscode/extensions")
NOTE = pathlib.PurePath("etc/carbon/unavailable/codeServerExtensions")
# Names of the registry's.
PLATFORMS = {"amd64": "linux-x64", "arm64": "linux-arm64"}
# Seconds without an answer: of the question whether the registry is there, and of a download.
TIMEOUT_REACHABLE = 8
TIMEOUT_FILE = 60
LARGEST_BYTES = 512 << 20
AT_ONCE = 8


class Unusable(Exception):
    """One extension's file cannot be had, or is not what LIST says."""


def unreachable(registry: str) -> str | None:
    """Why the registry cannot be reached, or None. Whatever the registry itself answers will do."""
    try:
        with urllib.request.urlopen(f"{registry}/api/version", timeout=TIMEOUT_REACHABLE):
            return None
    except urllib.error.HTTPError as error:
        # Other answers are those of a proxy that refuses, or of a registry in trouble.
        return None if error.code in (404, 410) else str(error)
    except (OSError, http.client.HTTPException) as error:
        return str(error)


def file_of(extension: dict, arch: str) -> tuple[str, str]:
    """Path in the registry, and sha256, of the extension's file for this platform."""
    publisher, name = extension["id"].split(".", 1)
    version, hashes = extension["version"], extension["sha256"]
    for platform in (PLATFORMS[arch], "universal"):
        if platform in hashes:
            folder, suffix = ("", "") if platform == "universal" else (f"/{platform}", f"@{platform}")
            file = f"{publisher}.{name}-{version}{suffix}.vsix"
            return f"/api/{publisher}/{name}{folder}/{version}/file/{file}", hashes[platform]
    raise Unusable(f"no file for {PLATFORMS[arch]}")


def download(url: str, sha256: str, file: IO[bytes]) -> None:
    digest = hashlib.sha256()
    size = 0
    with urllib.request.urlopen(url, timeout=TIMEOUT_FILE) as response:
        while block := response.read(1 << 20):
            size += len(block)
            if size > LARGEST_BYTES:
                raise Unusable(f"{url}: more than {LARGEST_BYTES >> 20} MiB")
            digest.update(block)
            file.write(block)
    if digest.hexdigest() != sha256:
        raise Unusable(f"{url}: its sha256 is {digest.hexdigest()}, not {sha256}")


def unpack(file: IO[bytes], directory: pathlib.Path) -> dict:
    """Unpack the folder `extension` of a .vsix, which is a zip; return the extension's package.json."""
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            path = pathlib.PurePosixPath(member.filename)
            if path.parts[:1] != ("extension",) or member.is_dir():
                continue
            if ".." in path.parts:
                raise Unusable(f"{member.filename}: outside the extension")
            target = directory.joinpath(*path.parts[1:])
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, target.open("wb") as destination:
                shutil.copyfileobj(source, destination)
            # A zip keeps Unix modes in the upper half: programs stay programs.
            target.chmod(0o755 if member.external_attr >> 16 & 0o100 else 0o644)
    return json.loads((directory / "package.json").read_text(encoding="utf-8-sig"))


def install(extension: dict, registry: str, arch: str, out: pathlib.Path) -> list[str]:
    """Install one extension; return the ids of those that it does not work without."""
    directory = out / UNPACKED / extension["id"]
    try:
        path, sha256 = file_of(extension, arch)
        with tempfile.TemporaryFile() as file:
            download(registry + path, sha256, file)
            manifest = unpack(file, directory)
        found = f"{manifest['publisher']}.{manifest['name']}"
        if found.lower() != extension["id"].lower():
            raise Unusable(f"its file holds {found}")
    except (OSError, http.client.HTTPException, zipfile.BadZipFile, KeyError, ValueError, Unusable) as error:
        shutil.rmtree(directory, ignore_errors=True)
        raise Unusable(str(error) or type(error).__name__) from error
    link = out / BUILT_IN / extension["id"]
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(f"/{UNPACKED / extension['id']}")
    return manifest.get("extensionDependencies", [])


def install_all(extensions: list[dict], registry: str, arch: str, out: pathlib.Path) -> int:
    """Install several at a time, naming those left out; return the build's exit code."""
    (out / UNPACKED).mkdir(parents=True, exist_ok=True)
    needs: dict[str, list[str]] = {}
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        running = {each["id"]: pool.submit(install, each, registry, arch, out) for each in extensions}
    for name, result in running.items():
        try:
            needs[name] = result.result()
        except Unusable as error:
            print(f"==> code-server: {name} is left out: {error}")
    have = {name.lower() for name in needs}
    for name, needed in needs.items():
        # What code-server brings itself is vscode.*.
        for other in (each for each in needed if each.lower() not in have and not each.startswith("vscode.")):
            print(f"==> code-server: {name} needs {other}, which the image does not hold")
    print(f"==> code-server: {len(needs)} of {len(extensions)} extensions")
    missing = len(extensions) - len(needs)
    if missing * 10 > len(extensions):
        print(f"{missing} of {len(extensions)} extensions could not be had from {registry}.", file=sys.stderr)
        return 1
    return 0


def main(list_file: str, registry: str, arch: str, out: str) -> int:
    extensions = json.loads(pathlib.Path(list_file).read_text(encoding="utf-8"))["extensions"]
    if reason := unreachable(registry):
        line = (
            f"==> code-server: {registry} cannot be reached ({reason}): "
            f"the image holds none of the {len(extensions)} extensions"
        )
        print(line)
        note = pathlib.Path(out, NOTE)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(line + "\n", encoding="utf-8")
        return 0
    return install_all(extensions, registry, arch, pathlib.Path(out))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
