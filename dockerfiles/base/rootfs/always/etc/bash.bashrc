# shellcheck shell=bash disable=SC1091
# Debian's file is beside this one (dpkg-divert).
source /usr/local/lib/carbon/shell-environment
source /usr/local/lib/carbon/known-terminal
source /etc/bash.bashrc.distrib
