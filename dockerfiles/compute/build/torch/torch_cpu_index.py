"""Exits 0 if a package index answers and has a wheel of each pinned requirement for this platform, else 1.

    torch_cpu_index.py URL amd64|arm64 NAME==VERSION...

One try with a short time limit: where the index is out of reach, the build goes on without it, and soon.
"""

import re
import sys
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT_SECONDS = 8
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def has_wheel(page: str, requirement: str, machine: str) -> bool:
    """Whether an index page links to a CPython wheel of the version, with or without a local version (`+cpu`)."""
    name, version = requirement.split("==")
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    wheel = rf"{name}-{re.escape(version)}(\+[a-z0-9.]+)?-{tag}-{tag}-[a-z0-9_.]*{machine}\.whl"
    return re.search(wheel, urllib.parse.unquote(page)) is not None


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
        return response.read().decode()


def main(index: str, arch: str, *requirements: str) -> int:
    for requirement in requirements:
        url = f"{index}/{requirement.split('==')[0]}/"
        try:
            page = fetch(url)
        except (OSError, urllib.error.URLError) as error:
            print(f"==> torch: {url} cannot be reached: {error}")
            return 1
        if not has_wheel(page, requirement, MACHINES[arch]):
            print(f"==> torch: {url} has no wheel of {requirement} for {arch}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
