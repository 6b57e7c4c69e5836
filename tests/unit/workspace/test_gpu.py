from __future__ import annotations

import contextlib
import io
import os
import sys
import unittest
from pathlib import Path
from unittest import mock

from . import PROGRAMS

# What is asked here asks no gateway, and the libraries that do are the image's.
MISSING = ("requests", "jupyter_kernel_client", "jupyter_kernel_client.manager")
with mock.patch.dict(sys.modules, {name: mock.MagicMock() for name in MISSING}), mock.patch.dict(os.environ):
    import gpu

KERNELS = {"host-python": "Python [host]", "host-torch": "PyTorch [host]"}


class Choice(unittest.TestCase):
    def dies(self, *arguments: object) -> tuple[int, str]:
        said = io.StringIO()
        with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as ended:
            gpu.choose(*arguments)
        return ended.exception.code, said.getvalue()

    def test_takes_the_kernel_that_is_named_or_else_the_one_for_pytorch(self) -> None:
        self.assertEqual(gpu.choose("host-python", KERNELS), "host-python")
        self.assertEqual(gpu.choose(None, KERNELS), "host-torch")
        self.assertEqual(gpu.choose(None, {"host-python": ""}), "host-python")

    def test_names_what_there_is_where_a_name_is_wrong_and_obeys_nothing_in_it(self) -> None:
        code, said = self.dies("mac-\x1b[31m", KERNELS)
        self.assertEqual(code, 2)
        self.assertIn("It has: host-python, host-torch.", said)
        self.assertNotIn("\x1b", said)

    def test_says_what_to_type_where_there_is_none(self) -> None:
        self.assertEqual(self.dies(None, {}), (125, "carbon-gpu: your machine has no kernels. Type ./carbon gpu install there.\n"))


class CommandLine(unittest.TestCase):
    def test_leaves_the_programs_arguments_to_the_program(self) -> None:
        options = gpu.parse(["--kernel", "mac-mlx", "python", "-c", "code", "--kernel", "x", "--help"])
        self.assertEqual((options.kernel, options.command), ("mac-mlx", "python"))
        self.assertEqual(options.arguments, ["-c", "code", "--kernel", "x", "--help"])

    def test_refuses_what_is_no_command(self) -> None:
        for wrong in ([], ["ruby"], ["--kern", "x", "python"]):
            with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit) as ended:
                gpu.parse(wrong)
            self.assertEqual(ended.exception.code, 2)

    def test_names_a_program_under_workspace_as_it_is_from_here(self) -> None:
        here = os.path.relpath("/workspace/train.py", Path.cwd())
        self.assertEqual(gpu.python_arguments("python", ["/workspace/train.py", "/x"]), [here, "/x"])
        self.assertEqual(gpu.python_arguments("python", ["train.py"]), ["train.py"])
        self.assertEqual(gpu.python_arguments("pip", ["install", "x"]), ["-m", "pip", "install", "x"])

    def test_has_its_program_beside_it(self) -> None:
        self.assertEqual(gpu.PROGRAM, PROGRAMS / "gpu_program.py")
        self.assertIn("class CarbonProgram", gpu.PROGRAM.read_text(encoding="utf-8"))
