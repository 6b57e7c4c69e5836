#!/usr/bin/env bash
# Makes sure a Docker Engine answers that can build and run Carbon.
#
#   scripts/docker-engine.sh plan    says what is missing, changes nothing
#   scripts/docker-engine.sh         installs or starts what is missing
#   scripts/docker-engine.sh advise  says what an engine that works is not safe from
#
# An engine that answers is never changed, only checked. Exit status 3: there is none and none can be had here.
# Works with macOS's bash 3.2.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

OLDEST_ENGINE=23
ENGINE_LOG=/var/log/dockerd.log
START_SECONDS=60
DESKTOP_START_SECONDS=180
SAFE_ENGINE=28
NEIGHBOURS=scripts/docker-neighbours.sh
NEIGHBOURS_INSTALLED=/usr/local/sbin/carbon-docker-neighbours
TRIXIE_SOURCE=/etc/apt/sources.list.d/carbon-trixie.sources
TRIXIE_PIN=/etc/apt/preferences.d/carbon-trixie

# Sets ENGINE_VERSION, or ENGINE_ERROR. A client may be on PATH with no engine behind it, so the daemon is asked.
ask_engine() {
    ENGINE_VERSION='' ENGINE_ERROR=''
    if ! have docker; then
        ENGINE_ERROR='no docker command'
        return 1
    fi
    local answer
    if answer="$(within 15 docker version --format '{{.Server.Version}}' 2>&1)" && [ -n "$answer" ]; then
        ENGINE_VERSION=$answer
    else
        ENGINE_ERROR=${answer:-no answer within 15 s}
        return 1
    fi
}

# Checks the engine that answered; one sentence for each thing it lacks.
check_engine() {
    local problems=0
    if ! version_at_least "$ENGINE_VERSION" "$OLDEST_ENGINE"; then
        warn "Docker Engine $ENGINE_VERSION is too old: Carbon needs $OLDEST_ENGINE or newer. Upgrade it and run this again."
        problems=1
    fi
    if ! docker buildx version >/dev/null 2>&1; then
        warn "The docker command has no buildx plugin. $(is_macos && echo 'Update Docker Desktop' ||
            echo 'Install the package docker-buildx (Debian, Ubuntu) or docker-buildx-plugin (Docker)'), then run this again."
        problems=1
    fi
    if ! docker info --format '{{json .DriverStatus}}' | grep -q 'io.containerd.snapshotter'; then
        warn "The engine does not use the containerd image store. $(is_macos &&
            echo 'Docker Desktop → Settings → General → "Use containerd for pulling and storing images"' ||
            echo 'Put {"features": {"containerd-snapshotter": true}} into /etc/docker/daemon.json and restart Docker'), then run this again."
        problems=1
    fi
    [ "$problems" = 0 ]
}

# Docker Desktop gives its virtual machine a fixed share of the Mac's memory.
advise_memory() {
    local bytes
    bytes="$(docker info --format '{{.MemTotal}}')"
    if [ $((bytes / 1000000)) -lt 7500 ]; then
        warn "The engine has $((bytes / 1000000000)) GB of memory; 8 GB or more is recommended (Docker Desktop → Settings → Resources)."
    fi
}

# Before version 28 the machines on the same network segment reach ports that are published on 127.0.0.1. Docker
# Desktop's engine is in a machine of its own, and a rootless one has no address that could be routed.
trusts_neighbours() {
    ! is_macos && ! engine_is_elsewhere && ! version_at_least "$ENGINE_VERSION" "$SAFE_ENGINE" &&
        ! docker info --format '{{.OperatingSystem}} {{json .SecurityOptions}}' | grep -qE 'Docker Desktop|name=rootless'
}

advise_neighbours() {
    if trusts_neighbours && ! "$PROJECT_DIR/$NEIGHBOURS" check; then
        warn "Docker Engine $ENGINE_VERSION lets machines on the same network segment reach the containers' ports, also those on 127.0.0.1. Upgrade it to $SAFE_ENGINE, or add the rules that docs/troubleshooting.md has."
    fi
}

# ── macOS ────────────────────────────────────────────────────────────────────────────────────────────────────

desktop_installed() { [ -d /Applications/Docker.app ] || [ -d "$HOME/Applications/Docker.app" ]; }
desktop_starting() { pgrep -f com.docker.backend >/dev/null; }

macos_without_engine() {
    if ! desktop_installed; then
        fail "Docker Desktop is not installed: run 'brew install --cask docker', open it once, and run this again." "$EXIT_NO_ENGINE"
    elif ! desktop_starting; then
        fail "Docker Desktop is not running: run 'open -a Docker' and run this again." "$EXIT_NO_ENGINE"
    fi
}

# ── Linux ────────────────────────────────────────────────────────────────────────────────────────────────────

