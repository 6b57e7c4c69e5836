#!/usr/bin/env bash
# Installs what is missing on this machine, and nothing else: says first what that is, then does it, then sums up.
# Every make target calls it; with nothing missing it takes well under a second.
#
# Exit status 3: everything else is ready, but there is no Docker Engine and none can be had here.
# CARBON_RETRY=1 tries again what could not be downloaded before. Works with macOS's bash 3.2.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$PROJECT_DIR"

# Both full images with PyPI's CUDA build of PyTorch, and their build cache; the tests' slim images need a quarter.
FULL_IMAGES_GB=60
SETUP_GB=2

# Where the engine keeps images; on a Mac, and before there is an engine, that is this disk or one like it.
storage_dir() {
    if ! is_macos && [ -d /var/lib/docker ]; then echo /var/lib/docker; else echo "$PROJECT_DIR"; fi
}

# The plan of each part, one thing a line. A part whose plan fails has said why: status 3 is the missing engine.
ENGINE_STATUS=0
collect_plan() {
    ENGINE_PLAN="$(scripts/docker-engine.sh plan)" || ENGINE_STATUS=$?
    if [ "$ENGINE_STATUS" != 0 ] && [ "$ENGINE_STATUS" != "$EXIT_NO_ENGINE" ]; then exit "$ENGINE_STATUS"; fi
    if [ "$ENGINE_STATUS" != 0 ]; then
        IMAGE_PLAN=''
    elif [ -n "$ENGINE_PLAN" ]; then
        IMAGE_PLAN='the root image debian:trixie-slim, if the engine does not have it (30 MB pulled, or built in 1 min)'
    else
        IMAGE_PLAN="$(scripts/root-image.sh plan)"
    fi
    NODE_PLAN="$(scripts/node.sh plan)"
    PULUMI_PLAN="$(scripts/pulumi-cli.sh plan)"
}

announce() {
    local free
    free="$(free_gb "$(storage_dir)")"
    say 'Missing, and about to be installed:'
    printf '%s\n' "$ENGINE_PLAN" "$IMAGE_PLAN" "$NODE_PLAN" "$PULUMI_PLAN" | sed -n 's/./  - &/p'
    say "Disk: $free GB free; this needs $SETUP_GB GB, the full images up to $FULL_IMAGES_GB GB, the tests' slim ones 10 GB."
    if [ "$free" -lt "$SETUP_GB" ]; then
        fail "Only $free GB are free at $(storage_dir): make room for $SETUP_GB GB and run this again."
    fi
}

# A part's plan may have been wrong about the engine: it can turn out on starting it that the kernel refuses.
provide_engine() {
    scripts/docker-engine.sh || ENGINE_STATUS=$?
    if [ "$ENGINE_STATUS" != 0 ] && [ "$ENGINE_STATUS" != "$EXIT_NO_ENGINE" ]; then exit "$ENGINE_STATUS"; fi
}

pulumi_summary() {
    if have pulumi; then
        echo "Pulumi CLI $(pulumi version)"
    elif [ -x "$TOOLS_DIR/pulumi/bin/pulumi" ]; then
        echo 'Pulumi CLI in .carbon/tools'
    else
        echo 'embedded engine (no Pulumi CLI)'
    fi
}

summarize() {
    local engine free
    if [ "$ENGINE_STATUS" = 0 ]; then
        engine="Docker Engine $(docker version --format '{{.Server.Version}}')"
    else
        engine='no Docker Engine'
    fi
    free="$(free_gb "$(storage_dir)")"
    good "Set up: $engine · Node.js $(node --version) · $(pulumi_summary) · $free GB free"
    if [ "$free" -lt "$FULL_IMAGES_GB" ]; then
        warn "The full images may need up to $FULL_IMAGES_GB GB and only $free GB are free."
    fi
    # `carbon up` says it, too: here only who asks for the set-up itself is told.
    if [ "$ENGINE_STATUS" = 0 ] && [ -n "${CARBON_RETRY:-}" ]; then scripts/docker-engine.sh advise; fi
}

own_state
collect_plan
if [ -n "$ENGINE_PLAN$IMAGE_PLAN$NODE_PLAN$PULUMI_PLAN" ]; then
    announce
    if [ -n "$ENGINE_PLAN" ]; then provide_engine; fi
    if [ "$ENGINE_STATUS" = 0 ] && [ -n "$IMAGE_PLAN" ]; then scripts/root-image.sh; fi
    if [ -n "$NODE_PLAN" ]; then scripts/node.sh; fi
    if [ -n "$PULUMI_PLAN" ]; then scripts/pulumi-cli.sh; fi
fi
summarize
exit "$ENGINE_STATUS"
