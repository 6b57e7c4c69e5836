"""The report as a table for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from .report import Result, Status

WIDTH = 100
"""Columns that the table fills at most."""
_LEAST_WIDTH = 60

_MARKS = {Status.PASS: "✓", Status.FAIL: "✗", Status.SKIP: "·", Status.UNSUPPORTED: "-"}
_COLOURS = {Status.PASS: "32", Status.FAIL: "1;31", Status.SKIP: "2", Status.UNSUPPORTED: "33"}
_SUMMARY = {
    Status.PASS: "passed",
    Status.FAIL: "failed",
    Status.SKIP: "skipped",
    Status.UNSUPPORTED: "unsupported",
}
_MARGIN = "  "
_GAP = "  "


def render(
    target: str, results: Iterable[Result], *, seconds: float, colour: bool, width: int = WIDTH
) -> str:
    """The table's text, ending in a line feed.

    Columns: check, status, what was observed. Below a failing row stands what was expected, below every row
    that has one its hint. `seconds` is the wall time of the whole run, `colour` adds ANSI colours, `width` is
    the terminal's.
    """
    rows = list(results)
    ids = max([len("check"), *(len(row.id) for row in rows)])
    statuses = max([len("status"), *(len(_label(row.status)) for row in rows)])
    indent = len(_MARGIN) + ids + len(_GAP) + statuses + len(_GAP)
    width = min(max(width, _LEAST_WIDTH), WIDTH)
    room = width - indent

    lines = [_paint(f"carbon-verify: {target}", "1", colour), ""]
    heading = f"{_MARGIN}{'check':<{ids}}{_GAP}{'status':<{statuses}}{_GAP}observed"
    lines.append(_paint(heading, "2", colour))
    for row in rows:
        label = _paint(f"{_label(row.status):<{statuses}}", _COLOURS[row.status], colour)
        observed = _wrap(row.observed, room) or [""]
        lines.append(f"{_MARGIN}{row.id:<{ids}}{_GAP}{label}{_GAP}{observed[0]}".rstrip())
        lines.extend(" " * indent + line for line in observed[1:])
        if row.status is Status.FAIL:
            lines.extend(" " * indent + line for line in _wrap(f"expected: {row.expected}", room))
        lines.extend(_paint(line, "36", colour) for line in _hint(row, width))
    lines += ["", _MARGIN + _summary(rows, seconds, colour)]
    return "\n".join(lines) + "\n"


def _label(status: Status) -> str:
    return f"{_MARKS[status]} {status.value}"


def _wrap(text: str, room: int) -> list[str]:
    return textwrap.wrap(text, room, break_on_hyphens=False)


def _hint(row: Result, width: int) -> list[str]:
    # As far left as can be, so that a command fits on one line and can be copied.
    first, others = _MARGIN * 2 + "→ ", _MARGIN * 3
    return textwrap.wrap(
        row.hint, width, initial_indent=first, subsequent_indent=others, break_on_hyphens=False
    )


def _summary(rows: list[Result], seconds: float, colour: bool) -> str:
    counts = {status: sum(row.status is status for row in rows) for status in Status}
    parts = [
        _paint(f"{count} {_SUMMARY[status]}", _COLOURS[status], colour)
        for status, count in counts.items()
        if count
    ]
    return ", ".join(parts or ["nothing checked"]) + f" in {seconds:.1f} s"


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\033[{code}m{text}\033[0m" if colour else text
