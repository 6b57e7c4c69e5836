"""The command line of carbon-verify."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

from .check import Check
from .checks import CHECKS, END_TO_END
from .environment import Environment
from .report import document, failed
from .run import run_checks

_DOCUMENT_TARGETS = {"container": "workspace", "end-to-end": "end-to-end"}
"""What a document calls its target."""


def main(
    argv: Sequence[str] | None = None,
    *,
    checks: Sequence[Check] = CHECKS,
    end_to_end: Sequence[Check] = END_TO_END,
    env: Environment | None = None,
) -> int:
    """Runs what the arguments ask for and prints the report on stdout. `checks` are those of the target container.

    Returns 0 when nothing failed, 1 when a check did; bad usage exits with 2.
    """
    options = _parse(argv, {"container": checks, "end-to-end": end_to_end})
    checks = options.checks
    if options.list:
        _print_list(checks)
        return 0
    signal.signal(signal.SIGTERM, _exit_on_signal)
    env = env or Environment()
    results = run_checks([check for check in checks if check.id in options.only], env)
    print(json.dumps(document(_DOCUMENT_TARGETS[options.target], results), indent=2))
    return 1 if failed(results) else 0


def _parse(argv: Sequence[str] | None, targets: Mapping[str, Sequence[Check]]) -> argparse.Namespace:
    """`checks`: those of the target; `only`: the ids of those to run."""

    def ids(text: str) -> list[str]:
        asked = [part.strip() for part in text.split(",") if part.strip()]
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
    parser.add_argument(
        "--target", choices=list(targets), default="container", help="what to look at; the container when absent"
    )
    parser.add_argument("--only", type=ids, metavar="ID,…", help="run these checks only")
    options = parser.parse_args(argv)
    options.checks = targets[options.target]
    known = [check.id for check in options.checks]
    unknown = [id for id in options.only or [] if id not in known]
    if unknown:
        parser.error(f"argument --only: unknown: {', '.join(unknown)} (known: {', '.join(known)})")
    options.only = options.only or known
    return options


def _print_list(checks: Sequence[Check]) -> None:
    width = max(len(check.id) for check in checks)
    print("".join(f"{check.id:<{width}}  {check.promise}\n" for check in checks), end="")


def _exit_on_signal(number: int, _frame: FrameType | None) -> None:
    # An exception, so that the programs which the checks started are stopped on the way out.
    sys.exit(128 + number)
