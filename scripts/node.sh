#!/usr/bin/env bash
# Makes sure Node.js is new enough and the project's packages are those of package-lock.json.
#
#   scripts/node.sh plan    says what is missing, changes nothing
#   scripts/node.sh         installs it
#
# Node itself is installed only on Debian and Ubuntu as root, and only if theirs is new enough.
# Works with macOS's bash 3.2.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

OLDEST_NODE=20.19
LOCK="$PROJECT_DIR/package-lock.json"
# Inside node_modules, so that it goes when they go.
STAMP="$PROJECT_DIR/node_modules/.carbon-lock"

has_node() { have node && have npm && version_at_least "$(node --version)" "$OLDEST_NODE"; }

# Compiled packages depend on Node's major version, so that is part of what was installed.
wanted_packages() { echo "$(sha256_of "$LOCK") node $(node --version | cut -d. -f1)"; }
has_packages() { [ -e "$STAMP" ] && [ "$(cat "$STAMP")" = "$(wanted_packages)" ]; }

how_to_install_node() {
    if is_macos; then
        echo "run 'brew install node'"
    else
        echo "see nodejs.org/en/download (Debian 13 and Ubuntu 25.10 have it as 'apt-get install nodejs npm')"
    fi
}

plan() {
    if ! has_node; then
        if can_apt; then
            say "Node.js $OLDEST_NODE or newer, from the distribution's packages (1 min)"
        else
            fail "Node.js $OLDEST_NODE or newer and npm are missing: $(how_to_install_node), and run this again."
        fi
    fi
    if ! has_node || ! has_packages; then
        say 'the Node packages of package-lock.json (300 MB on disk, 20 s)'
    fi
}

install_node() {
    as_root apt-get update
    if ! version_at_least "$(apt_candidate nodejs)" "$OLDEST_NODE"; then
        echo "The distribution's Node.js is $(apt_candidate nodejs), too old." >&2
        return 1
    fi
    apt_install nodejs npm
}

explain_npm_failure() {
    if grep -qE 'CERT|certificate' "$LOG_DIR"/Installing-Node-packages*.log; then
        fail "npm does not trust the certificate it was shown. If your network inspects TLS, set NODE_EXTRA_CA_CERTS to its CA bundle (a PEM file), and run this again."
    fi
    fail 'The Node packages could not be installed; the reason is above.'
}

provide() {
    if ! has_node; then
        run_step 'Installing Node.js' "$0" step install_node ||
            fail "Node.js $OLDEST_NODE or newer and npm are missing: $(how_to_install_node), and run this again."
    fi
    has_packages && return
    cd "$PROJECT_DIR"
    # The bundle that other tools read from SSL_CERT_FILE, Node reads only from its own variable.
    export NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-${SSL_CERT_FILE:-}}"
    run_step 'Installing Node packages' npm ci --no-audit --no-fund || explain_npm_failure
    wanted_packages >"$STAMP"
}

case "${1:-}" in
    plan) plan ;;
    step) shift && "$@" ;; # see run_step
    '') provide ;;
    *) fail 'usage: scripts/node.sh [plan]' 2 ;;
esac
