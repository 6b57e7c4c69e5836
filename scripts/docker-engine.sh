#!/usr/bin/env bash
# Makes sure a Docker Engine answers. One that does is left as it is; whether it fits, `carbon doctor` says.
#
#   scripts/docker-engine.sh plan    says what is missing, changes nothing
#   scripts/docker-engine.sh         installs or starts what is missing
#
# Exit status 3: there is none, and none can be had here.
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

OLDEST_ENGINE=23
# From this version on an engine keeps the neighbours on a network out by itself.
SAFE_ENGINE=28
ENGINE_LOG=/var/log/dockerd.log
NEIGHBOURS_INSTALLED=/usr/local/sbin/carbon-docker-neighbours
TRIXIE_SOURCE=/etc/apt/sources.list.d/carbon-trixie.list
TRIXIE_PIN=/etc/apt/preferences.d/carbon-trixie

# A client may be on PATH with no engine behind it, so the daemon is asked. Sets ENGINE_ERROR where none answers.
ask_engine() {
    local answer
    if ! have docker; then
        ENGINE_ERROR='no docker command'
    elif answer="$(within 15 docker version --format '{{.Server.Version}}' 2>&1)" && [ -n "$answer" ]; then
        return
    else
        ENGINE_ERROR=${answer:-no answer within 15 s}
    fi
    return 1
}

no_engine() { fail "$1, and run this again." "$EXIT_NO_ENGINE"; }

# ── macOS ────────────────────────────────────────────────────────────────────────────────────────────────────

macos_without_engine() {
    if [ ! -d /Applications/Docker.app ] && [ ! -d "$HOME/Applications/Docker.app" ]; then
        no_engine "Docker Desktop is not installed: run 'brew install --cask docker', open it once"
    elif ! pgrep -f com.docker.backend >/dev/null; then
        no_engine "Docker Desktop is not running: run 'open -a Docker'"
    fi
}

# ── Linux ────────────────────────────────────────────────────────────────────────────────────────────────────

# is_running NAME PID_FILE: after a crash or on a restored machine, the number may be another process's by now, and where
# no init collects the dead, a crashed daemon stays a zombie. By /proc: a minimal system has no ps.
is_running() {
    [ -r "$2" ] && awk -v name="$1" '$1 == "Name:" { found = $2 } $1 == "State:" { state = $2 }
        END { exit !(found == name && state != "Z") }' "/proc/$(cat "$2")/status" 2>/dev/null
}
dockerd_runs() { is_running dockerd /var/run/docker.pid; }
has_systemd() { [ -d /run/systemd/system ]; }

# Whether a client is directed at an engine elsewhere: then one installed here would not be asked.
engine_is_elsewhere() {
    [ -n "${DOCKER_HOST:-}" ] || { have docker && [ "$(docker context show)" != default ]; }
}

# A container without privileges cannot run a daemon: it lacks CAP_SYS_ADMIN (21) or CAP_NET_ADMIN (12).
may_run_daemon() {
    local caps
    caps="$(awk '$1 == "CapEff:" { print $2 }' /proc/self/status)"
    [ "$(id -u)" != 0 ] || [ $(((0x$caps >> 21) & (0x$caps >> 12) & 1)) = 1 ]
}

