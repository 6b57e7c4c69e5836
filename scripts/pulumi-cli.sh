#!/usr/bin/env bash
# Puts the Pulumi CLI of tools.lock into .carbon/tools/pulumi/bin, unless one is on PATH. Where it cannot be downloaded,
# Carbon's own embedded engine runs the program; that is not an error.
#
#   scripts/pulumi-cli.sh plan    says whether it would be installed, changes nothing
#   scripts/pulumi-cli.sh         installs it
#
# A download that failed is tried again only with CARBON_RETRY=1, as `make setup` does: not at every `make up`.
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PULUMI_DIR="$TOOLS_DIR/pulumi/bin"
UNREACHABLE="$TOOLS_DIR/pulumi.unreachable"
find_tool pulumi

is_settled() {
    have pulumi || [ -e "$PULUMI_DIR/v$TOOL_VERSION" ] || { [ -e "$UNREACHABLE" ] && [ -z "${CARBON_RETRY:-}" ]; }
}

install_cli() {
    make_work_dir
    unpack_tool pulumi "$WORK_DIR/bin"
    : >"$WORK_DIR/bin/v$TOOL_VERSION"
    rm -rf "$PULUMI_DIR"
    mkdir -p "$(dirname "$PULUMI_DIR")"
    mv "$WORK_DIR/bin" "$PULUMI_DIR"
}

plan() {
    if ! is_settled; then
        say "the Pulumi CLI $TOOL_VERSION into .carbon/tools, if its release host can be reached (100 MB to download); else the embedded engine is used"
    fi
}

provide() {
    if is_settled; then return; fi
    local log="$LOG_DIR/pulumi-cli.log"
    make_state_dir "$LOG_DIR" "$TOOLS_DIR"
    say "  Downloading the Pulumi CLI $TOOL_VERSION …"
    local status=0
    "$0" step install_cli >"$log" 2>&1 </dev/null || status=$?
    if [ "$status" = 130 ]; then exit 130; fi
    if [ "$status" = 0 ]; then
        rm -f "$UNREACHABLE"
        good "Pulumi CLI $TOOL_VERSION in .carbon/tools"
    else
        : >"$UNREACHABLE"
        say "  The Pulumi CLI cannot be installed ($(tail -n 1 "$log")): the embedded engine will be used."
    fi
}

main "$@"
