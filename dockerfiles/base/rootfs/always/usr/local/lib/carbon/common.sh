# shellcheck shell=bash
# What the entrypoint, the services' scripts and the health check share. Sourced, never run.

# shellcheck disable=SC2034 # used by the scripts that source this file
readonly services_dir=/etc/carbon/services secrets_dir=/run/carbon/secrets user_secrets_dir=/run/carbon/user

# die MESSAGE: says why on stderr and ends the script with 1.
die() {
    printf 'carbon: %s\n' "$1" >&2
    exit 1
}

# require_secret ROLE NAME: dies unless the secret is there and not empty.
require_secret() {
    [[ -s $secrets_dir/$2 ]] || die "$1 refuses to start: its secret $secrets_dir/$2 is missing."
}

# map_user UID GID: gives carbon these ids.
# usermod would walk the whole home volume in each new container; an edit of the two files is at once.
map_user() {
    local uid=$1 gid=$2 id
    for id in "$uid" "$gid"; do
        [[ $id =~ ^[1-9][0-9]{0,9}$ ]] || die "CARBON_UID and CARBON_GID must be numbers above 0, not '$id'."
    done
    sed --in-place --regexp-extended "s/^(carbon:[^:]*):[0-9]+:[0-9]+:/\1:$uid:$gid:/" /etc/passwd
    sed --in-place --regexp-extended "s/^(carbon:[^:]*):[0-9]+:/\1:$gid:/" /etc/group
}

# ensure_certificate FOLDER OWNER NAME...: a self-signed certificate for the host NAMEs and localhost, cert.pem and
# key.pem in FOLDER; the key is for OWNER alone. Made when there is none, or less than 30 days of it are left.
ensure_certificate() {
    local folder=$1 owner=$2 names name
    shift 2
    names=DNS:localhost,IP:127.0.0.1
    for name in "$@"; do
        names+=,DNS:$name
    done
    install --directory --mode=0755 "$folder"
    if ! [[ -s $folder/cert.pem && -s $folder/key.pem ]] \
        || ! openssl x509 -in "$folder/cert.pem" -noout -checkend $((30 * 24 * 3600)) > /dev/null; then
        (
            umask 0077
            # In one step, req would write a line of dashes into the log.
            openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$folder/key.pem"
            openssl req -x509 -key "$folder/key.pem" -days 825 -subj "/CN=${1:-localhost}" \
                -addext "subjectAltName=$names" -out "$folder/cert.pem"
        )
    fi
    chown "$owner:" "$folder/cert.pem" "$folder/key.pem"
    chmod 0444 "$folder/cert.pem"
    chmod 0400 "$folder/key.pem"
}

# greeting PORT [LINE]: the first 12 characters that the server on this machine's PORT sends within 3 s, to a client
# that first sends LINE.
greeting() {
    local answer=
    exec 3<> "/dev/tcp/127.0.0.1/$1"
    if (($# > 1)); then
        printf '%s\r\n' "$2" >&3
    fi
    IFS= read -r -t 3 -n 12 answer <&3
    exec 3>&-
    printf '%s' "$answer"
}
