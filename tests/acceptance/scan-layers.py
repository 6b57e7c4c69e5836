"""Look for secrets in every layer of an image, those of deleted files included.

Usage: docker save IMAGE | scan-layers.py [FILE]

FILE holds lines that must be in no file, such as those of the build's own certificates. Prints a JSON list of
findings, each {"layer", "path", "finding"}, sorted. Needs the zstd command where layers are compressed with it.
"""

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import threading

# Longer files are data or programs.
LIMIT = 1 << 20

# Where passwords and keys lie by convention; none of these files may be in an image.
PATHS = re.compile(
    r"(^|/)(run/secrets/.+|run/carbon/.+/.+|etc/ssh/ssh_host_\w+|etc/xrdp/(rsakeys\.ini|\w+\.pem)"
    r"|etc/ssl/private/.+|(root|home/[^/]+|etc/skel)/(\.ssh/.+|\.aws/credentials)"
    r"|\.npmrc|\.netrc|\.pypirc|\.pgpass|\.git-credentials|pip\.conf|\.docker/config\.json)$"
)

# Formats that their issuers publish, and a private key. The word before each is quick to look for.
CONTENTS = {
    "private key": (b"PRIVATE KEY-----", rb"-----BEGIN ([A-Z]+ )*PRIVATE KEY-----\r?\n[A-Za-z0-9+/=]{64}"),
    "AWS key": (b"AKIA", rb"\bAKIA[0-9A-Z]{16}\b"),
    "GitHub token": (b"ghp_", rb"\bghp_[A-Za-z0-9]{36}\b"),
    "GitHub fine-grained token": (b"github_pat_", rb"\bgithub_pat_\w{82}\b"),
    "npm token": (b"npm_", rb"\bnpm_[A-Za-z0-9]{36}\b"),
    "registry token": (b":_authToken=", rb":_authToken=[A-Za-z0-9]"),
    "OpenAI or Anthropic key": (b"sk-", rb"\bsk-(ant-|proj-)?[A-Za-z0-9_-]{32,}\b"),
}
PASSWORD_HASH = re.compile(rb"^[^:]+:\$", re.MULTILINE)


def findings_in(path: str, content: bytes, forbidden: list[bytes]) -> list[str]:
    """Return what is wrong with one file."""
    found = [name for name, (word, form) in CONTENTS.items() if word in content and re.search(form, content)]
    if PATHS.search(path):
        found.append("a place for secrets")
    if path in ("etc/shadow", "etc/shadow-") and PASSWORD_HASH.search(content):
        found.append("password hash")
    if any(line in content for line in forbidden):
        found.append("forbidden line")
    return found


def scan_layer(layer: str, archive: tarfile.TarFile, forbidden: list[bytes]) -> list[dict]:
    """Return the findings of one layer's files."""
    found = []
    for member in archive:
        if member.isfile():
            stream = archive.extractfile(member)
            content = stream.read() if 0 < member.size <= LIMIT else b""
            path = member.name.removeprefix("./")
            found += [{"layer": layer, "path": path, "finding": f} for f in findings_in(path, content, forbidden)]
    return found


def feed(start: bytes, rest: io.BufferedIOBase, target: io.BufferedIOBase) -> None:
    """Copy `start` and then `rest` to `target`, and end it."""
    with target:
        target.write(start)
        shutil.copyfileobj(rest, target, LIMIT)


def scan_blob(name: str, start: bytes, rest: io.BufferedIOBase, forbidden: list[bytes]) -> list[dict]:
    """Return the findings of a layer, or of one of the JSON documents that describe the image."""
    if start.startswith((b"{", b"[")):
        return [{"layer": name, "path": "", "finding": f} for f in findings_in("", start + rest.read(), forbidden)]
    # With --force what is not zstd passes unchanged; tarfile knows the other formats.
    command = ["zstd", "--decompress", "--stdout", "--force", "--quiet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        threading.Thread(target=feed, args=(start, rest, process.stdin), daemon=True).start()
        with tarfile.open(fileobj=process.stdout, mode="r|*") as layer:
            found = scan_layer(name, layer, forbidden)
        process.stdout.read()
    return found


def scan(image: io.BufferedIOBase, forbidden: list[bytes]) -> list[dict]:
    """Return the findings of everything in what `docker save` writes."""
    found = []
    with tarfile.open(fileobj=image, mode="r|") as saved:
        for member in saved:
            if member.isfile() and member.size:
                stream = saved.extractfile(member)
                found += scan_blob(member.name, stream.read(1), stream, forbidden)
    return found


def main(forbidden_file: str | None = None) -> None:
    """Scan standard input, print the findings."""
    lines = open(forbidden_file, "rb").read().split(b"\n") if forbidden_file else []
    found = scan(sys.stdin.buffer, [line for line in lines if line])
    json.dump(sorted(found, key=lambda f: (f["path"], f["finding"], f["layer"])), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
