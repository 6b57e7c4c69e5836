#!/usr/bin/env bash
# The quick suite: static checks and unit tests side by side, then what needs a Docker Engine, on slim images.
# Ends with a table and the line "N passed, N failed, N skipped".
#
# Where no engine can be had, its tests are counted as skipped; with CI=true or REQUIRE_DOCKER=1 that is a failure.
# Works with macOS's bash 3.2.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/checks.sh
. "$(dirname "${BASH_SOURCE[0]}")/checks.sh"
cd "$PROJECT_DIR"

docker_required() { [ "${CI:-}" = true ] || [ "${REQUIRE_DOCKER:-}" = 1 ]; }

# Without the set-up nothing runs, not even the summary.
set_up() {
    local started=$SECONDS status=0
    scripts/setup.sh || status=$?
    if [ "$status" = "$EXIT_NO_ENGINE" ] && ! docker_required; then
        ENGINE=no
    elif [ "$status" != 0 ]; then
        say 'The set-up failed; the reason is above.'
        say '0 passed, 1 failed, 0 skipped'
        exit 1
    fi
    record setup check 0 $((SECONDS - started))
}

# Tracked shell scripts, by name or by first line.
shell_scripts() {
    git ls-files '*.sh'
    git grep --name-only -E '^#!(/usr)?/bin/(env )?(ba)?sh' -- . ':!*.sh' ':!*.md' ':!*.ts'
}

run_shellcheck() {
    # shellcheck disable=SC2046 # no name of a tracked script has spaces
    "$TOOLS_DIR/lint/bin/shellcheck" --external-sources $(shell_scripts | sort -u)
}

run_hadolint() {
    # shellcheck disable=SC2046
    "$TOOLS_DIR/lint/bin/hadolint" $(git ls-files '*Dockerfile')
}

run_linters() {
    local started=$SECONDS
    if scripts/test-tools.sh lint; then
        run_check shellcheck check run_shellcheck
        run_check hadolint check run_hadolint
    elif docker_required; then
        record linters check 1 $((SECONDS - started))
    else
        record shellcheck skipped-check 0 0 'no linters'
        record hadolint skipped-check 0 0 'no linters'
    fi
}

# Two lanes of about the same length, for two cores.
run_without_docker() {
    {
        run_check typecheck check node_modules/.bin/tsc --noEmit
        run_check biome check node_modules/.bin/biome check .
        run_linters
    } &
    {
        run_check unit vitest vitest_project unit
        run_check verify unittest python3 -m unittest discover --start-directory tests/unit/verify --top-level-directory .
    } &
    wait
}

run_with_docker() {
    if ! scripts/test-tools.sh clients; then
        record clients check 1 0
        return
    fi
    run_shown engine vitest vitest_project engine
    run_shown image vitest vitest_project image
    run_shown e2e vitest vitest_project e2e
}

# Counts what would have run.
skip_docker() {
    local project status
    for project in engine image e2e; do
        status=0
        CARBON_TEST_LIST=1 "$VITEST" list --project "$project" --json="$RESULTS/$project.json" >"$RESULTS/$project.log" 2>&1 || status=$?
        record "$project" skipped-vitest "$status" 0 'no Docker Engine'
        say "- $project skipped: no Docker Engine (the reason is above)"
    done
}

ENGINE=yes
start_results test
set_up
run_without_docker
if [ "$ENGINE" = yes ]; then run_with_docker; else skip_docker; fi
print_summary "$RESULTS"
