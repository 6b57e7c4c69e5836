#!/usr/bin/env bash
# Makes sure the image that all others start from is there, for the platforms wanted (default: the machine's own).
#
#   scripts/root-image.sh plan [linux/amd64] [linux/arm64]    says what is missing, changes nothing
#   scripts/root-image.sh [linux/amd64] [linux/arm64]         pulls it or, where Docker Hub is out of reach, builds it
#
# ROOT_IMAGE names another image; only Debian 13's own can be built. DEBIAN_MIRROR names the archive to build from
# (default: the one in this machine's apt sources). Works with macOS's bash 3.2.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

DEBIAN_IMAGE=docker.io/library/debian:trixie-slim
ROOT_IMAGE="${ROOT_IMAGE:-$DEBIAN_IMAGE}"
PULL_SECONDS=90
BUILD_TIME='1 min'
BINFMT=/proc/sys/fs/binfmt_misc

native_platform() { echo "linux/$(machine_arch)"; }
is_foreign() { [ "$1" != "$(native_platform)" ]; }

# A tag may hold one platform of several. Making a container (and never starting it) asks for exactly one.
has_image() {
    local container
    container="$(docker create --pull never --platform "$1" "$ROOT_IMAGE" true 2>/dev/null)" || return 1
    docker rm "$container" >/dev/null
}

missing_platforms() {
    local platform
    for platform in "$@"; do
        if ! has_image "$platform"; then echo "$platform"; fi
    done
}

# ── Emulation of the other architecture ──────────────────────────────────────────────────────────────────────

qemu_name() { case "$1" in linux/arm64) echo aarch64 ;; linux/amd64) echo x86_64 ;; esac; }

# Docker Desktop brings its own. On Linux the kernel must hand such programs to QEMU, with the F flag: the interpreter
# is opened at registration, because it is not there inside a container.
can_emulate() {
    is_macos || { [ -e "$BINFMT/qemu-$(qemu_name "$1")" ] && grep -q '^flags:.*F' "$BINFMT/qemu-$(qemu_name "$1")"; }
}

install_emulation() {
    local name
    name="$(qemu_name "$1")"
    if [ ! -e "/usr/lib/binfmt.d/qemu-$name.conf" ]; then
        as_root apt-get update
        # Debian 13 split the registrations off into a package of their own.
        if version_at_least "$(apt_candidate qemu-user-binfmt)" 9; then
            apt_install qemu-user qemu-user-binfmt
        else
            apt_install qemu-user-static
        fi
    fi
    if ! grep -q " $BINFMT " /proc/mounts; then
        as_root mount -t binfmt_misc binfmt_misc "$BINFMT"
    fi
    if [ -e "$BINFMT/qemu-$name" ] && ! can_emulate "$1"; then
        echo -1 | as_root tee "$BINFMT/qemu-$name" >/dev/null
    fi
    # An init would have done this from the same file.
    if [ ! -e "$BINFMT/qemu-$name" ]; then
        as_root tee "$BINFMT/register" <"/usr/lib/binfmt.d/qemu-$name.conf" >/dev/null
    fi
}

ensure_emulation() {
    can_emulate "$1" && return
    if ! can_apt; then
        fail "This machine cannot run $1 programs: install qemu-user-static and its binfmt registration (with the F flag), and run this again."
    fi
    run_step "Setting up emulation of $1" "$0" step install_emulation "$1" || fail "$1 cannot be emulated here; the reason is above."
}

# ── The image ────────────────────────────────────────────────────────────────────────────────────────────────

pull() {
    local platform
    for platform in "$@"; do
        within "$PULL_SECONDS" docker pull --quiet --platform "$platform" "$ROOT_IMAGE"
    done
}

