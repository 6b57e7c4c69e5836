#!/bin/sh
# Keeps the neighbours on a network out of the containers of a Docker Engine older than 28 on Linux.
#
#   host/docker-neighbours.sh          adds the rules now, and at each start of the engine; needs root
#   host/docker-neighbours.sh install  the latter alone
#   host/docker-neighbours.sh apply    the former alone
#   host/docker-neighbours.sh check    status 0: the rules hold; 1: they do not; 4: only root can see it
#
# Before version 28 Docker trusts the network: a machine on the same segment that routes a container's address through
# this one, or sends it a frame for 127.0.0.1, reaches every published port, also those published on 127.0.0.1 alone
# (github.com/moby/moby/issues/45610 and 41872). Rules in the chain DOCKER-USER stay when the engine starts anew.
# The installed copy is root's, runs alone and is plain sh: it does not depend on the folder that it came from.
set -eu

PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"
INSTALLED="${CARBON_NEIGHBOURS_ROOT:-}/usr/local/sbin/carbon-docker-neighbours"
DROP_IN="${CARBON_NEIGHBOURS_ROOT:-}/etc/systemd/system/docker.service.d/carbon-neighbours.conf"
SYSTEMD="${CARBON_NEIGHBOURS_ROOT:-}/run/systemd/system"
CHAIN=DOCKER-USER

# What comes from elsewhere for a container without having been translated by Docker was addressed to the container.
# Docker's bridges are docker0, docker_gwbridge and br-<id>; what comes from one of them is Docker's own to judge.
each_rule() { # COMMAND…: runs it with each rule of one protocol
    "$@" -o docker+ ! -i docker+ -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
    "$@" -o br-+ ! -i br-+ -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
}
# Nothing that was sent to 127.0.0.1 is ever forwarded, unless it came in by the wire. IPv6 refuses ::1 by itself.
each_rule_4() {
    each_rule "$@"
    "$@" -m conntrack --ctorigdst 127.0.0.0/8 -j DROP
}

in_place() { # PROGRAM RULE…
    program=$1
    shift
    "$program" --wait --check "$CHAIN" "$@" 2>/dev/null || return 1
}
ensure() { # PROGRAM RULE…: a rule that is there stays the only one
    in_place "$@" || { shift && "$program" --wait --insert "$CHAIN" "$@"; }
}
# Docker makes the chain for IPv6 only where it filters IPv6.
has_ipv6() { command -v ip6tables >/dev/null && ip6tables --wait --numeric --list "$CHAIN" >/dev/null 2>&1; }

# A bridge that is named like Docker's and is not: the rules would let its neighbours through, and stop its own traffic.
foreign_bridges() {
    for bridge in "${CARBON_NEIGHBOURS_ROOT:-}"/sys/class/net/br-*; do
        case ${bridge##*/} in
            'br-*' | br-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]) ;;
            *) echo "${bridge##*/}" ;;
        esac
    done
}

apply() {
    foreign=$(foreign_bridges)
    if [ -n "$foreign" ]; then
        echo "carbon: no rules against neighbours: $foreign is a bridge of this machine's own. Upgrade Docker to 28." >&2
        return
    fi
    each_rule_4 ensure iptables
    if has_ipv6; then each_rule ensure ip6tables; fi
}

check() {
    # Who put it there had to be root; whether somebody took the rules out again, only root can see.
    if [ "$(id -u)" != 0 ]; then
        if [ -x "$INSTALLED" ]; then return; else return 4; fi
    fi
    [ -z "$(foreign_bridges)" ] || return 1
    each_rule_4 in_place iptables
    if has_ipv6; then each_rule in_place ip6tables; fi
}

install_rules() {
    mkdir -p "$(dirname "$INSTALLED")"
    rm -f "$INSTALLED"
    (umask 022 && cat "$0" >"$INSTALLED")
    chmod 755 "$INSTALLED"
    if [ -d "$SYSTEMD" ]; then
        mkdir -p "$(dirname "$DROP_IN")"
        # The minus: an engine without the rules is better than none, and `carbon doctor` says that they are missing.
        printf '%s\n' '# Written by Carbon: keeps the neighbours on the network out of the containers.' \
            '[Service]' "ExecStartPost=-$INSTALLED apply" >"$DROP_IN"
        systemctl daemon-reload
    fi
}

case "${1:-}" in
    '')
        apply
        install_rules
        ;;
    install) install_rules ;;
    apply | check) "$1" ;;
    *)
        echo 'usage: host/docker-neighbours.sh [install|apply|check]' >&2
        exit 2
        ;;
esac
