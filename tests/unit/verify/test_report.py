from __future__ import annotations

import json
import unittest

from verify.outcome import Status
from verify.report import Result, document, failed


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


if __name__ == "__main__":
    unittest.main()