# unpack DIRECTORY ARCHITECTURE MIRROR: Debian 13's minimal system as a tar file; signatures are checked.
unpack() {
    local root="$1/rootfs-$2" include=''
    case "$3" in https:*) include=--include=ca-certificates ;; esac
    as_root debootstrap --variant=minbase --arch="$2" ${include:+"$include"} \
        --keyring=/usr/share/keyrings/debian-archive-keyring.gpg trixie "$root" "$3"
    slim_down "$root"
    as_root cp -R "$PROJECT_DIR/scripts/root-image/rootfs/." "$root/"
    as_root chown -R root:root "$root/etc/apt/apt.conf.d" "$root/etc/dpkg/dpkg.cfg.d" "$root/usr/sbin/policy-rc.d"
    write_apt_sources "$root" "$3"
    as_root tar --create --file "$root.tar" --directory "$root" --numeric-owner --sort=name \
        --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' --exclude='./run/*' .
    as_root rm -rf --one-file-system "$root"
}

# What was unpacked before dpkg read the exclusions in root-image/rootfs.
slim_down() {
    as_root find "$1/usr/share/doc" -type f ! -name copyright -delete
    as_root find "$1/usr/share/doc" -type l -delete
    as_root find "$1/usr/share/locale" -type f ! -name locale.alias -delete
    as_root find "$1/usr/share/man" "$1/usr/share/info" -type f -delete
    as_root find "$1/var/lib/apt/lists" "$1/var/cache/apt" "$1/var/log" -type f -delete
}

# Debian 13 with its security updates, where this machine's sources name an archive for them.
write_apt_sources() {
    local security
    security="$(debian_mirror Debian-Security)"
    {
        echo "deb $2 trixie main"
        if [ -n "$security" ]; then echo "deb $security trixie-security main"; fi
    } | as_root tee "$1/etc/apt/sources.list" >/dev/null
}

# build PLATFORM…: all of them into one tag. The tag appears when everything is there, so an interruption leaves none.
build() {
    local work mirror platform list=''
    if ! have debootstrap || [ ! -e /usr/share/keyrings/debian-archive-keyring.gpg ]; then
        as_root apt-get update
        apt_install debootstrap debian-archive-keyring
    fi
    mirror="${DEBIAN_MIRROR:-$(debian_mirror Debian)}"
    if [ -z "$mirror" ]; then
        echo 'The apt sources name no Debian archive: set DEBIAN_MIRROR to one.' >&2
        return 1
    fi
    work="$(mktemp -d "${TMPDIR:-/tmp}/carbon-root-image.XXXXXX")"
    # shellcheck disable=SC2064 # the directory is known now
    trap "clean '$work'" EXIT
    trap 'exit 130' INT TERM
    chmod 755 "$work"
    for platform in "$@"; do
        unpack "$work" "${platform#linux/}" "$mirror"
        list="$list${list:+,}$platform"
    done
    as_root chown -R "$(id -u):$(id -g)" "$work"
    docker buildx build --builder "$(docker context show)" --platform "$list" --provenance=false \
        --file "$PROJECT_DIR/scripts/root-image/Dockerfile" --tag "$ROOT_IMAGE" "$work"
}

# debootstrap mounts proc and sys inside the tree while it works.
clean() {
    local mount
    awk -v work="$1/" 'index($2, work) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mount; do
        as_root umount "$mount"
    done
    as_root rm -rf --one-file-system "$1"
}

can_build() { [ "$ROOT_IMAGE" = "$DEBIAN_IMAGE" ] && ! is_macos && can_apt; }

# ── Commands ─────────────────────────────────────────────────────────────────────────────────────────────────

plan() {
    local platform missing
    missing="$(missing_platforms "$@")"
    for platform in "$@"; do
        if is_foreign "$platform" && ! can_emulate "$platform"; then
            say "QEMU, to run $platform programs on this machine (30 MB to download, 20 s)"
        fi
    done
    for platform in $missing; do
        say "$ROOT_IMAGE for $platform, pulled (30 MB) or built from Debian's packages ($BUILD_TIME)"
    done
}

provide() {
    local platform missing
    for platform in "$@"; do
        if is_foreign "$platform"; then ensure_emulation "$platform"; fi
    done
    missing="$(missing_platforms "$@")"
    [ -z "$missing" ] && return
    # shellcheck disable=SC2086 # one platform a word
    if run_step "Pulling $ROOT_IMAGE" "$0" step pull $missing; then return; fi
    if ! can_build; then
        fail "$ROOT_IMAGE can neither be pulled nor built here (that takes Debian or Ubuntu and root). Load it with 'docker load', or set the stack's rootImage to a copy of it in a registry you can reach."
    fi
    # The tag is replaced, and must not lose the machine's own platform.
    # shellcheck disable=SC2046 # one platform a word
    run_step "Building $ROOT_IMAGE with debootstrap" "$0" step build $(normalized native "$@") ||
        fail "$ROOT_IMAGE could not be built; the reason is above."
}

# "native" stands for the machine's own platform, as in the stack's settings.
normalized() {
    local platform
    [ $# = 0 ] && set -- native
    for platform in "$@"; do
        case "$platform" in
            native) native_platform ;;
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
platforms="$(normalized "$@")"
# shellcheck disable=SC2086 # one platform a word
"$command" $platforms
