#!/usr/bin/env bash
# Sets up, then runs a suite of tests: `scripts/suite.sh test`, `acceptance` or `machines`, see tests/suite.ts.
# The last line is its sums: "N passed, N failed, N skipped".
#
# Where no Docker Engine can be had, what needs one is counted as skipped; with CI=true or REQUIRE_DOCKER=1 that is a
# failure.
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$PROJECT_DIR"

status=0
scripts/setup.sh || status=$?
if [ "$status" = "$EXIT_NO_ENGINE" ] && [ "${CI:-}" != true ] && [ "${REQUIRE_DOCKER:-}" != 1 ] && [ "$1" = test ]; then
    # No engine: see tests/suite.ts.
    export CARBON_TEST_LIST=1
elif [ "$status" != 0 ]; then
    say 'The set-up failed; the reason is above.'
    say '0 passed, 1 failed, 0 skipped'
    exit 1
fi
exec node_modules/.bin/tsx tests/suite.ts "$1"
