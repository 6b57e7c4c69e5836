#!/usr/bin/env bash
# Installs what only the tests need: the linters for shell and Dockerfiles, and clients for the end-to-end tests.
#
#   scripts/test-tools.sh lint       ShellCheck and hadolint in .carbon/tools/lint (pinned, with hashes)
#   scripts/test-tools.sh clients    a browser, an SSH client that takes a password, an RDP client and a screen for it
#
# Works with macOS's bash 3.2.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

LINT_DIR="$TOOLS_DIR/lint"
REQUIREMENTS="$PROJECT_DIR/scripts/requirements-lint.txt"
STAMP="$LINT_DIR/.requirements"

has_linters() { [ -e "$STAMP" ] && cmp -s "$REQUIREMENTS" "$STAMP"; }

# Debian's Python comes without pip and venv.
has_venv() { python3 -c 'import ensurepip, venv' 2>/dev/null; }

create_venv() {
    if ! has_venv; then
        as_root apt-get update
        apt_install python3-venv
    fi
    rm -rf "$LINT_DIR"
    make_state_dir "$TOOLS_DIR"
    python3 -m venv "$LINT_DIR"
    "$LINT_DIR/bin/pip" install --quiet --require-hashes --only-binary :all: --requirement "$REQUIREMENTS"
    cp "$REQUIREMENTS" "$STAMP"
}

install_linters() {
    has_linters && return
    if ! have python3; then
        fail "Python 3 is missing: $(is_macos && echo "run 'xcode-select --install'" || echo "install the package python3"), and run this again."
    elif ! has_venv && ! can_apt; then
        fail "Python's venv module is missing: install the package python3-venv, and run this again."
    fi
    run_step 'Installing ShellCheck and hadolint' "$0" step create_venv ||
        fail 'ShellCheck and hadolint could not be installed; the reason is above.'
}

has_browser() {
    have chromium || have chromium-browser || have google-chrome || [ -d '/Applications/Google Chrome.app' ]
}

has_rdp_client() { have xfreerdp3 || have xfreerdp; }

# macOS's screen for X programs is XQuartz, which sets DISPLAY.
has_x_screen() { have xvfb-run || [ -n "${DISPLAY:-}" ]; }

# The packages whose commands are missing, one a line.
missing_clients() {
    if ! has_browser; then echo chromium; fi
    if ! have sshpass; then echo sshpass; fi
    if ! have ssh; then echo openssh-client; fi
    if ! has_rdp_client; then echo freerdp; fi
    if ! has_x_screen; then if is_macos; then echo xquartz; else printf '%s\n' xvfb xauth; fi; fi
}

# Distributions carry one of FreeRDP's versions or both; the older one brings less with it.
rdp_package() {
    if [ -n "$(apt-cache madison freerdp2-x11)" ]; then echo freerdp2-x11; else echo freerdp3-x11; fi
}

fetch_clients() {
    as_root apt-get update
    apt_install "${@/#freerdp/$(rdp_package)}"
}

install_clients() {
    local missing
    missing="$(missing_clients | tr '\n' ' ')"
    [ -z "$missing" ] && return
    if is_macos; then
        fail "The end-to-end tests need: $missing. Run 'brew install sshpass freerdp' and 'brew install --cask chromium xquartz', and run this again."
    elif ! can_apt; then
        fail "The end-to-end tests need: $missing. Install these packages, and run this again."
    fi
    say "Missing for the end-to-end tests, and about to be installed: $missing(130 MB to download, 1 min)"
    # shellcheck disable=SC2086 # one package a word
    run_step 'Installing test clients' "$0" step fetch_clients $missing ||
        fail 'The clients for the end-to-end tests could not be installed; the reason is above.'
}

case "${1:-}" in
    lint) install_linters ;;
    clients) install_clients ;;
    step) shift && "$@" ;; # see run_step
    *) fail 'usage: scripts/test-tools.sh lint|clients' 2 ;;
esac
