#!/usr/bin/env bash
# What the scripts share: messages, version comparison, time limits, root, logged steps.
# Sourced, not run. Works with macOS's bash 3.2: no associative arrays, no mapfile, no `wait -n`.

# Debian keeps dockerd and debootstrap in sbin, which is not on every user's PATH.
PATH="$PATH:/usr/sbin:/sbin"
export PATH

PROJECT_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
STATE_DIR="$PROJECT_DIR/.carbon"
TOOLS_DIR="$STATE_DIR/tools"
LOG_DIR="$STATE_DIR/logs"
export TOOLS_DIR

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

# A name, not a command, an option's value or a pattern. In the C locale, where ranges hold no other letters.
is_stack_name() (
    LC_ALL=C
    case "$1" in '' | *[!A-Za-z0-9_.-]*) return 1 ;; esac
)

# The project's own folder for state, tools and logs is its owner's alone from the start, whatever the umask, and narrowed
# where it is wider. One that root has made is left as it is to others.
own_state() {
    if [ ! -d "$STATE_DIR" ]; then mkdir -m 700 "$STATE_DIR"; fi
    if [ -O "$STATE_DIR" ]; then chmod 700 "$STATE_DIR"; fi
}
make_state_dir() {
    own_state
    mkdir -p "$@"
}

# The machine's architecture as Docker names it.
machine_arch() {
    case "$(uname -m)" in
        x86_64 | amd64) echo amd64 ;;
        aarch64 | arm64) echo arm64 ;;
        *) fail "Carbon runs on x86-64 and arm64; this machine is $(uname -m)." ;;
    esac
}

# version_at_least HAVE WANT: compares the leading dotted numbers; "26.1.5+dfsg1" is 26.1.5, "v20.19" is 20.19.0.
version_at_least() {
    awk -v have="$1" -v want="$2" 'BEGIN {
        sub(/^[^0-9]*/, "", have); sub(/[^0-9.].*$/, "", have)
        n = split(have, h, "."); m = split(want, w, ".")
        if (n == 0) exit 1
        for (i = 1; i <= (n > m ? n : m); i++) {
            if (h[i] + 0 > w[i] + 0) exit 0
            if (h[i] + 0 < w[i] + 0) exit 1
        }
    }'
}

# within SECONDS COMMAND…: ends the command when its time is up. macOS has no `timeout`, but has Perl.
within() {
    if have timeout; then
        timeout --foreground "$@"
    else
        perl -e '
            my $seconds = shift; my $pid = fork // die "fork: $!";
            if ($pid == 0) { exec @ARGV or exit 127 }
            $SIG{ALRM} = sub { kill "TERM", $pid }; alarm $seconds;
            my $done = 0; while (($done = waitpid($pid, 0)) == -1 && $!{EINTR}) {}
            exit(($? & 127) ? 124 : $? >> 8)' "$@"
    fi
}

# Root without a question: as root, or where sudo asks for no password.
can_be_root() {
    # sudo's complaint about a password is the answer no.
    [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# is_distribution debian|ubuntu: by /etc/os-release.
is_distribution() {
    [ -r /etc/os-release ] && grep -qE "^(ID|ID_LIKE)=.*\b$1\b" /etc/os-release
}

can_apt() { have apt-get && can_be_root; }

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
}

# The version apt would install, or nothing. Reads the package lists as they are: run `apt-get update` first.
apt_candidate() {
    apt-cache policy "$1" | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

# debian_mirror [Debian|Debian-Security]: the archive this machine's own apt sources name (no host is built in).
debian_mirror() {
    # shellcheck disable=SC2016 # the fields are apt's
    apt-get indextargets --format '$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F'|' -v label="${1:-Debian}" '$1 == label && $2 == "main" && !found { print $3; found = 1 }'
}

# Free space in whole GB on the file system that holds PATH.
free_gb() { df -Pk "$1" | awk 'NR == 2 { print int($4 / 1048576) }'; }

sha256_of() {
    if have sha256sum; then sha256sum "$1"; else shasum -a 256 "$1"; fi | awk '{ print $1 }'
}

# Tells how long a step has been going: every second on a terminal, twice a minute in a log.
ticker() {
    local title=$1 started=$SECONDS shown=$SECONDS owner=$$
    # The sleep outlives a ticker that is ended: it must not hold our output open.
    while sleep 1 >/dev/null 2>&1 && kill -0 "$owner" 2>/dev/null; do
        if [ -t 1 ]; then
            printf '\r  %s … %s s' "$title" $((SECONDS - started))
        elif [ $((SECONDS - shown)) -ge 30 ]; then
            shown=$SECONDS
            printf '  %s … %s s\n' "$title" $((SECONDS - started))
        fi
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
