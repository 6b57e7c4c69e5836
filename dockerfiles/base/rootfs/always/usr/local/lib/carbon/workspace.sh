# shellcheck shell=bash
# What the workspace role needs before its services start. Sourced by carbon-entrypoint, after common.sh.
# shellcheck disable=SC2154 # common.sh names the folders

# shellcheck source=dockerfiles/base/rootfs/always/usr/local/lib/carbon/user-environment.sh
source /usr/local/lib/carbon/user-environment.sh

readonly home=/home/carbon

prepare_workspace() {
    require_secrets_of_services
    map_user "${CARBON_UID:-1000}" "${CARBON_GID:-1000}"
    own_folders
    make_package_folders
    set_password
    hand_over_secrets
    set_up_certificates
    set_up_clients
    name_app_ports
    export PYTHONUSERBASE=${carbon_python:?}
    XDG_RUNTIME_DIR=/run/user/$(id --user carbon)
    export XDG_RUNTIME_DIR
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
    give_back_home
    # Docker makes a missing bind source as root's. A folder with something in it, or read-only, is left alone.
    if [[ $(stat --format=%u /workspace) == 0 && -w /workspace && -z $(ls --almost-all /workspace) ]]; then
        chown --no-dereference "$owner" /workspace
    fi
    # Where the user's own processes put what they make while they run.
    install --directory --owner=carbon --group=carbon --mode=0700 "/run/user/$(id --user carbon)"
}

# What somebody has made in the home as root is the user's: in the volume alone, where no hard link leads elsewhere.
give_back_home() {
    if mountpoint --quiet "$home"; then
        chown --recursive -P --no-dereference --from=root carbon: "$home"
    fi
}

# Where installers put packages for Python and R: a virtual environment, and the library that R uses where it is there.
make_package_folders() {
    local version platform
    if [[ -x /usr/bin/python3 ]]; then
        s6-setuidgid carbon /usr/local/lib/carbon/python-environment \
            || echo "carbon: $carbon_python could not be made: Python has the image's packages alone." >&2
    fi
    if [[ -f /usr/lib/R/library/base/DESCRIPTION ]]; then
        version=$(sed --quiet 's/^Version: \([0-9]*\.[0-9]*\).*/\1/p' /usr/lib/R/library/base/DESCRIPTION)
        platform=$(sed --quiet "s/^R_PLATFORM=.*'\(.*\)'}$/\1/p" /etc/R/Renviron)
        s6-setuidgid carbon mkdir --parents "$home/R/$platform-library/$version" \
            || echo "carbon: $home/R could not be made: R has the image's packages alone." >&2
    fi
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

# What starts from a clean environment gets the container's: shells by a file that they source (shell-environment), other
# programs of a login as far as pam_env's format can say it. Both may hold passwords. Root is given nothing that leads
# into the user's folders.
write_login_environment() {
    local name value
    {
        printf 'if [ -O / ]; then\n    export PATH=%s\nelse\n    export PATH=%s\nfi\n' \
            "$(quoted "$carbon_image_folders")" "$(quoted "$carbon_path")"
        # shellcheck disable=SC2016 # the reader's
        printf '[ -z "${CARBON_ENVIRONMENT-}" ] || return 0\nexport CARBON_ENVIRONMENT=1\n'
        while IFS= read -r name; do
            value=${!name}
            if [[ $name == PATH ]]; then
                continue
            elif [[ $value == *"$home"* || $value == */workspace* ]]; then
                printf '[ -O / ] || '
            fi
            # What `docker exec --env` sets stays.
            # shellcheck disable=SC2016
            printf '[ -n "${%s+set}" ] || export %s=%s\n' "$name" "$name" "$(quoted "$value")"
        done < <(login_variables)
    } | publish /run/carbon/environment carbon 0440
    while IFS= read -r name; do
        value=${!name}
        if [[ $value == "${value//[^A-Za-z0-9 .,:;\/@%^+=_~!?&*()<>|-]/}" && $value != [[:space:]]* && $value != *[[:space:]] ]]; then
            printf '%s=%s\n' "$name" "$value"
        fi
    done < <(login_variables) | publish /etc/environment carbon 0640
    export CARBON_ENVIRONMENT=1
}

# The names of the variables that a login is to have, one a line.
login_variables() {
    compgen -e | grep --invert-match --extended-regexp --line-regexp \
        'BASH_ENV|CARBON_ENVIRONMENT|HOME|HOSTNAME|LOGNAME|OLDPWD|PWD|SHELL|SHLVL|TERM|USER|_' | sort
}

# quoted TEXT: TEXT as one word for any shell.
quoted() {
    printf "'%s'" "${1//\'/\'\\\'\'}"
}

# Programs that serve pages print an address, and take a variable for its port: so that it is the one that opens on the
# user's machine, where a port offset makes that another. Flask's and MLflow's own, 5000, is never it: on a Mac AirPlay has
# that port. A program that finds its port busy says so, or takes the next one, as ever.
name_app_ports() {
    local name port host
    local -A published
    while read -r port host; do
        published[$port]=$host
    done < <(from_document '.appPorts[]? | "\(.port) \(.published)"')
    while read -r name port; do
        host=${published[$port]:-}
        if [[ -n $host && ($host != "$port" || $port == 5001) && -z ${!name:-} ]]; then
            export "$name=$host"
        fi
    done << 'END'
FLASK_RUN_PORT 5001
GRADIO_SERVER_PORT 7860
MLFLOW_PORT 5001
PORT 8050
STREAMLIT_SERVER_PORT 8501
UVICORN_PORT 8000
END
}
