# shellcheck shell=bash
# What the workspace role needs before its services start. Sourced by carbon-entrypoint, after common.sh.
# shellcheck disable=SC2154 # common.sh names the folders

readonly home=/home/carbon

prepare_workspace() {
    require_secrets_of_services
    map_user "${CARBON_UID:-1000}" "${CARBON_GID:-1000}"
    own_folders
    set_password
    hand_over_secrets
    set_up_certificates
    set_up_clients
    trust_certificates
    write_login_environment
}

# The user's programs need the passwords of all services.
require_secrets_of_services() {
    local names name
    mapfile -t names < <(from_document '.services[]?.secrets // {} | keys[]')
    for name in ssh "${names[@]}"; do
        require_secret workspace "$name"
    done
}

own_folders() {
    local owner
    owner=$(id --user carbon):$(id --group carbon)
    # A home volume of an older image lacks what newer images seed; nothing that is there is touched. A full disk is no
    # reason not to start.
    s6-setuidgid carbon cp --recursive --update=none --no-preserve=ownership /etc/skel/. "$home/" \
        || echo "carbon: not everything of /etc/skel could be copied to $home." >&2
    # Docker makes a missing bind source as root's. A folder with something in it, or read-only, is left alone.
    if [[ $(stat --format=%u /workspace) == 0 && -w /workspace && -z $(ls --almost-all /workspace) ]]; then
        chown --no-dereference "$owner" /workspace
    fi
    # Where the user's own processes put what they make while they run.
    install --directory --owner=carbon --group=carbon --mode=0700 "/run/user/$(id --user carbon)"
}

# The password for SSH and sudo; it reaches chpasswd through a pipe, never a command line.
set_password() {
    printf 'carbon:%s\n' "$(< "$secrets_dir/ssh")" | chpasswd
}

# The user's own copies of the secrets that the user's programs need.
hand_over_secrets() {
    local secret
    chown --recursive -P --no-dereference root:root "$secrets_dir"
    chmod 0700 "$secrets_dir"
    chmod 0400 "$secrets_dir"/*
    rm -rf "$user_secrets_dir"
    install --directory --owner=root --group=carbon --mode=0750 "$user_secrets_dir"
    for secret in "$secrets_dir"/*; do
        if [[ $secret != "$secrets_dir/ssh" ]]; then
            publish "$user_secrets_dir/${secret##*/}" carbon 0440 < "$secret"
        fi
    done
}

# The workspace's own certificate, which RDP needs in any case, and with TLS on those that its clients verify.
set_up_certificates() {
    local others
    mapfile -t others < <(from_document '.services // {} | to_entries[] | select(.key != "workspace" and .value.tls).key')
    publish_certificates carbon workspace "${others[@]}"
    export CARBON_TLS_CERT=$tls_dir/cert.pem CARBON_TLS_KEY=$tls_dir/key.pem
}

# The programs of the workspace that talk to a service log in without a question. What that takes of a start is up to the
# service: the file `client` in its folder.
set_up_clients() {
    local names name
    mapfile -t names < <(from_document '.services // {} | keys[]')
    for name in "${names[@]}"; do
        if [[ -f $services_dir/$name/client ]]; then
            # shellcheck disable=SC1090 # each service has its own
            source "$services_dir/$name/client"
        fi
    done
}

# /run/carbon/ca.pem: certificate authorities of the user's network. Each of these variables replaces what its
# programs trust, so the file that they name holds the usual authorities too.
trust_certificates() {
    local extra=/run/carbon/ca.pem bundle=/run/carbon/ca-bundle.pem name
    if [[ -s $extra ]]; then
        cat /etc/ssl/certs/ca-certificates.crt "$extra" > "$bundle"
        for name in AWS_CA_BUNDLE CURL_CA_BUNDLE GIT_SSL_CAINFO NODE_EXTRA_CA_CERTS PIP_CERT REQUESTS_CA_BUNDLE SSL_CERT_FILE; do
            export "$name=$bundle"
        done
    fi
}

# SSH logins start from a clean environment; pam_env gives them the container's.
write_login_environment() {
    local name
    XDG_RUNTIME_DIR=/run/user/$(id --user carbon)
    export XDG_RUNTIME_DIR
    while IFS= read -r name; do
        case $name in
            HOME | HOSTNAME | LOGNAME | OLDPWD | PWD | SHELL | SHLVL | TERM | USER | _) ;;
            *) [[ ${!name} == *$'\n'* ]] || printf '%s=%s\n' "$name" "${!name}" ;;
        esac
    done < <(compgen -e | sort) > /etc/environment
}
