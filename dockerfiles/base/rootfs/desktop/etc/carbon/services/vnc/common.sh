# shellcheck shell=bash
# Where the X server speaks VNC by TCP: to everybody, or with TLS on to this machine alone, where xrdp and the health
# check want it; the rest of the world meets vnc-tls then. Sourced by the scripts that need it.

if [[ $CARBON_TLS == on ]]; then
    # shellcheck disable=SC2034 # used by the scripts that source this file
    readonly vnc_port=5901
else
    # shellcheck disable=SC2034
    readonly vnc_port=5900
fi
