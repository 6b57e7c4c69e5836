#!/usr/bin/env bash
# Makes sure Node.js is new enough and the project's packages are those of package-lock.json. Where the machine has no
# such Node.js, the one of tools.lock and its npm come into .carbon/tools/node, for this project alone.
#
#   scripts/node.sh plan    says what is missing, changes nothing
#   scripts/node.sh         installs it
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

plan() {
    if ! has_node; then
        if ! have curl && ! can_apt; then
            fail 'Node.js can be brought here only with curl: install curl, and run this again.'
        fi
        find_tool node
        say "Node.js $TOOL_VERSION with npm into .carbon/tools, for this project alone (50 MB to download, 130 MB on disk)"
    fi
    if ! has_node || ! has_packages; then
        say 'the Node packages of package-lock.json (300 MB on disk, 20 s)'
    fi
}

install_node() {
    if ! have curl; then
        as_root apt-get update
        apt_install curl ca-certificates
    fi
    make_work_dir
    unpack_tool node "$WORK_DIR/node" package/bin/node package/LICENSE
    unpack_tool npm "$WORK_DIR/node/lib/node_modules/npm"
    ln -s ../lib/node_modules/npm/bin/npm-cli.js "$WORK_DIR/node/bin/npm"
    # What cannot run here, for example on another kind of Linux, is not left behind.
    "$WORK_DIR/node/bin/node" --version
    rm -rf "$TOOLS_DIR/node"
    mv "$WORK_DIR/node" "$TOOLS_DIR/node"
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
            fail "Node.js could not be installed; the reason is above. Install version $OLDEST_NODE or newer with npm yourself (nodejs.org/en/download), or, if your network inspects TLS, set CURL_CA_BUNDLE to its CA bundle (a PEM file), and run this again."
        hash -r
    fi
    has_packages && return
    cd "$PROJECT_DIR"
    # The bundle that other tools read from SSL_CERT_FILE, Node reads only from its own variable.
    export NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-${SSL_CERT_FILE:-}}"
    run_step 'Installing Node packages' npm ci --no-audit --no-fund || explain_npm_failure
    wanted_packages >"$STAMP"
}

main "$@"
