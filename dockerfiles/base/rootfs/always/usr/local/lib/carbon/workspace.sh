# shellcheck shell=bash
# What the workspace role needs before its services start. Sourced by carbon-entrypoint, after common.sh.
# shellcheck disable=SC2154 # common.sh names the folders

readonly home=/home/carbon
readonly kept=$home/.carbon # host keys and certificates, kept in the home volume; root's

prepare_workspace() {
    require_secret workspace ssh
    map_user "${CARBON_UID:-1000}" "${CARBON_GID:-1000}"
    own_folders
    set_password
    hand_over_secrets
    prepare_kept_folder
    set_up_clients
    trust_certificates
    write_login_environment
}

own_folders() {
    local owner
    owner=$(id --user carbon):$(id --group carbon)
    if [[ $(stat --format=%u:%g "$home") != "$owner" ]]; then
        # The home itself comes last, so that an interrupted start begins anew.
        find "$home" -mindepth 1 -maxdepth 1 -exec chown --recursive --no-dereference "$owner" {} +
        chown "$owner" "$home"
    fi
    # A home volume of an older image lacks what newer images seed; nothing that is there is touched.
    s6-setuidgid carbon cp --recursive --update=none --no-preserve=ownership /etc/skel/. "$home/"
    # Docker makes a missing bind source as root's. A folder with something in it, or read-only, is left alone.
    if [[ $(stat --format=%u /workspace) == 0 && -w /workspace && -z $(ls --almost-all /workspace) ]]; then
        chown "$owner" /workspace
    fi
    install --directory --owner=carbon --group=carbon --mode=0700 "/run/user/$(id --user carbon)"
}

# The password for SSH and sudo; it reaches chpasswd through a pipe, never a command line.
set_password() {
    printf 'carbon:%s\n' "$(< "$secrets_dir/ssh")" | chpasswd
}

# The user's own copies of the secrets that the user's programs need.
hand_over_secrets() {
    local secret
    chown --recursive root: "$secrets_dir"
    chmod 0700 "$secrets_dir"
    chmod 0400 "$secrets_dir"/*
    rm -rf "$user_secrets_dir"
    install --directory --owner=carbon --group=carbon --mode=0700 "$user_secrets_dir"
    for secret in "$secrets_dir"/*; do
        if [[ $secret != "$secrets_dir/ssh" ]]; then
            install --owner=carbon --group=carbon --mode=0400 "$secret" "$user_secrets_dir/"
        fi
    done
}

prepare_kept_folder() {
    if [[ -L $kept ]]; then
        rm "$kept" # carbon owns the folder around it: never follow where root writes
    fi
    install --directory --owner=root --group=root --mode=0755 "$kept"
    if [[ $CARBON_TLS == on ]]; then
        ensure_certificate "$kept/tls" carbon workspace "$(hostname)"
        export CARBON_TLS_CERT=$kept/tls/cert.pem CARBON_TLS_KEY=$kept/tls/key.pem
    fi
}

# psql, redis-cli and mosquitto_pub log in without a question: psql by its password file, the others by our wrappers.
set_up_clients() {
    local service
    for service in ${CARBON_SERVICES:-}; do
        require_service_secret "$service"
        case $service in
            postgres) set_up_psql ;;
            mosquitto) set_up_mosquitto_clients ;;
            spark-master) set_up_spark ;;
        esac
    done
}

require_service_secret() {
    case $1 in
        ollama | spark-worker) ;; # Ollama has no login, and nobody logs in to a worker
        spark-master) require_secret workspace spark ;;
        *) require_secret workspace "$1" ;;
    esac
}

set_up_psql() {
    export PGHOST=postgres PGUSER=carbon PGDATABASE=carbon PGPASSFILE=$user_secrets_dir/pgpass
    (
        umask 0377
        printf 'postgres:*:*:carbon:%s\n' "$(< "$secrets_dir/postgres")" > "$PGPASSFILE"
        chown carbon: "$PGPASSFILE"
    )
    # Also for what starts without the login environment, unless the user keeps a file there.
    if [[ ! -e $home/.pgpass || -L $home/.pgpass ]]; then
        s6-setuidgid carbon ln --symbolic --force "$PGPASSFILE" "$home/.pgpass"
    fi
}

# The clients read options from a file that is named like them; the wrapper points them at this folder.
set_up_mosquitto_clients() {
    local folder=$user_secrets_dir/mqtt program
    install --directory --owner=carbon --group=carbon --mode=0700 "$folder"
    for program in mosquitto_pub mosquitto_rr mosquitto_sub; do
        (
            umask 0377
            printf '%s\n' '-u carbon' "-P $(< "$secrets_dir/mosquitto")" > "$folder/$program"
            chown carbon: "$folder/$program"
        )
    done
}

# Where the image has PySpark, its sessions find the cluster.
set_up_spark() {
    local driver=/usr/local/lib/carbon/spark-driver
    if [[ -x $driver ]]; then
        export SPARK_CONF_DIR=/run/carbon/spark
        "$driver" || die "workspace cannot start: preparing Spark failed."
    fi
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
