from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from carbon_jupyter import gateway

KERNEL = "01234567-89ab-cdef-0123-456789abcdef"


class GatewayTestCase(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        for name, path in {"SERVICES": "services.json", "TOKEN_FILE": "gpu", "STARTED": "state/kernels"}.items():
            patch = mock.patch.object(gateway, name, self.root / path)
            patch.start()
            self.addCleanup(patch.stop)

    def describe(self, document: dict) -> None:
        gateway.SERVICES.write_text(json.dumps(document))


class Find(GatewayTestCase):
    def test_finds_none_where_nobody_deployed_a_stack_or_it_has_another_route(self) -> None:
        self.assertIsNone(gateway.find())
        for document in ({}, {"gpu": {"route": "dri"}}, {"gpu": {"route": "off"}}):
            self.describe(document)
            self.assertIsNone(gateway.find())

    def test_finds_the_address_and_who_asks(self) -> None:
        self.describe({"gpu": {"route": "host", "url": "http://host.docker.internal:9797/", "stack": "dev"}})
        self.assertEqual(gateway.find(), gateway.Gateway("http://host.docker.internal:9797", "dev"))

    def test_reads_the_token_anew_each_time(self) -> None:
        self.assertEqual(gateway.token(), "")
        for token in ("first", "second"):
            gateway.TOKEN_FILE.write_text(f"{token}\n")
            self.assertEqual(gateway.token(), token)


class Words(unittest.TestCase):
    def test_marks_a_kernel_as_its_machine_says_or_else_by_its_name(self) -> None:
        def mark(name: str, metadata: dict) -> str:
            return gateway.mark({"name": name, "spec": {"metadata": metadata}})

        self.assertEqual(mark("mac-torch", {}), " [Mac GPU]")
        self.assertEqual(mark("host-torch", {}), " [host]")
        self.assertEqual(mark("mac-torch", {"mark": "Mac CPU"}), " [Mac CPU]")

    def test_says_what_to_type_in_lines_that_fit_into_a_dialog(self) -> None:
        for status, command in ((None, "./carbon gpu start"), (401, "./carbon up"), (500, "./carbon gpu status")):
            text = gateway.explain(status)
            self.assertIn(f"Type {command} ", text)
            self.assertLessEqual(max(map(len, text.splitlines())), 100)


class Notes(GatewayTestCase):
    def test_leaves_a_kernel_to_who_works_with_it(self) -> None:
        self.assertEqual(gateway.left_behind(), [])
        with gateway.working_with(KERNEL):
            self.assertEqual(gateway.left_behind(), [])
        self.assertEqual(gateway.left_behind(), [KERNEL])
        gateway.ended(KERNEL)
        gateway.ended(KERNEL)
        self.assertEqual(gateway.left_behind(), [])

    def test_takes_no_id_that_leads_to_another_file(self) -> None:
        precious = self.root / "precious"
        precious.write_text("mine")
        for kernel_id in (str(precious), "../../precious", "", "."):
            for act in (gateway.note, gateway.ended):
                with self.assertRaises(ValueError):
                    act(kernel_id)
        self.assertEqual(precious.read_text(), "mine")

    def test_knows_a_kernel_whose_starter_was_killed(self) -> None:
        program = (
            "import sys; from pathlib import Path; from tests.unit.workspace import *; from carbon_jupyter import gateway;"
            "gateway.STARTED = Path(sys.argv[1])\n"
            f"with gateway.working_with('{KERNEL}'): print(flush=True); input()"
        )
        with subprocess.Popen(
            [sys.executable, "-B", "-c", program, str(gateway.STARTED)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            self.assertEqual(gateway.left_behind(), [])
            process.kill()
        self.assertEqual(gateway.left_behind(), [KERNEL])
