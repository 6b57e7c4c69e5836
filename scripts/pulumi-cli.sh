#!/usr/bin/env bash
# Puts the Pulumi CLI into .carbon/tools/pulumi/bin, unless one is on PATH. Where it cannot be downloaded, Carbon's own
# embedded engine runs the program; that is not an error.
#
#   scripts/pulumi-cli.sh plan    says whether it would be installed, changes nothing
#   scripts/pulumi-cli.sh         installs it: the version and checksum of pulumi-cli.json
#
# A download that failed is tried again only with CARBON_RETRY=1, as `make setup` does: not at every `make up`.
# Works with macOS's bash 3.2.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

RECORD="$PROJECT_DIR/scripts/pulumi-cli.json"
PULUMI_DIR="$TOOLS_DIR/pulumi/bin"
UNREACHABLE="$TOOLS_DIR/pulumi.unreachable"
CONNECT_SECONDS=5

# record KEY: the text value of a key in pulumi-cli.json, which has one key a line.
record() { sed -n "s/^ *\"$1\": \"\([^\"]*\)\".*/\1/p" "$RECORD"; }

# As the release's files are named.
release_platform() {
    local system=linux
    if is_macos; then system=darwin; fi
    case "$(machine_arch)" in amd64) echo "$system-x64" ;; arm64) echo "$system-arm64" ;; esac
}

has_cli() { have pulumi || [ -e "$PULUMI_DIR/v$(record version)" ]; }
given_up() { [ -e "$UNREACHABLE" ] && [ -z "${CARBON_RETRY:-}" ]; }

download() {
    local version platform url
    version="$(record version)"
    platform="$(release_platform)"
    url="$(record url | sed -e "s/{version}/$version/" -e "s/{platform}/$platform/")"
    curl --fail --silent --show-error --location --connect-timeout "$CONNECT_SECONDS" --speed-time 30 --speed-limit 1000 \
        --output "$1/pulumi.tar.gz" "$url"
    if [ "$(sha256_of "$1/pulumi.tar.gz")" != "$(record "$platform")" ]; then
        echo "The checksum of $url is not that of pulumi-cli.json." >&2
        return 1
    fi
}

install_cli() {
    local work
    make_state_dir "$TOOLS_DIR"
    work="$(mktemp -d "$TOOLS_DIR/pulumi.XXXXXX")"
    # shellcheck disable=SC2064 # the directory is known now
    trap "rm -rf '$work'" EXIT
    trap 'exit 130' INT TERM
    download "$work"
    tar -xzf "$work/pulumi.tar.gz" -C "$work"
    : >"$work/pulumi/v$(record version)"
    rm -rf "$PULUMI_DIR"
    mkdir -p "$(dirname "$PULUMI_DIR")"
    mv "$work/pulumi" "$PULUMI_DIR"
}

plan() {
    if ! has_cli && ! given_up; then
        say "the Pulumi CLI $(record version) into .carbon/tools, if its release host can be reached (100 MB to download); else the embedded engine is used"
    fi
}

provide() {
    if has_cli || given_up; then return; fi
    local log="$LOG_DIR/pulumi-cli.log"
    make_state_dir "$LOG_DIR" "$TOOLS_DIR"
    say "  Downloading the Pulumi CLI $(record version) …"
    if "$0" step install_cli >"$log" 2>&1 </dev/null; then
        rm -f "$UNREACHABLE"
        good "Pulumi CLI $(record version) in .carbon/tools"
    else
        : >"$UNREACHABLE"
        say "  The Pulumi CLI cannot be installed ($(tail -n 1 "$log")): the embedded engine will be used."
    fi
}

case "${1:-}" in
    plan) plan ;;
    step) shift && "$@" ;; # see run_step
    '') provide ;;
    *) fail 'usage: scripts/pulumi-cli.sh [plan]' 2 ;;
esac
