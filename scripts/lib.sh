#!/usr/bin/env bash
# What the scripts share: messages, version comparison, time limits, root, pinned tools, logged steps.
# Sourced, not run. All of them work with macOS's bash 3.2: no associative arrays, no mapfile, no `wait -n`.
set -euo pipefail

PROJECT_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
STATE_DIR="$PROJECT_DIR/.carbon"
TOOLS_DIR="$STATE_DIR/tools"
LOG_DIR="$STATE_DIR/logs"
export TOOLS_DIR

# Debian keeps dockerd and iptables in sbin, which is not on every user's PATH. The project's own Node.js is there
# where set-up had to bring one, and then comes first.
PATH="$TOOLS_DIR/node/bin:$PATH:/usr/sbin:/sbin"
export PATH

# Exit status of a part that finds no Docker Engine and cannot provide one: `make test` goes on without.
export EXIT_NO_ENGINE=3

if [ -t 1 ]; then
    GREEN=$'\033[32m' YELLOW=$'\033[33m' RED=$'\033[31m' RESET=$'\033[0m'
else
    GREEN='' YELLOW='' RED='' RESET=''
fi

say() { printf '%s\n' "$*"; }
good() { printf '%s✓%s %s\n' "$GREEN" "$RESET" "$*"; }
warn() { printf '%s!%s %s\n' "$YELLOW" "$RESET" "$*" >&2; }

# fail MESSAGE [STATUS]: what is wrong and what to type next, then the end.
fail() {
    printf '%s✗%s %s\n' "$RED" "$RESET" "$1" >&2
    exit "${2:-1}"
}

have() { command -v "$1" >/dev/null; }
is_macos() { [ "$(uname -s)" = Darwin ]; }

# The project's own folder for state, tools and logs is its owner's alone from the start, whatever the umask, and narrowed
# where it is wider. One that root has made is left as it is to others.
make_state_dir() {
    if [ ! -d "$STATE_DIR" ]; then mkdir -m 700 "$STATE_DIR"; fi
    if [ -O "$STATE_DIR" ]; then chmod 700 "$STATE_DIR"; fi
    if [ $# -gt 0 ]; then mkdir -p "$@"; fi
}

# The machine's architecture as Docker names it.
machine_arch() {
    case "$(uname -m)" in
        x86_64 | amd64) echo amd64 ;;
        aarch64 | arm64) echo arm64 ;;
        *) fail "Carbon runs on x86-64 and arm64; this machine is $(uname -m)." ;;
    esac
}

# version_at_least HAVE WANT: compares major and minor numbers; "26.1.5+dfsg1" is 26.1, "v20.19.0" is 20.19.
version_at_least() {
    awk -v have="$1" -v want="$2" 'BEGIN {
        sub(/^[^0-9]*/, "", have); split(have, h, "."); split(want, w, ".")
        exit !(have != "" && (h[1] + 0 > w[1] + 0 || h[1] + 0 == w[1] + 0 && h[2] + 0 >= w[2] + 0))
    }'
}

# within SECONDS COMMAND…: ends the command when its time is up. In Perl, because macOS has no `timeout`.
within() {
    perl -e 'my $seconds = shift; my $pid = fork // die "fork: $!"; $pid || exec @ARGV or exit 127;
        $SIG{ALRM} = sub { kill "TERM", $pid }; alarm $seconds;
        until (waitpid($pid, 0) == $pid) {} exit($? & 127 ? 124 : $? >> 8)' "$@"
}

