#!/usr/bin/env bash
# The large suite: the stack as users get it, on full images; then every image and end-to-end test on them; then the
# slim image for the other platform, emulated.
# Ends with a table and the line "N passed, N failed, N skipped". Needs a Docker Engine, and 65 GB of disk.
#
# STACK (default: dev) is started, and removed together with its data; a stack that has data is not touched,
# except with CI=true, where it can only be left over from an earlier run. Works with macOS's bash 3.2.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/checks.sh
. "$(dirname "${BASH_SOURCE[0]}")/checks.sh"
cd "$PROJECT_DIR"

STACK="${STACK:-dev}"
if ! is_stack_name "$STACK"; then
    fail 'STACK is no stack name: it has letters, digits, "_", "." and "-" only, such as STACK=dev.' 2
fi

give_up() {
    say "$1"
    say '0 passed, 1 failed, 0 skipped'
    exit 1
}

has_data() { [ -n "$(docker volume ls --quiet --filter "name=^carbon-$STACK-")" ]; }
down() { ./carbon down --stack "$STACK" --volumes --yes; }

# The image a container of the stack was made from, by its digest.
image_of() { docker inspect --format '{{.Config.Image}}' "carbon-$STACK-$1"; }

test_images() {
    # The services run from the base image, the workspace from the compute image.
    CARBON_TEST_BASE_IMAGE="$(image_of postgres)"
    CARBON_TEST_COMPUTE_IMAGE="$(image_of workspace)"
    export CARBON_TEST_BASE_IMAGE CARBON_TEST_COMPUTE_IMAGE
    # First, while the build cache is whole: it makes the same images for a stack of another name.
    CARBON_E2E=full run_shown e2e vitest vitest_project e2e
    save_disk
    run_shown image vitest vitest_project image
    run_shown acceptance vitest vitest_project acceptance
}

# On a CI machine nobody comes back to the build cache, and the disk may be small.
save_disk() {
    if [ "${CI:-}" = true ]; then
        # --all: what an interrupted build has left counts as internal, and can be gigabytes.
        docker builder prune --all --force --keep-storage=5GB | tail -n 1
    fi
}

# Nor to images that the quick suite or an earlier run has left.
remove_images() {
    if [ "${CI:-}" = true ]; then
        # What cannot go, because a container uses it, is only disk that is not won.
        docker image ls --quiet --filter 'reference=carbon/*' | sort -u | xargs -r docker image rm --force || true
    fi
}

# The platform that this machine is not. The root image is made anew with it, so this comes last: what is built on the
# old one is built again.
test_emulation() {
    local foreign=linux/arm64
    if [ "$(machine_arch)" = arm64 ]; then foreign=linux/amd64; fi
    run_shown emulation check scripts/root-image.sh native "$foreign"
    run_shown emulated vitest vitest_project emulated
}

scripts/setup.sh || give_up 'The set-up failed; the reason is above.'
scripts/test-tools.sh clients || give_up 'The clients for the end-to-end tests are missing; see above.'
if has_data && [ "${CI:-}" != true ]; then
    give_up "The stack $STACK has data, and this suite would delete it. Choose another with STACK=name, or remove it: ./carbon down --stack $STACK --volumes"
fi

start_results acceptance
if has_data; then run_shown leftovers check down; fi
remove_images
save_disk
run_shown up check ./carbon up --stack "$STACK" --yes
if docker inspect "carbon-$STACK-workspace" >/dev/null; then test_images; fi
run_shown down check down
test_emulation
print_summary "$RESULTS"
