# shellcheck shell=sh
# For login shells too, which may be neither bash nor zsh: /etc/profile has just reset PATH.
if [ -r /run/carbon/environment ]; then
    # shellcheck source=/dev/null
    . /run/carbon/environment
fi
