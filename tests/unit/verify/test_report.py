from __future__ import annotations

import json
import re
import unittest
from pathlib import Path

from verify.report import Result, Status, document, failed
from verify.table import render

GOLDEN = Path(__file__).parent / "golden" / "table.txt"


def row(id: str, status: Status, observed: str = "seen", hint: str = "", seconds: float = 0.5) -> Result:
    return Result(id, status, f"{id} as promised", observed, seconds, hint)


ROWS = [
    row("platform", Status.PASS, "linux/arm64, emulated by qemu-aarch64", "emulated programs are slower"),
    row("mps", Status.UNSUPPORTED, "is_built() False, is_available() False: Linux has no Metal"),
    row("tensorflow-metal", Status.SKIP, "toolset tensorflow is not in this image"),
    row(
        "postgres",
        Status.FAIL,
        "psql failed: exit code 2: psql: error: connection to server at postgres (172.18.0.2), port 5432",
        "docker logs carbon-dev-postgres",
    ),
]


class Document(unittest.TestCase):
    def test_has_the_contracts_fields_in_their_order(self) -> None:
        report = json.loads(json.dumps(document("workspace", ROWS)))
        self.assertEqual(list(report), ["schema", "target", "checks", "summary"])
        self.assertEqual((report["schema"], report["target"]), (1, "workspace"))
        for check in report["checks"]:
            self.assertEqual(list(check), ["id", "status", "expected", "observed", "seconds", "hint"])
        self.assertEqual(
            report["checks"][1],
            {
                "id": "mps",
                "status": "UNSUPPORTED",
                "expected": "mps as promised",
                "observed": "is_built() False, is_available() False: Linux has no Metal",
                "seconds": 0.5,
                "hint": "",
            },
        )

    def test_counts_every_status_those_that_did_not_occur_too(self) -> None:
        results = [row("a", Status.PASS), row("b", Status.PASS), row("c", Status.SKIP)]
        self.assertEqual(
            document("host", results)["summary"], {"pass": 2, "fail": 0, "skip": 1, "unsupported": 0}
        )

    def test_only_a_fail_is_a_failure(self) -> None:
        self.assertFalse(failed([row("a", Status.SKIP), row("b", Status.UNSUPPORTED), row("c", Status.PASS)]))
        self.assertTrue(failed([row("a", Status.PASS), row("b", Status.FAIL)]))


class Table(unittest.TestCase):
    def test_looks_like_the_golden_file(self) -> None:
        text = render("workspace", ROWS, seconds=12.34, colour=False)
        self.assertEqual(text, GOLDEN.read_text(encoding="utf-8"))

    def test_stays_within_100_columns_however_wide_the_terminal(self) -> None:
        text = render(
            "workspace",
            [row("a", Status.FAIL, "word " * 100, "hint " * 100)],
            seconds=1,
            colour=False,
            width=300,
        )
        self.assertLessEqual(max(map(len, text.splitlines())), 100)
        self.assertGreater(max(map(len, text.splitlines())), 90)

    def test_fits_a_narrower_terminal(self) -> None:
        text = render("workspace", ROWS, seconds=1, colour=False, width=80)
        self.assertLessEqual(max(map(len, text.splitlines())), 80)

    def test_takes_no_notice_of_a_terminal_too_narrow_for_it(self) -> None:
        self.assertEqual(
            render("workspace", ROWS, seconds=1, colour=False, width=1),
            render("workspace", ROWS, seconds=1, colour=False, width=60),
        )

    def test_colours_change_nothing_but_colour(self) -> None:
        coloured = render("workspace", ROWS, seconds=12.34, colour=True)
        self.assertIn("\033[1;31m✗ FAIL", coloured)
        plain = re.sub(r"\033\[[\d;]*m", "", coloured)
        self.assertEqual(plain, GOLDEN.read_text(encoding="utf-8"))

    def test_says_so_when_nothing_was_checked(self) -> None:
        self.assertIn("nothing checked in 0.0 s", render("host", [], seconds=0, colour=False))


if __name__ == "__main__":
    unittest.main()
