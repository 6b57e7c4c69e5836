"""What a run says: one result per check, and the JSON document made of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from .outcome import Status

TARGET = "workspace"
"""The document's `target`: where the checks of this package run."""
SCHEMA = 1
"""Version of the document's shape. It grows when a field changes its meaning or goes."""


@dataclass(frozen=True)
class Result:
    """One row of the report. The field order is the document's."""

    id: str
    status: Status
    expected: str
    observed: str
    seconds: float
    """Wall time, rounded to two decimals."""
    hint: str
    """What to type next. Empty where there is nothing to do."""


def document(target: str, results: Iterable[Result]) -> dict[str, Any]:
    """The report as plain data. `target` says where the checks ran."""
    rows = list(results)
    summary = {status.value.lower(): sum(row.status is status for row in rows) for status in Status}
    return {
        "schema": SCHEMA,
        "target": target,
        "checks": [{**asdict(row), "status": row.status.value} for row in rows],
        "summary": summary,
    }


def failed(results: Iterable[Result]) -> bool:
    """Whether any check failed: the command's exit code."""
    return any(row.status is Status.FAIL for row in results)
