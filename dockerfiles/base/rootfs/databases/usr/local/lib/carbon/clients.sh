# shellcheck shell=bash
# What the wrappers of the databases' clients share. Sourced.

# names_service SERVICE HOST: whether HOST is one of the names of the suite's SERVICE on the stack's network.
names_service() {
    local document=/run/carbon/services.json host=${2,,}
    host=${host%.}
    # shellcheck disable=SC2016 # jq's variables
    [[ $host == "$1" ]] || {
        [[ $host == carbon-* && -r $document ]] \
            && jq --exit-status --arg service "$1" --arg host "$host" \
                'any(.services[$service].containers[]?; . == $host)' "$document" > /dev/null
    }
}

# url_host URL: the host of SCHEME://[USER[:PASSWORD]@]HOST[:PORT][/…]; nothing where it has none.
url_host() {
    local rest=${1#*://}
    [[ $1 == *://* ]] || return 0
    rest=${rest%%[/?]*}
    rest=${rest##*@}
    printf '%s' "${rest%:*}"
}
