"""The command line of carbon-verify."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

from .check import Check
from .checks import CHECKS
from .environment import Environment
from .report import document, failed
from .run import run_checks
from .table import WIDTH, render


def main(
    argv: Sequence[str] | None = None,
    *,
    checks: Sequence[Check] = CHECKS,
    env: Environment | None = None,
) -> int:
    """Runs what the arguments ask for and prints the report on stdout.

    Returns 0 when nothing failed, 1 when a check did; bad usage exits with 2.
    """
    options = _parse(argv, checks)
    if options.list:
        _print_list(checks)
        return 0
    signal.signal(signal.SIGTERM, _exit_on_signal)
    env = env or Environment()
    started = time.monotonic()
    results = run_checks([check for check in checks if check.id in options.only], env)
    if options.format == "table":
        # Python 3.9 passes on the 0 columns of a terminal that does not know its size.
        width = shutil.get_terminal_size((WIDTH, 0)).columns or WIDTH
        seconds = time.monotonic() - started
        text = render(env.target, results, seconds=seconds, colour=_wants_colour(), width=width)
    else:
        text = json.dumps(document(env.target, results), indent=2) + "\n"
    _print(text)
    return 1 if failed(results) else 0


def _parse(argv: Sequence[str] | None, checks: Sequence[Check]) -> argparse.Namespace:
    known = [check.id for check in checks]

    def ids(text: str) -> list[str]:
        asked = [part.strip() for part in text.split(",") if part.strip()]
        unknown = [id for id in asked if id not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)} (known: {', '.join(known)})")
        if not asked:
            raise argparse.ArgumentTypeError("names no check")
        return asked

    parser = argparse.ArgumentParser(
        prog="carbon-verify",
        description="Checks what a Carbon workspace promises. Exit code: 0 no FAIL, 1 a FAIL, 2 bad usage.",
        allow_abbrev=False,
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", dest="format", action="store_const", const="json", help="print one JSON document"
    )
    form.add_argument("--table", dest="format", action="store_const", const="table", help="print a table")
    form.add_argument(
        "--list", action="store_true", help="print the checks and what they promise; run nothing"
    )
    parser.add_argument("--only", type=ids, default=known, metavar="ID,…", help="run these checks only")
    options = parser.parse_args(argv)
    options.format = options.format or ("table" if sys.stdout.isatty() else "json")
    return options


def _print_list(checks: Sequence[Check]) -> None:
    width = max(len(check.id) for check in checks)
    _print("".join(f"{check.id:<{width}}  {check.promise}\n" for check in checks))


def _print(text: str) -> None:
    # A terminal without UTF-8 gets question marks instead of a traceback.
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def _wants_colour() -> bool:
    """On terminals only, and not where NO_COLOR (no-color.org) is set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _exit_on_signal(number: int, _frame: FrameType | None) -> None:
    # An exception, so that the programs which the checks started are stopped on the way out.
    sys.exit(128 + number)