# Root without a question: as root, or where sudo asks for no password; its complaint about one is the answer no.
can_be_root() { [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

can_apt() { have apt-get && can_be_root; }
apt_install() { as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"; }

# The version apt would install, or nothing. Reads the package lists as they are: run `apt-get update` first.
apt_candidate() { apt-cache policy "$1" | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'; }

# debian_mirror [Debian|Debian-Security]: the archive this machine's own apt sources name (no host is built in).
debian_mirror() {
    # shellcheck disable=SC2016 # the fields are apt's
    apt-get indextargets --format '$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F'|' -v label="${1:-Debian}" '$1 == label && $2 == "main" && !found { print $3; found = 1 }'
}

# Free space in whole GB on the file system that holds PATH.
free_gb() { df -Pk "$1" | awk 'NR == 2 { print int($4 / 1048576) }'; }

sha256_of() { if have sha256sum; then sha256sum "$1"; else shasum -a 256 "$1"; fi | awk '{ print $1 }'; }

# ── Pinned tools ─────────────────────────────────────────────────────────────────────────────────────────────

# find_tool NAME: sets TOOL_VERSION, TOOL_SHA256 and TOOL_URL to what tools.lock has for this machine.
find_tool() {
    local platform
    platform="$(uname -s | tr '[:upper:]' '[:lower:]')-$(machine_arch)"
    # shellcheck disable=SC2034 # for the scripts that source this one
    read -r TOOL_VERSION TOOL_SHA256 TOOL_URL < <(awk -v name="$1" -v platform="$platform" \
        '$1 == name && ($2 == platform || $2 == "any") { print $3, $4, $5 }' "$PROJECT_DIR/scripts/tools.lock")
}

# unpack_tool NAME DIRECTORY [MEMBER…]: downloads it, checks it, and unpacks it, or these files alone, without the folder
# that all of it lies in. npm_config_registry stands for npm's registry, as npm itself has it.
unpack_tool() {
    local archive="$2.tar.gz" directory=$2
    mkdir -p "$directory"
    find_tool "$1"
    case "$TOOL_URL" in https://registry.npmjs.org/*)
        local registry="${npm_config_registry:-https://registry.npmjs.org}"
        TOOL_URL="${registry%/}/${TOOL_URL#https://registry.npmjs.org/}" ;;
    esac
    curl --fail --silent --show-error --location --connect-timeout 5 --speed-time 30 --speed-limit 1000 \
        --output "$archive" "$TOOL_URL"
    if [ "$(sha256_of "$archive")" != "$TOOL_SHA256" ]; then
        echo "The checksum of $TOOL_URL is not that of scripts/tools.lock." >&2
        return 1
    fi
    shift 2
    tar -xzf "$archive" -C "$directory" --strip-components 1 "$@"
    rm "$archive"
}

# A folder beside the tools, gone when this process ends; what is whole is moved from there.
make_work_dir() {
    make_state_dir "$TOOLS_DIR"
    WORK_DIR="$(mktemp -d "$TOOLS_DIR/new.XXXXXX")"
    trap 'rm -rf "$WORK_DIR"' EXIT
    trap 'exit 130' INT TERM
}

# ── Parts of the set-up ──────────────────────────────────────────────────────────────────────────────────────

# main "$@": a part's command line. `plan` says what it would install, one thing a line; nothing installs it.
main() {
    case "${1:-}" in
        plan) plan ;;
        step) shift && "$@" ;; # see run_step
        '') provide ;;
        *) fail "usage: $0 [plan]" 2 ;;
    esac
}

# Tells how long a step has been going: every second on a terminal, twice a minute in a log.
ticker() {
    local started=$SECONDS owner=$$ pause=30 format='  %s … %s s\n'
    if [ -t 1 ]; then pause=1 format='\r  %s … %s s'; fi
    # The sleep outlives a ticker that is ended: it must not hold our output open.
    while sleep "$pause" >/dev/null 2>&1 && kill -0 "$owner" 2>/dev/null; do
        # shellcheck disable=SC2059 # it is one of the two above
        printf "$format" "$1" $((SECONDS - started))
    done
}

# run_step TITLE COMMAND…: runs it with its output in a log; shows the time, and the log's end if it fails.
# A function of the calling script is given as `"$0" step FUNCTION`, a process of its own: bash ignores `set -e` in
# everything that is called on the left of `||`.
run_step() {
    local title=$1 started=$SECONDS status=0 log ticker_pid
    shift
    make_state_dir "$LOG_DIR"
    log="$LOG_DIR/$(printf '%s' "$title" | tr -cs 'A-Za-z0-9.\n' '-').log"
    ticker "$title" &
    ticker_pid=$!
    "$@" >"$log" 2>&1 </dev/null || status=$?
    kill "$ticker_pid"
    wait "$ticker_pid" 2>/dev/null || [ $? -gt 128 ] # it was ended by a signal: ours
    [ -t 1 ] && printf '\r\033[K'
    if [ "$status" = 0 ]; then
        good "$title ($((SECONDS - started)) s)"
    else
        warn "$title failed after $((SECONDS - started)) s. The end of $log:"
        tail -n 20 "$log" | sed 's/^/    /' >&2
    fi
    return "$status"
}
