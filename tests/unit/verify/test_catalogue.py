from __future__ import annotations

import unittest

from verify.checks import CHECKS


class Catalogue(unittest.TestCase):
    def test_holds_the_contracts_checks_in_the_reports_order(self) -> None:
        self.assertEqual(
            [check.id for check in CHECKS],
            [
                "platform",
                "opengl",
                "vulkan",
                "torch",
                "torch-index",
                "mps",
                "nvidia-smi",
                "cuda",
                "tensorflow",
                "tensorflow-metal",
                "frameworks",
                "jupyter",
                "code-server",
                "novnc",
                "vnc",
                "ssh",
                "postgres",
                "redis",
                "mosquitto",
                "mongodb",
                "qdrant",
                "ollama",
                "spark",
                "llm",
            ],
        )

    def test_every_check_says_what_it_promises_and_where_the_expected_value_comes_from(self) -> None:
        for check in CHECKS:
            with self.subTest(check.id):
                self.assertRegex(check.promise, r"^\w.+\.$")
                self.assertRegex(check.look.__doc__ or "", r"\n\n *Expected: ")

    def test_every_check_says_what_to_type_next(self) -> None:
        for check in CHECKS:
            self.assertTrue(check.hint, check.id)

    def test_the_slow_imports_have_two_minutes_and_nothing_more(self) -> None:
        limits = {check.id: check.limit for check in CHECKS}
        self.assertEqual(
            {id for id, limit in limits.items() if limit == 120},
            {"torch", "mps", "cuda", "tensorflow", "tensorflow-metal", "frameworks"},
        )
        self.assertLessEqual(max(limits.values()), 120)
