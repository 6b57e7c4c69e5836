"""Runs the tests of a folder, this one by default, and prints one JSON list as its last line: each test's name, status and
message."""

import json
import sys
import unittest


class Results(unittest.TestResult):
    """Keeps what became of each test; a test with subtests has failed where one of them has."""

    def __init__(self) -> None:
        super().__init__()
        self.tests: dict[str, dict[str, str]] = {}

    def _record(self, test: unittest.TestCase, status: str, message: str = "") -> None:
        self.tests[test.id()] = {"name": test.id(), "status": status, "message": message}

    def addSuccess(self, test):
        self._record(test, "passed")

    def addExpectedFailure(self, test, err):
        self._record(test, "passed")

    def addUnexpectedSuccess(self, test):
        self._record(test, "failed", "passed, and was not expected to")

    def addSkip(self, test, reason):
        self._record(test, "skipped", reason)

    def addError(self, test, err):
        self._record(test, "failed", self._exc_info_to_string(err, test))

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._record(test, "failed", f"{subtest.id()}\n{self._exc_info_to_string(err, test)}")


if __name__ == "__main__":
    results = Results()
    unittest.defaultTestLoader.discover((sys.argv[1:] or ["tests/unit/verify"])[0], top_level_dir=".").run(results)
    sys.stdout.write("\n" + json.dumps(list(results.tests.values())))
