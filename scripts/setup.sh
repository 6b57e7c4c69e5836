#!/usr/bin/env bash
# Installs what is missing on this machine, and nothing else: says first what that is, then does it, then sums up.
# Every make target calls it; with nothing missing it takes well under a second. Whether what is there fits together,
# `carbon doctor` says, and `carbon up` before it touches anything.
#
# Exit status 3: everything else is ready, but there is no Docker Engine and none can be had here.
# CARBON_RETRY=1 tries again what could not be downloaded before.
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$PROJECT_DIR"

SETUP_GB=2

# go_on_without STATUS: if it says that no engine can be had; any other error has been explained, and is the end.
ENGINE_STATUS=0
go_on_without() {
    ENGINE_STATUS=$1
    [ "$1" = "$EXIT_NO_ENGINE" ] || exit "$1"
}

# The plan of each part, one thing a line.
collect_plan() {
    ENGINE_PLAN="$(scripts/docker-engine.sh plan)" || go_on_without $?
    IMAGE_PLAN=''
    if [ -n "$ENGINE_PLAN" ]; then
        IMAGE_PLAN='the root image debian:trixie-slim, if the engine does not have it (30 MB pulled, or built in 1 min)'
    elif [ "$ENGINE_STATUS" = 0 ]; then
        IMAGE_PLAN="$(scripts/root-image.sh plan)"
    fi
    NODE_PLAN="$(scripts/node.sh plan)"
    PULUMI_PLAN="$(scripts/pulumi-cli.sh plan)"
}

announce() {
    local free
    free="$(free_gb "$PROJECT_DIR")"
    say 'Missing, and about to be installed:'
    printf '%s\n' "$ENGINE_PLAN" "$IMAGE_PLAN" "$NODE_PLAN" "$PULUMI_PLAN" | sed -n 's/./  - &/p'
    # Measured with everything that there is and PyPI's CUDA build of PyTorch; the tests' images are slim.
    say "Disk: $free GB free; this needs $SETUP_GB GB, the full images up to 60 GB, the tests' slim ones 10 GB."
    if [ "$free" -lt "$SETUP_GB" ]; then
        fail "Only $free GB are free at $PROJECT_DIR: make room for $SETUP_GB GB and run this again."
    fi
}

install_all() {
    # The plan may have been wrong about the engine: it can turn out on starting it that the kernel refuses.
    if [ -n "$ENGINE_PLAN" ]; then scripts/docker-engine.sh || go_on_without $?; fi
    if [ "$ENGINE_STATUS" = 0 ] && [ -n "$IMAGE_PLAN" ]; then scripts/root-image.sh; fi
    if [ -n "$NODE_PLAN" ]; then scripts/node.sh; fi
    if [ -n "$PULUMI_PLAN" ]; then scripts/pulumi-cli.sh; fi
    hash -r
}

summarize() {
    local engine='no Docker Engine' pulumi='embedded engine (no Pulumi CLI)'
    if [ "$ENGINE_STATUS" = 0 ]; then engine="Docker Engine $(docker version --format '{{.Server.Version}}')"; fi
    if have pulumi; then
        pulumi="Pulumi CLI $(pulumi version)"
    elif [ -x "$TOOLS_DIR/pulumi/bin/pulumi" ]; then
        pulumi='Pulumi CLI in .carbon/tools'
    fi
    good "Set up: $engine · Node.js $(node --version) · $pulumi · $(free_gb "$PROJECT_DIR") GB free"
}

make_state_dir
collect_plan
if [ -n "$ENGINE_PLAN$IMAGE_PLAN$NODE_PLAN$PULUMI_PLAN" ]; then
    announce
    install_all
fi
summarize
exit "$ENGINE_STATUS"