# is_alive PID NAME, is_running NAME: by /proc, because a minimal system has neither ps nor pgrep. Where no init
# collects the dead, a crashed daemon stays in the process table as a zombie.
is_alive() {
    [ -r "/proc/$1/status" ] && awk -v name="$2" '$1 == "Name:" { found = $2 } $1 == "State:" { state = $2 }
        END { exit !(found == name && state != "Z") }' "/proc/$1/status"
}
is_running() {
    local pid
    while read -r pid; do
        if is_alive "$pid" "$1"; then return 0; fi
    done < <(grep -lsx "$1" /proc/[0-9]*/comm | cut -d/ -f3)
    return 1
}
has_systemd() { [ -d /run/systemd/system ]; }
is_debian_12() { grep -q '^VERSION_CODENAME=bookworm' /etc/os-release; }

# Whether a client is directed at an engine elsewhere: then one installed here would not be asked.
engine_is_elsewhere() {
    [ -n "${DOCKER_HOST:-}" ] || { have docker && [ "$(docker context show)" != default ]; }
}

# A container without privileges cannot run a daemon: it lacks CAP_SYS_ADMIN (21) or CAP_NET_ADMIN (12).
may_run_daemon() {
    [ "$(id -u)" != 0 ] && return 0
    local caps
    caps="$(awk '$1 == "CapEff:" { print $2 }' /proc/self/status)"
    [ $(((0x$caps >> 21) & (0x$caps >> 12) & 1)) = 1 ]
}

# Ends with status 3 where no engine can be had.
linux_without_engine() {
    case "$ENGINE_ERROR" in
        *'ermission denied'*)
            fail "You may not use the Docker Engine: run 'sudo usermod -aG docker $(id -un)', log in again, and run this again." "$EXIT_NO_ENGINE"
            ;;
    esac
    if engine_is_elsewhere; then
        fail "The Docker Engine that DOCKER_HOST or the docker context names does not answer: $ENGINE_ERROR" "$EXIT_NO_ENGINE"
    elif ! can_be_root; then
        fail "No Docker Engine runs here, and this user may not install or start one: have somebody who may install Docker Engine 23 or newer (docs.docker.com/engine/install) or start it, and run this again." "$EXIT_NO_ENGINE"
    elif ! may_run_daemon; then
        fail 'A Docker Engine cannot run here: this container has no privileges (CAP_SYS_ADMIN, CAP_NET_ADMIN). Start it with --privileged, or share an engine through DOCKER_HOST.' "$EXIT_NO_ENGINE"
    elif ! have dockerd && ! have apt-get; then
        fail 'No Docker Engine runs here, and only Debian and Ubuntu are set up automatically: install Docker Engine 23 or newer (docs.docker.com/engine/install) and run this again.' "$EXIT_NO_ENGINE"
    fi
}

# The engine's settings, where the machine has none yet: images of several platforms need the containerd store,
# and an unlimited build cache fills the disk: it keeps a third of what is free, 10 GB at least and 40 GB at most.
# Written before the package is installed, which may start the engine.
write_daemon_settings() {
    [ -e /etc/docker/daemon.json ] && return
    local keep=$(($(free_gb /var/lib) / 3))
    if [ "$keep" -lt 10 ]; then keep=10; elif [ "$keep" -gt 40 ]; then keep=40; fi
    as_root mkdir -p /etc/docker
    as_root tee /etc/docker/daemon.json >/dev/null <<JSON
{
  "features": { "containerd-snapshotter": true },
  "builder": { "gc": { "enabled": true, "defaultKeepStorage": "${keep}GB" } }
}
JSON
}

# Debian 12's own engine is too old. Debian 13's runs on it: from a source with so low a priority (50) that apt takes
# from it only what is asked for by name, or what has no other source.
add_trixie_source() {
    local archive security
    archive="$(debian_mirror Debian)"
    security="$(debian_mirror Debian-Security)"
    if [ -z "$archive" ]; then
        echo 'The apt sources name no Debian archive.' >&2
        return 1
    fi
    # The priority first: if this is interrupted, no source is left that could upgrade the whole system.
    as_root tee "$TRIXIE_PIN" >/dev/null <<'PIN'
# Written by Carbon: nothing comes from Debian 13 but the Docker Engine, which then gets its updates from there.
Package: *
Pin: release n=trixie*
Pin-Priority: 50

Package: docker.io docker-cli docker-buildx containerd
Pin: release n=trixie*
Pin-Priority: 990
PIN
    {
        trixie_source "$archive" trixie
        if [ -n "$security" ]; then trixie_source "$security" trixie-security; fi
    } | as_root tee "$TRIXIE_SOURCE" >/dev/null
    as_root apt-get update
}

trixie_source() {
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$1" "$2"
    printf 'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n'
}

# Ubuntu's docker.io contains the client; Debian's is a package of its own.
engine_packages() {
    local name
    for name in docker.io docker-cli docker-buildx iptables; do
        if [ -n "$(apt_candidate "$name")" ]; then echo "$name"; fi
    done
    # Pulls need certificates. Where there are some, they stay: an upgrade would undo additions made by hand.
    if [ ! -e /etc/ssl/certs/ca-certificates.crt ]; then echo ca-certificates; fi
}

