#!/usr/bin/env bash
# How scripts/test.sh and scripts/acceptance.sh run checks and keep their results. Sourced, not run.
# Each runner leaves its output in $RESULTS/<name>.log and one line in $RESULTS/runs.tsv, from which
# scripts/test-summary.ts makes the table and the final sums. Works with macOS's bash 3.2.

export VITEST=node_modules/.bin/vitest

# start_results NAME: an empty folder for this run's results.
start_results() {
    RESULTS="$STATE_DIR/results/$1"
    rm -rf "$RESULTS"
    make_state_dir "$RESULTS"
}

# record NAME KIND STATUS SECONDS [REASON]: see test-summary.ts for the kinds.
record() { printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "${5:-}" >>"$RESULTS/runs.tsv"; }

# run_check NAME KIND COMMAND…: in full at the end, so that runners side by side do not mix their output; what passed
# only tells its time. Never fails: the sums do.
run_check() {
    local name=$1 kind=$2 started=$SECONDS status=0
    shift 2
    "$@" >"$RESULTS/$name.log" 2>&1 </dev/null || status=$?
    record "$name" "$kind" "$status" $((SECONDS - started))
    if [ "$status" = 0 ]; then
        good "$name ($((SECONDS - started)) s)"
    else
        printf '%s✗ %s%s (%s s)\n%s\n' "$RED" "$name" "$RESET" $((SECONDS - started)) "$(sed 's/^/    /' "$RESULTS/$name.log")"
    fi
}

# run_shown NAME KIND COMMAND…: the same with the output shown as it comes, for what takes minutes.
run_shown() {
    local name=$1 kind=$2 started=$SECONDS status=0
    shift 2
    say "── $name: $*"
    "$@" 2>&1 </dev/null | tee "$RESULTS/$name.log" || status=$?
    record "$name" "$kind" "$status" $((SECONDS - started))
    say "── $name: $((SECONDS - started)) s"
}

# vitest_project NAME: one project, readable in the log and as JSON for the sums.
vitest_project() {
    "$VITEST" run --project "$1" --passWithNoTests --reporter=verbose --reporter=json \
        --outputFile.json="$RESULTS/$1.json"
}

# print_summary FOLDER…: the table and, as the last line, the sums; fails if anything failed.
print_summary() { node_modules/.bin/tsx scripts/test-summary.ts "$@"; }
