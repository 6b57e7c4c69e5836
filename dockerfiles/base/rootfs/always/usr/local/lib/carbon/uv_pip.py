"""uv_pip.py UV ARGUMENT...: `uv pip` on carbon's own environment, with the image's packages counted as installed.

uv looks for installed packages in the environment alone and not in what lies under it, so that it would install PyTorch
again for whatever needs it. While it runs, the environment therefore has the image's records of its packages, without
their files: uv keeps what fits and replaces what does not. An active environment, and one in the folder, are uv's own.
"""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ENVIRONMENT = Path("/home/carbon/.local/share/carbon/python")
IMAGE = Path("/opt/carbon/venv")
INSTALLER = "carbon-image"
"""The name in a record that is lent."""


def packages_of(environment: Path) -> Path:
    """Where an environment's packages lie."""
    return environment / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"


def means_ours(arguments: list[str]) -> bool:
    """Whether uv would work on carbon's environment, or on none at all."""
    active = os.environ.get("VIRTUAL_ENV") or os.environ.get("CONDA_PREFIX")
    if any(argument.removeprefix("--python=").startswith(f"{ENVIRONMENT}/") for argument in arguments):
        return True
    if any(re.match(r"--(python|system|target|prefix)\b|-[pt]", argument) for argument in arguments):
        return False
    if active:
        return Path(active) == ENVIRONMENT
    here = Path.cwd()
    return not any((folder / ".venv").exists() for folder in (here, *here.parents))


def records(packages: Path) -> Iterator[tuple[str, Path]]:
    """Each installed package's name and record."""
    for record in packages.glob("*-*.dist-info"):
        yield re.sub(r"[-_.]+", "-", record.name.rpartition("-")[0].rpartition("-")[0]).lower(), record


def lend(ours: Path) -> None:
    """Gives carbon's environment the records of the image's packages that it has no version of its own of."""
    own = {name for name, _ in records(ours)}
    for name, record in records(packages_of(IMAGE)):
        if name not in own:
            copy = ours / record.name
            copy.mkdir()
            shutil.copyfile(record / "METADATA", copy / "METADATA")
            (copy / "INSTALLER").write_text(INSTALLER, encoding="ascii")
            lines = (f"{record.name}/{file},,\n" for file in ("METADATA", "INSTALLER", "RECORD"))
            (copy / "RECORD").write_text("".join(lines), encoding="ascii")


def take_back(ours: Path) -> None:
    """Removes the records that were lent, also by a run that was killed."""
    for _, record in records(ours):
        installer = record / "INSTALLER"
        if installer.is_file() and installer.read_text(encoding="utf-8") == INSTALLER:
            shutil.rmtree(record)


def main(uv: str, arguments: list[str]) -> int:
    """Runs uv and returns its exit code."""
    if not means_ours(arguments):
        os.execv(uv, [uv, *arguments])
    ours = packages_of(ENVIRONMENT)
    with (ENVIRONMENT / ".uv-pip-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        take_back(ours)
        try:
            # What is to be removed must be carbon's own.
            if "uninstall" not in arguments:
                lend(ours)
            # uv hears Ctrl+C, too, and ends by itself.
            signal.signal(signal.SIGINT, lambda *_: None)
            environment = {**os.environ, "VIRTUAL_ENV": str(ENVIRONMENT)}
            return subprocess.run([uv, *arguments], env=environment, check=False).returncode
        finally:
            take_back(ours)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
