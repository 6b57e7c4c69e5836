# shellcheck shell=bash
# Where PostgreSQL's data lie, and how its programs are run. Sourced by the scripts beside it.
# One folder per major version, so that a newer image never touches data that it cannot read.

# shellcheck disable=SC2034 # used by the scripts that source this file
readonly version=17 volume=/var/lib/postgresql/data
readonly data=$volume/$version
# shellcheck disable=SC2034
readonly bin=/usr/lib/postgresql/$version/bin
# Locales that were made for databases from elsewhere (postgres-locale). In the volume, as no such database opens without.
# shellcheck disable=SC2034
readonly locales=$volume/locales