install_engine() {
    as_root apt-get update
    if ! version_at_least "$(apt_candidate docker.io)" "$OLDEST_ENGINE"; then
        if ! is_debian_12; then
            echo "This system's docker.io is older than $OLDEST_ENGINE: install Docker's own packages (docs.docker.com/engine/install)." >&2
            return 1
        fi
        add_trixie_source
    fi
    write_daemon_settings
    # shellcheck disable=SC2046 # package names have no spaces
    apt_install $(engine_packages)
    ENGINE_VERSION="$(dockerd --version | awk '{ print $3 }')"
    # The rules themselves follow when the engine runs and has made the chain that they go into.
    if ! version_at_least "$ENGINE_VERSION" "$SAFE_ENGINE"; then as_root "$PROJECT_DIR/$NEIGHBOURS" install; fi
}

# Some machines without an init mount no control groups.
mount_cgroups() {
    if ! grep -q ' /sys/fs/cgroup' /proc/mounts; then
        as_root mount -t cgroup2 cgroup2 /sys/fs/cgroup
    fi
}

# remove_stale_pid FILE NAME: after a crash or on a restored machine, the number may be another process's by now.
remove_stale_pid() {
    if [ -e "$1" ] && ! is_alive "$(cat "$1")" "$2"; then
        as_root rm -f "$1"
    fi
}

start_engine() {
    if has_systemd; then
        as_root systemctl enable --now docker
    elif ! is_running dockerd; then
        mount_cgroups
        remove_stale_pid /var/run/docker.pid dockerd
        remove_stale_pid /var/run/docker/containerd/containerd.pid containerd
        # A session of its own, and none of our files: it outlives this shell and holds no pipe open.
        # shellcheck disable=SC2016 # $0 is the inner shell's
        as_root setsid --fork sh -c 'exec dockerd </dev/null >"$0" 2>&1' "$ENGINE_LOG"
    fi
    wait_for_engine "$START_SECONDS"
    # Only where set-up has put them: somebody else's engine is left as it is.
    if [ -x "$NEIGHBOURS_INSTALLED" ]; then as_root "$NEIGHBOURS_INSTALLED" apply; fi
}

# wait_for_engine SECONDS: ends early when the daemon that was started has died.
wait_for_engine() {
    local deadline=$((SECONDS + $1))
    until ask_engine; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "No answer within $1 s: $ENGINE_ERROR" >&2
            return 1
        elif ! is_macos && ! has_systemd && ! still_running; then
            echo 'dockerd ended.' >&2
            return 1
        fi
        sleep 0.5
    done
}

# Gives a daemon that was forked a moment ago time to show up in the process table.
still_running() { is_running dockerd || { sleep 1 && is_running dockerd; }; }

# What the kernel or the container refused; anything else in the log is a fault to be mended, not a limit.
KERNEL_LIMITS='operation not permitted|iptables.*(not supported|does not exist|Permission denied)|overlay.*(not supported|no such device)|cgroup.*(not mounted|isn.t mounted)|cgroups: cgroup mountpoint does not exist'

report_failed_start() {
    if has_systemd; then
        as_root journalctl --no-pager --lines 15 --unit docker >&2
    elif [ -e "$ENGINE_LOG" ]; then
        warn "The end of $ENGINE_LOG:"
        tail -n 15 "$ENGINE_LOG" | sed 's/^/    /' >&2
        if grep -qiE "$KERNEL_LIMITS" "$ENGINE_LOG"; then
            fail "A Docker Engine cannot run here: $(grep -iE "$KERNEL_LIMITS" "$ENGINE_LOG" | tail -n 1)" "$EXIT_NO_ENGINE"
        fi
    fi
    fail 'The Docker Engine did not start; its log is above.'
}

# ── Commands ─────────────────────────────────────────────────────────────────────────────────────────────────

plan() {
    if ask_engine; then
        check_engine
    elif is_macos; then
        macos_without_engine
        say 'Docker Desktop is starting: wait until it answers'
    else
        linux_without_engine
        if have dockerd; then
            say 'the Docker Engine is installed but not running: start it (5 s)'
        else
            say "Docker Engine, from the distribution's packages (80 MB to download, 350 MB on disk, 1 min)"
        fi
    fi
}

provide() {
    if ! ask_engine; then
        if is_macos; then
            macos_without_engine
            run_step 'Waiting for Docker Desktop' "$0" step wait_for_engine "$DESKTOP_START_SECONDS" ||
                fail 'Docker Desktop does not answer: look at its window, and run this again.'
        else
            linux_without_engine
            if ! have dockerd; then
                run_step 'Installing Docker Engine' "$0" step install_engine ||
                    fail 'Docker Engine could not be installed; the reason is above.'
            fi
            run_step 'Starting Docker Engine' "$0" step start_engine || report_failed_start
        fi
        ask_engine || fail "The Docker Engine does not answer: $ENGINE_ERROR"
    fi
    check_engine
    advise_memory
}

# advise: about an engine that works.
advise() {
    if ask_engine; then advise_neighbours; fi
}

case "${1:-}" in
    plan) plan ;;
    advise) advise ;;
    step) shift && "$@" ;; # see run_step
    '') provide ;;
    *) fail 'usage: scripts/docker-engine.sh [plan|advise]' 2 ;;
esac
