# shellcheck shell=bash
# What a container is told of the place where it runs: its time zone, the certificate authorities of its network, and a
# GPU that is passed in.
# Sourced by carbon-entrypoint, for each role.

# set_time_zone: makes the zone that TZ names the one of programs, too, that are started without the variable. Programs
# take a name that they do not know for UTC without a word, or refuse to start.
set_time_zone() {
    local zones=/usr/share/zoneinfo
    if [[ -z ${TZ:-} ]]; then
        return
    fi
    if [[ ! $TZ =~ ^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$ || ! -f $zones/$TZ ]]; then
        printf 'carbon: the time zone %q is not in the tz database; it is UTC here.\n' "$TZ" >&2
        export TZ=Etc/UTC
    fi
    ln --symbolic --force --no-dereference "$zones/$TZ" /etc/localtime
    echo "$TZ" > /etc/timezone
}

# trust_authorities: /run/carbon/ca.pem holds certificate authorities that are trusted besides the usual ones. What asks
# the system, Java included, finds them there; browsers by a policy; the variables are for programs that bring authorities
# of their own.
trust_authorities() {
    local given=/run/carbon/ca.pem folder=/usr/local/share/ca-certificates/carbon bundle=/etc/ssl/certs/ca-certificates.crt name said
    if [[ ! -s $given ]]; then
        return
    fi
    rm -rf "$folder"
    mkdir --parents "$folder"
    # One to a file, and none twice, as update-ca-certificates wants them.
    awk -v folder="$folder" '/-BEGIN CERTIFICATE-/ { inside = 1; text = "" }
        inside { text = text $0 "\n" }
        /-END CERTIFICATE-/ { inside = 0 }
        /-END CERTIFICATE-/ && !seen[text]++ { file = folder "/" ++count ".crt"; printf "%s", text > file; close(file) }' "$given"
    # It has warnings even where all is well.
    said=$(update-ca-certificates 2>&1) || die "$given cannot be trusted: $said"
    trust_in_browsers "$folder"
    for name in AWS_CA_BUNDLE CURL_CA_BUNDLE GRPC_DEFAULT_SSL_ROOTS_FILE_PATH HTTPLIB2_CA_CERTS PIP_CERT REQUESTS_CA_BUNDLE \
        SSL_CERT_FILE; do
        export "$name=$bundle"
    done
    # These add to what their programs bring.
    export NODE_EXTRA_CA_CERTS=$given DENO_TLS_CA_STORE=mozilla,system
}

# join_device_groups: carbon belongs to the groups of the devices in /dev/dri, whose numbers are those of the machine that
# has them, so that its programs may open them. What everybody may open needs no group, and groups that give more than a
# device are not joined for one.
join_device_groups() {
    local folder=${1:-/dev/dri} device gid name
    for device in "$folder"/*; do
        if [[ ! -c $device ]] || (($(stat --format=0%a "$device") & 0006)); then
            continue
        fi
        gid=$(stat --format=%g "$device")
        name=$(getent group "$gid" | cut --delimiter=: --fields=1)
        case $name in
            disk | nogroup | root | shadow)
                echo "carbon: $device is for the group $name alone: the user's programs cannot open it." >&2
                continue
                ;;
            '')
                name=gpu-$gid
                groupadd --gid "$gid" "$name"
                ;;
        esac
        usermod --append --groups "$name" carbon
    done
}

# trust_in_browsers FOLDER: by their policies, where the image has them.
# https://chromeenterprise.google/policies/#CACertificates, https://mozilla.github.io/policy-templates/#certificates--install
trust_in_browsers() {
    local folder=$1 file chromium=/etc/chromium/policies/managed firefox=/etc/firefox/policies/policies.json policies
    if [[ -d /etc/chromium ]]; then
        mkdir --parents "$chromium"
        for file in "$folder"/*.crt; do
            openssl x509 -in "$file" -outform DER | base64 --wrap=0
            echo
        done | jq --raw-input --slurp '{CACertificates: split("\n")[:-1]}' > "$chromium/carbon-authorities.json"
    fi
    if [[ -f $firefox ]]; then
        policies=$(jq '.policies.Certificates.Install = $ARGS.positional' "$firefox" --args "$folder"/*.crt)
        printf '%s\n' "$policies" > "$firefox"
    fi
}
