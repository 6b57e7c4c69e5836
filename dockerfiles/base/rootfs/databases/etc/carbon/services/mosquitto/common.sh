# shellcheck shell=bash
# Where Mosquitto's data and configuration lie. Sourced by the scripts beside it.

# shellcheck disable=SC2034 # used by the scripts that source this file
readonly volume=/var/lib/mosquitto configuration=/run/carbon/mosquitto
