#!/usr/bin/env bash
# Makes sure the image that all others start from is there, for the platforms wanted (default: the machine's own).
#
#   scripts/root-image.sh plan [linux/amd64] [linux/arm64]    says what is missing, changes nothing
#   scripts/root-image.sh [linux/amd64] [linux/arm64]         pulls it or, where Docker Hub is out of reach, builds it
#
# ROOT_IMAGE names another image; only Debian 13's own can be built. DEBIAN_MIRROR names the archive to build from
# (default: the one in this machine's apt sources).
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

DEBIAN_IMAGE=docker.io/library/debian:trixie-slim
ROOT_IMAGE="${ROOT_IMAGE:-$DEBIAN_IMAGE}"
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# A tag may hold one platform of several. Making a container (and never starting it) asks for exactly one.
has_image() {
    local container
    container="$(docker create --pull never --platform "$1" "$ROOT_IMAGE" true 2>/dev/null)" || return 1
    docker rm "$container" >/dev/null
}

missing_platforms() {
    local platform
    for platform in $PLATFORMS; do
        if ! has_image "$platform"; then echo "$platform"; fi
    done
}

pull() {
    local platform
    for platform in "$@"; do
        within 90 docker pull --quiet --platform "$platform" "$ROOT_IMAGE"
    done
}

# build PLATFORM…: Debian 13's minimal system with its security updates, signatures checked, all platforms in one tag. The
# tag appears when everything is there, so an interruption leaves none.
build() {
    local mirror security platform hook certificates=''
    if ! have mmdebstrap || [ ! -e "$KEYRING" ]; then
        as_root apt-get update
        apt_install mmdebstrap arch-test debian-archive-keyring
    fi
    mirror="${DEBIAN_MIRROR:-$(debian_mirror Debian)}"
    security="$(debian_mirror Debian-Security)"
    if [ -z "$mirror" ]; then
        echo 'The apt sources name no Debian archive: set DEBIAN_MIRROR to one.' >&2
        return 1
    fi
    case "$mirror" in https:*) certificates=--include=ca-certificates ;; esac
    make_work_dir
    cp -R "$PROJECT_DIR/scripts/root-image/." "$WORK_DIR"
    # The folders of the image take these modes, whatever the umask of the clone.
    chmod -R u=rwX,go=rX "$WORK_DIR/rootfs"
    # What was there for the time of the build alone: $1 is the system's folder.
    # shellcheck disable=SC2016
    hook='rm "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"'
    for platform in "$@"; do
        printf '%s\n' "deb $mirror trixie main" ${security:+"deb $security trixie-security main"} |
            as_root mmdebstrap --mode=root --variant=minbase --architectures="${platform#linux/}" --keyring="$KEYRING" \
                ${certificates:+"$certificates"} --skip=output/dev \
                --dpkgopt="$WORK_DIR/rootfs/etc/dpkg/dpkg.cfg.d/docker" \
                --customize-hook="$hook" \
                trixie "$WORK_DIR/rootfs-${platform#linux/}.tar" -
    done
    as_root chmod a+r "$WORK_DIR"/rootfs-*.tar
    docker buildx build --builder "$(docker context show)" --platform "$(IFS=, && echo "$*")" --provenance=false \
        --tag "$ROOT_IMAGE" "$WORK_DIR"
}

plan() {
    missing_platforms | sed "s|.*|$ROOT_IMAGE for &, pulled (30 MB) or built from Debian's packages (1 min)|"
}

provide() {
    local missing
    missing="$(missing_platforms)"
    [ -z "$missing" ] && return
    # shellcheck disable=SC2086 # one platform a word
    if run_step "Pulling $ROOT_IMAGE" "$0" step pull $missing; then return; fi
    if [ "$ROOT_IMAGE" != "$DEBIAN_IMAGE" ] || is_macos || ! can_apt; then
        fail "$ROOT_IMAGE can neither be pulled nor built here (that takes Debian or Ubuntu and root). Load it with 'docker load', or set the stack's rootImage to a copy of it in a registry you can reach."
    fi
    # The tag is replaced, and must not lose the machine's own platform.
    # shellcheck disable=SC2046,SC2086 # one platform a word
    run_step "Building $ROOT_IMAGE with mmdebstrap" "$0" step build $(platforms native $PLATFORMS) ||
        fail "$ROOT_IMAGE could not be built; the reason is above."
}

# Each platform once; "native", and none at all, stand for the machine's own, as in the stack's settings.
platforms() {
    local platform
    for platform in "${@:-native}"; do
        case "$platform" in
            native) echo "linux/$(machine_arch)" ;;
            linux/amd64 | linux/arm64) echo "$platform" ;;
            *) fail "Unknown platform $platform: use native, linux/amd64 or linux/arm64." 2 ;;
        esac
    done | sort -u
}

command=provide
case "${1:-}" in
    step) # see run_step
        shift
        "$@"
        exit
        ;;
    plan) shift && command=plan ;;
esac
PLATFORMS="$(platforms "$@")"
"$command"
