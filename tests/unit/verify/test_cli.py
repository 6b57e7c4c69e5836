from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from verify.check import Check
from verify.checks import CHECKS
from verify.cli import main
from verify.environment import Environment
from verify.outcome import CheckFailed, Outcome, passed

from .fakes import WorkspaceTestCase
from .test_run import ends

VERIFY = Path(__file__).parents[3] / "verify"


def good(_: Environment) -> Outcome:
    return passed("fine")


def bad(_: Environment) -> Outcome:
    raise CheckFailed("broken")


class CommandLine(WorkspaceTestCase):
    def call(self, *argv: str, **checks: object) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        looks = [Check(id, f"{id} works", "expected", "hint", (), 20, look) for id, look in checks.items()]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(list(argv), checks=looks, env=self.env)
            except SystemExit as exit:
                code = int(exit.code or 0)
        return code, out.getvalue(), err.getvalue()

    def test_exits_0_when_nothing_fails(self) -> None:
        self.assertEqual(self.call(a=good)[0], 0)

    def test_exits_1_when_one_check_fails(self) -> None:
        self.assertEqual(self.call(a=good, b=bad)[0], 1)

    def test_prints_one_json_document(self) -> None:
        report = json.loads(self.call(a=good, b=bad)[1])
        self.assertEqual(report["target"], "workspace")
        self.assertEqual(report["summary"], {"pass": 1, "fail": 1, "skip": 0, "unsupported": 0})

    def test_looks_at_the_target_that_is_named(self) -> None:
        code, out, _ = self.call("--target", "end-to-end", "--only", "completion", a=bad)
        report = json.loads(out)
        self.assertEqual((code, report["target"]), (0, "end-to-end"))
        self.assertEqual([row["id"] for row in report["checks"]], ["completion"])
        code, _, err = self.call("--target", "container", "--only", "completion", a=good)
        self.assertEqual(code, 2)
        self.assertIn("unknown: completion (known: a)", err)
        self.assertEqual(self.call("--target", "moon", a=good)[0], 2)

    def test_only_runs_what_is_named_in_the_reports_order(self) -> None:
        code, out, _ = self.call("--only", "c, a", a=good, b=bad, c=good)
        self.assertEqual(code, 0)
        self.assertEqual([check["id"] for check in json.loads(out)["checks"]], ["a", "c"])

    def test_an_unknown_check_is_bad_usage_and_named(self) -> None:
        code, out, err = self.call("--only", "a,tensorfolw", a=good)
        self.assertEqual((code, out), (2, ""))
        self.assertIn("unknown: tensorfolw (known: a)", err)

    def test_bad_usage_exits_2(self) -> None:
        for argv in (["--only", ""], ["--only", ","], ["--json", "--list"], ["--jso"], ["platform"]):
            with self.subTest(argv=argv):
                self.assertEqual(self.call(*argv, a=good)[0], 2)

    def test_list_prints_the_promises_and_runs_nothing(self) -> None:
        code, out, _ = self.call("--list", short=bad, longer=good)
        self.assertEqual((code, out), (0, "short   short works\nlonger  longer works\n"))


class Started(WorkspaceTestCase):
    """As the images start it: the directory, by a Python that knows nothing of the repository."""

    def start(self, *argv: str) -> subprocess.CompletedProcess[str]:
        # Without the variables that change what Python does by itself.
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        argv = (sys.executable, "-B", str(VERIFY), *argv)
        return subprocess.run(argv, cwd="/", env=env, capture_output=True, text=True, timeout=60)

    def test_runs_from_its_directory(self) -> None:
        listed = self.start("--list")
        self.assertEqual((listed.returncode, listed.stderr), (0, ""))
        self.assertEqual([line.split()[0] for line in listed.stdout.splitlines()], [c.id for c in CHECKS])

    def test_outside_of_an_image_it_fails_and_says_why(self) -> None:
        if Path("/etc/carbon/image.json").exists():
            self.skipTest("this is the inside of an image")
        run = self.start("--only", "platform")
        self.assertEqual(run.returncode, 1)
        self.assertEqual(json.loads(run.stdout)["checks"][0]["observed"], "/etc/carbon/image.json is missing")

    def test_stopped_from_outside_it_stops_what_it_started(self) -> None:
        pid_file = self.root / "pid"
        self.program(
            "vulkaninfo", body=f"echo $$ >{pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 300"
        )
        script = (
            f"import sys; sys.path.insert(0, {str(VERIFY.parent)!r}); from pathlib import Path\n"
            "from verify.cli import main; from verify.environment import Environment\n"
            f"env = Environment(root=Path({str(self.root)!r}), system='Linux')\n"
            "main(['--only', 'vulkan'], env=env)"
        )
        variables = {**os.environ, "PATH": f"{self.bin}:/usr/bin:/bin"}
        run = subprocess.Popen([sys.executable, "-B", "-c", script], env=variables, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not pid_file.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(timeout=20), 128 + signal.SIGTERM)
        self.assertTrue(ends(int(pid_file.read_text())))
