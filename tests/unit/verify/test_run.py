from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Callable

from verify.check import Check, Need
from verify.environment import Environment
from verify.outcome import CheckFailed, Outcome, passed
from verify.run import run_checks

from .fakes import SECRETS, WorkspaceTestCase


def make(
    id: str,
    look: Callable[[Environment], Outcome],
    *,
    hint: str = "docker logs {postgres}",
    needs: tuple[Need, ...] = (),
    limit: float = 20,
) -> Check:
    return Check(id, "promise", "expected", hint, needs, limit, look)


def fails_with(error: Exception) -> Callable[[Environment], Outcome]:
    def look(_: Environment) -> Outcome:
        raise error

    return look


class Run(WorkspaceTestCase):
    def test_keeps_the_order_though_the_first_ends_last(self) -> None:
        second_ended = threading.Event()

        def first(_: Environment) -> Outcome:
            # Only side by side can the second one end while the first one waits.
            return passed("waited" if second_ended.wait(10) else "the other never ran")

        def second(_: Environment) -> Outcome:
            second_ended.set()
            return passed("at once")

        results = run_checks([make("a", first), make("b", second)], self.env)
        self.assertEqual([(row.id, row.observed) for row in results], [("a", "waited"), ("b", "at once")])

    def test_a_check_that_raises_is_a_fail_with_the_checks_hint(self) -> None:
        result = self.run_check(make("a", fails_with(KeyError("version"))))
        self.assertResult(result, "FAIL", "KeyError: 'version'")
        self.assertEqual(result.hint, "docker logs carbon-dev-postgres")

    def test_a_failure_may_bring_a_better_hint(self) -> None:
        result = self.run_check(make("a", fails_with(CheckFailed("seen", "type {workspace} {this} {}"))))
        self.assertEqual((result.observed, result.hint), ("seen", "type carbon-dev-workspace <this> {}"))

    def test_a_pass_shows_no_failures_hint(self) -> None:
        self.assertEqual(self.run_check(make("a", lambda _: passed("fine"))).hint, "")

    def test_a_check_over_its_limit_is_a_fail_and_holds_up_nobody(self) -> None:
        never = threading.Event()
        self.addCleanup(never.set)

        def hang(_: Environment) -> Outcome:
            never.wait()
            return passed("too late")

        started = time.monotonic()
        slow, quick = run_checks(
            [make("slow", hang, limit=0.2), make("quick", lambda _: passed("fine"))], self.env
        )
        self.assertLess(time.monotonic() - started, 5)
        self.assertResult(slow, "FAIL", "timed out after 0.2 s")
        self.assertEqual(slow.seconds, 0.2)
        self.assertResult(quick, "PASS", "fine")

    def test_limits_run_side_by_side(self) -> None:
        never = threading.Event()
        self.addCleanup(never.set)
        checks = [make(str(n), lambda _: passed(str(never.wait())), limit=0.3) for n in range(20)]
        started = time.monotonic()
        run_checks(checks, self.env)
        self.assertLess(time.monotonic() - started, 3)

    def test_stops_the_programs_of_a_check_over_its_limit_with_their_children(self) -> None:
        pids = self.root / "pids"
        self.program("hang", body=f"sleep 300 & echo $$ $! >{pids}.new; mv {pids}.new {pids}; wait")
        self.assertResult(
            self.run_check(make("a", lambda env: passed(env.run("hang").stdout), limit=2)), "FAIL"
        )
        for pid in pids.read_text().split():
            self.assertTrue(ends(int(pid)), f"process {pid} still runs")

    def test_starts_nothing_more_once_it_is_over(self) -> None:
        run_checks([], self.env)
        with self.assertRaisesRegex(CheckFailed, "the run is over"):
            self.env.run("true")

    def test_rounds_seconds_to_two_decimals(self) -> None:
        seconds = self.run_check(make("a", lambda _: time.sleep(0.0123) or passed(""))).seconds
        self.assertEqual(seconds, round(seconds, 2))

    def test_a_check_that_does_not_apply_is_skipped_with_the_reason_and_not_run(self) -> None:
        reasons: tuple[Need, ...] = (lambda _: None, lambda _: "no desktop here")
        self.assertResult(
            self.run_check(make("a", fails_with(AssertionError("ran")), needs=reasons)),
            "SKIP",
            "no desktop here",
        )

    def test_secrets_are_taken_out_of_everything_a_check_says(self) -> None:
        secret = SECRETS["postgres"]
        for look in (
            lambda _: passed(f"connected with {secret}", hint=f"try {secret}"),
            fails_with(CheckFailed(f"{secret} refused", f"type {secret}")),
            fails_with(ValueError(f"postgres://carbon:{secret}@postgres")),
        ):
            result = self.run_check(make("a", look))
            self.assertNotIn(secret, repr(result))
            self.assertIn("[secret]", result.observed)

    def test_a_programs_home_is_removed_even_after_a_limit(self) -> None:
        home = self.root / "home"
        self.program(
            "litter",
            body=f'touch "$HOME/.litter" && echo "$HOME" >{home}.new; mv {home}.new {home}; sleep 300',
        )
        self.run_check(make("a", lambda env: passed(env.run("litter").stdout), limit=2))
        self.assertFalse(Path(home.read_text().strip()).exists())


class Shared(WorkspaceTestCase):
    def test_two_checks_that_ask_for_the_same_cause_it_once(self) -> None:
        calls = []

        def slow() -> int:
            calls.append(1)
            time.sleep(0.1)
            return 7

        def look(env: Environment) -> Outcome:
            return passed(str(env.once("key", slow)))

        results = run_checks([make("a", look), make("b", look)], self.env)
        self.assertEqual([row.observed for row in results], ["7", "7"])
        self.assertEqual(len(calls), 1)

    def test_both_fail_where_it_fails(self) -> None:
        def broken() -> int:
            raise CheckFailed("torch does not work")

        def look(env: Environment) -> Outcome:
            return passed(str(env.once("key", broken)))

        for result in run_checks([make("a", look), make("b", look)], self.env):
            self.assertResult(result, "FAIL", "torch does not work")


class Programs(WorkspaceTestCase):
    def test_a_missing_program_is_named(self) -> None:
        result = self.run_check(make("a", lambda env: passed(env.run("no-such-program").stdout)))
        self.assertResult(result, "FAIL", "no-such-program cannot be started: No such file or directory")

    def test_a_program_killed_by_a_signal_says_which(self) -> None:
        self.program("crash", body="kill -ILL $$")
        self.assertEqual(self.env.run("crash").complaint, "ended by SIGILL")

    def test_a_failing_program_is_quoted_with_its_last_line(self) -> None:
        self.program("fail", complains="warning: old\nerror: no display\n\n", code=3)
        self.assertEqual(self.env.run("fail").complaint, "exit code 3: error: no display")


def ends(pid: int, within: float = 5) -> bool:
    """Whether a process is gone, or a zombie that nobody has fetched yet."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if state(pid) in (None, "Z"):
            return True
        time.sleep(0.02)
    return False


def state(pid: int) -> str | None:
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return None
