"""The command line of carbon-verify."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from .check import Check
from .checks import CHECKS
from .environment import Environment
from .report import TARGET, document, failed
from .run import run_checks


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
    results = run_checks([check for check in checks if check.id in options.only], env)
    print(json.dumps(document(TARGET, results), indent=2))
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
        description="Checks what a Carbon workspace promises, and prints one JSON document. "
        "Exit code: 0 no FAIL, 1 a FAIL, 2 bad usage.",
        allow_abbrev=False,
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document, as without it")
    form.add_argument(
        "--list", action="store_true", help="print the checks and what they promise; run nothing"
    )
    parser.add_argument("--only", type=ids, default=known, metavar="ID,…", help="run these checks only")
    return parser.parse_args(argv)


def _print_list(checks: Sequence[Check]) -> None:
    width = max(len(check.id) for check in checks)
    print("".join(f"{check.id:<{width}}  {check.promise}\n" for check in checks), end="")


def _exit_on_signal(number: int, _frame: FrameType | None) -> None:
    # An exception, so that the programs which the checks started are stopped on the way out.
    sys.exit(128 + number)