linux_without_engine() {
    case "$ENGINE_ERROR" in *'ermission denied'*)
        no_engine "You may not use the Docker Engine: run 'sudo usermod -aG docker $(id -un)', log in again" ;;
    esac
    if engine_is_elsewhere; then
        no_engine "The Docker Engine that DOCKER_HOST or the docker context names does not answer ($ENGINE_ERROR): start it"
    elif ! can_be_root; then
        no_engine 'No Docker Engine runs here, and this user may not install or start one: have somebody who may install Docker Engine 23 or newer (docs.docker.com/engine/install) or start it'
    elif ! may_run_daemon; then
        no_engine 'A Docker Engine cannot run here, because this container has no privileges (CAP_SYS_ADMIN, CAP_NET_ADMIN): start it with --privileged, or share an engine through DOCKER_HOST'
    elif ! have dockerd && ! have apt-get; then
        no_engine 'No Docker Engine runs here, and only Debian and Ubuntu are set up automatically: install Docker Engine 23 or newer (docs.docker.com/engine/install)'
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
    as_root install -m 644 "$PROJECT_DIR/scripts/docker-engine.pref" "$TRIXIE_PIN"
    printf "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s main\n" "$archive trixie" \
        ${security:+"$security trixie-security"} | as_root tee "$TRIXIE_SOURCE" >/dev/null
    as_root apt-get update
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
        if ! grep -q '^VERSION_CODENAME=bookworm' /etc/os-release; then
            echo "This system's docker.io is older than $OLDEST_ENGINE: install Docker's own packages (docs.docker.com/engine/install)." >&2
            return 1
        fi
        add_trixie_source
    fi
    write_daemon_settings
    # shellcheck disable=SC2046 # package names have no spaces
    apt_install $(engine_packages)
    # The rules themselves follow when the engine runs and has made the chain that they go into.
    if ! version_at_least "$(dockerd --version | awk '{ print $3 }')" "$SAFE_ENGINE"; then
        as_root "$PROJECT_DIR/host/docker-neighbours.sh" install
    fi
}

start_engine() {
    if has_systemd; then
        as_root systemctl enable --now docker
    elif ! dockerd_runs; then
        # Some machines without an init mount no control groups.
        if ! grep -q ' /sys/fs/cgroup' /proc/mounts; then as_root mount -t cgroup2 cgroup2 /sys/fs/cgroup; fi
        as_root rm -f /var/run/docker.pid
        local containerd=/var/run/docker/containerd/containerd.pid
        if ! is_running containerd "$containerd"; then as_root rm -f "$containerd"; fi
        # A session of its own, and none of our files: it outlives this shell and holds no pipe open.
        # shellcheck disable=SC2016 # $0 is the inner shell's
        as_root setsid --fork sh -c 'cd / && exec dockerd </dev/null >"$0" 2>&1' "$ENGINE_LOG"
    fi
    wait_for_engine 60
    # Only where set-up has put them: somebody else's engine is left as it is.
    if [ -x "$NEIGHBOURS_INSTALLED" ]; then as_root "$NEIGHBOURS_INSTALLED" apply; fi
}

# wait_for_engine SECONDS: ends early when the daemon that was started has died. Read from a cold disk, it takes some
# seconds until it is there at all.
wait_for_engine() {
    local start=$SECONDS seen=''
    until ask_engine; do
        if [ "$((SECONDS - start))" -ge "$1" ]; then
            echo "No answer within $1 s: $ENGINE_ERROR" >&2
            return 1
        elif is_macos || has_systemd || dockerd_runs; then
            seen=yes
        elif [ -n "$seen" ] || [ "$((SECONDS - start))" -ge 15 ]; then
            echo 'dockerd ended.' >&2
            return 1
        fi
        sleep 0.5
    done
}

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
    if ask_engine; then return; fi
    if is_macos; then
        macos_without_engine
        say 'Docker Desktop is starting: wait until it answers'
        return
    fi
    linux_without_engine
    if have dockerd; then
        say 'the Docker Engine is installed but not running: start it (5 s)'
    else
        say "Docker Engine, from the distribution's packages (80 MB to download, 350 MB on disk, 1 min)"
    fi
}

provide() {
    if ask_engine; then return; fi
    if is_macos; then
        macos_without_engine
        run_step 'Waiting for Docker Desktop' "$0" step wait_for_engine 180 ||
            fail 'Docker Desktop does not answer: look at its window, and run this again.'
        return
    fi
    linux_without_engine
    if ! have dockerd; then
        run_step 'Installing Docker Engine' "$0" step install_engine ||
            fail 'Docker Engine could not be installed; the reason is above.'
    fi
    run_step 'Starting Docker Engine' "$0" step start_engine || report_failed_start
}

main "$@"
