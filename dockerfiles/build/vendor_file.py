"""A pinned file of a vendor that may be out of reach: the build then goes on without it, and the image says so."""

import hashlib
import http.client
import pathlib
import sys
import urllib.error
import urllib.request
from typing import IO

TIMEOUT = 30
"""Seconds without an answer or without data."""
TRANSLATIONS = {"cs", "de", "es", "fr", "it", "ja", "ko", "pl", "pt-BR", "ru", "tr", "zh-Hans", "zh-Hant"}
"""Folders of .NET's own messages in thirteen languages; the image's is English."""


class Unreachable(Exception):
    """The vendor's file cannot be had from here."""


def download(url: str, algorithm: str, expected: str, file: IO[bytes]) -> None:
    """Write what `url` holds to `file`, and go back to its start.

    Exits where the file has gone, or where its hash by `algorithm` (a name of hashlib's) is not `expected`; raises
    Unreachable where it cannot be had.
    """
    digest = hashlib.new(algorithm)
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            while block := response.read(1 << 20):
                digest.update(block)
                file.write(block)
    except urllib.error.HTTPError as error:
        # Other answers are those of a proxy that refuses, or of a host in trouble.
        if error.code in (404, 410):
            sys.exit(f"{url}: {error}")
        raise Unreachable(str(error)) from error
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(str(error)) from error
    if digest.hexdigest() != expected:
        sys.exit(f"{url}: its {algorithm} is {digest.hexdigest()}, not {expected}")
    file.seek(0)


def leave_out(what: str, url: str, reason: Unreachable, note: pathlib.Path) -> None:
    """Say in one line that `what` is not in the image and why, here and in the file `note`."""
    line = f"{what} is left out: {url} cannot be reached ({reason})."
    print(line)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(line + "\n", encoding="utf-8")
