# shellcheck shell=bash
# What the entrypoint, the services' scripts and the health check share. Sourced, never run.

# Root's rule, for every script that runs as root: it neither reads, writes, owns nor deletes through a path of which any
# part belongs to somebody else. Who owns a folder can put a link to anywhere into it. What root writes for a user stays
# root's and is made anew, readable by the user's group; work in a user's own folders is done as that user, by
# s6-setuidgid.

# shellcheck disable=SC2034 # used by the scripts that source this file
readonly services_dir=/etc/carbon/services secrets_dir=/run/carbon/secrets user_secrets_dir=/run/carbon/user
# keys_dir: a volume of the stack's own, for root alone. tls_dir: copies of what its services' users read of it.
# shellcheck disable=SC2034
readonly keys_dir=/var/lib/carbon/keys tls_dir=/run/carbon/tls

# The program that deploys the stack writes this document: what runs in it, and where. catalogue/ describes its fields.
# An image that was started by hand has none, and so no TLS and no other services.
readonly document=/run/carbon/services.json

# from_document FILTER [OPTION...]: what jq's FILTER prints of the document, which is `{}` where it is missing.
from_document() {
    local filter=$1 file=$document
    shift
    [[ -f $file ]] || file=/dev/stdin
    jq --raw-output "$@" "$filter" "$file" <<< '{}' || die "$document cannot be read."
}

# tls_setting: `on` where the stack's services speak TLS, else `off`.
tls_setting() {
    from_document 'if .tls then "on" else "off" end'
}

# die MESSAGE: says why on stderr and ends the script with 1.
die() {
    printf 'carbon: %s\n' "$1" >&2
    exit 1
}

# require_secret ROLE NAME: dies unless the secret is there and not empty.
require_secret() {
    [[ -s $secrets_dir/$2 ]] || die "$1 refuses to start: its secret $secrets_dir/$2 is missing."
}

# map_user UID GID: gives carbon these ids, and its home with them.
# usermod would walk the whole home volume in each new container; an edit of the two files is at once.
map_user() {
    local uid=$1 gid=$2 id
    for id in "$uid" "$gid"; do
        [[ $id =~ ^[1-9][0-9]{0,9}$ ]] || die "CARBON_UID and CARBON_GID must be numbers above 0, not '$id'."
    done
    # In front: where the ids are also those of a user or group of the image (20 is a Mac's staff and Debian's dialout),
    # whoever looks them up finds carbon.
    carbon_first /etc/passwd "s/^(carbon:[^:]*):[0-9]+:[0-9]+:/\1:$uid:$gid:/"
    carbon_first /etc/group "s/^(carbon:[^:]*):[0-9]+:/\1:$gid:/"
    own_volume /home/carbon carbon
}

# carbon_first FILE EDIT: sed's EDIT of carbon's line in /etc/passwd or /etc/group, which becomes the first.
carbon_first() {
    {
        grep '^carbon:' "$1" | sed --regexp-extended "$2"
        grep --invert-match '^carbon:' "$1"
    } > "$1.new"
    chmod --reference="$1" "$1.new"
    mv "$1.new" "$1"
}

# export_environment: exports the variables that the user has set for the stack, and those of a proxy. The entry point
# does it last, so that what root runs at the start depends on none of them.
export_environment() {
    local file=/run/carbon/environment.json name value
    [[ -e $file ]] || return 0
    # jq would quote the file, which holds secrets.
    jq --exit-status 'type == "object" and all(keys_unsorted[]; test("^[A-Za-z_][A-Za-z0-9_]*$"))
        and all(.[]; type == "string" and (contains("\u0000") | not))' "$file" > /dev/null 2>&1 \
        || die "$file is no JSON object of texts by variables' names."
    while IFS= read -r -d '' name && IFS= read -r -d '' value; do
        export "$name=$value" || die "$file has $name, which cannot be set."
    done < <(jq --raw-output0 'to_entries[] | .key, .value' "$file")
}

# publish PATH USER MODE: stdin as the new file PATH in a folder of root's: root's own, MODE, readable by USER's group
# where MODE says so. Whatever had the name goes first.
publish() {
    install --no-target-directory --owner=root --group="$(id --group "$2")" --mode="$3" /dev/stdin "$1"
}

# own_volume FOLDER USER: makes the mounted FOLDER and what is in it USER's. Only what belonged to the folder's former
# owner changes hands: root, where Docker has made it, or the user under another id. The folder itself comes last, so
# that an interrupted start begins anew. A volume that is read-only here is another container's to own.
own_volume() {
    local folder=$1 user=$2 former
    mkdir --parents "$folder"
    [[ -w $folder ]] || return 0
    former=$(stat --format=%u:%g "$folder")
    if [[ $former != "$(id --user "$user"):$(id --group "$user")" ]]; then
        chown --recursive -P --no-dereference --from="${former%:*}" "$user:" "$folder"
    fi
}

# certificate_names SERVICE: the subject alternative names of a certificate of SERVICE, as OpenSSL writes them.
# The document's tlsNames: names and addresses of the host that clients outside know it by.
certificate_names() {
    local names=DNS:$1,DNS:localhost,IP:127.0.0.1,IP:::1 name given
    mapfile -t given < <(from_document '.tlsNames[]?')
    for name in "${given[@]}"; do
        if [[ $name =~ ^([0-9]{1,3}\.){3}[0-9]{1,3}$ || $name =~ ^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$ ]]; then
            name=IP:$name
        elif [[ $name =~ ^[A-Za-z0-9*]([A-Za-z0-9._-]*[A-Za-z0-9])?$ ]]; then
            name=DNS:$name
        else
            die "tlsNames in $document holds '$name', which is neither a name nor an address."
        fi
        if [[ ,$names, != *",$name,"* ]]; then
            names+=,$name
        fi
    done
    printf '%s' "$names"
}

# make_certificate FOLDER SERVICE NAMES: a new key and its certificate in FOLDER. It vouches for itself and for nobody
# else: who trusts it trusts this one server, and its key cannot sign another's certificate.
make_certificate() {
    local folder=$1 service=$2 names=$3
    # In one step, req would write a line of dashes into the log.
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$folder/key.pem"
    openssl req -x509 -new -sha256 -key "$folder/key.pem" -days 825 -subj "/CN=$service" -config /dev/stdin \
        -out "$folder/cert.pem" << END
[req]
distinguished_name = subject
x509_extensions = leaf
[subject]
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
subjectAltName = $names
END
}

# ensure_certificate SERVICE: key.pem and cert.pem of SERVICE in $keys_dir/tls/SERVICE. Made anew where its names are
# no longer the wanted ones or less than 30 days of it are left; a change of its shape needs another number in `names`.
# The stack's containers share the folder: callers hold the lock, and a certificate is there whole or not at all.
ensure_certificate() {
    local service=$1 folder=$keys_dir/tls/$1 names
    names=$(certificate_names "$service")
    if [[ -s $folder/names && $(< "$folder/names") == "1 $names" ]] \
        && openssl x509 -in "$folder/cert.pem" -noout -checkend $((30 * 24 * 3600)) > /dev/null; then
        return
    fi
    rm -rf "$folder" "$folder.new"
    (
        umask 0077
        mkdir "$folder.new"
        make_certificate "$folder.new" "$service" "$names"
        echo "1 $names" > "$folder.new/names"
    )
    mv "$folder.new" "$folder"
}

# publish_certificates USER SERVICE [OTHER...]: SERVICE's certificate and its key, for USER, as $tls_dir/cert.pem and
# key.pem; for clients the certificates of the OTHER services, as $tls_dir/OTHER.pem.
publish_certificates() {
    local user=$1 service=$2 other
    shift 2
    # Root of another container of the stack writes here, too; there is no link of ours.
    find -P "$keys_dir" -xdev -type l -delete
    install --directory --owner=root --group=root --mode=0700 "$keys_dir" "$keys_dir/tls"
    rm -rf "$tls_dir"
    install --directory --mode=0755 "$tls_dir"
    (
        flock 9
        ensure_certificate "$service"
        publish "$tls_dir/cert.pem" root 0444 < "$keys_dir/tls/$service/cert.pem"
        publish "$tls_dir/key.pem" "$user" 0440 < "$keys_dir/tls/$service/key.pem"
        for other in "$@"; do
            ensure_certificate "$other"
            publish "$tls_dir/$other.pem" root 0444 < "$keys_dir/tls/$other/cert.pem"
        done
    ) 9> "$keys_dir/tls/lock"
}

# greeting PORT [LINE]: the first 12 characters that the server on this machine's PORT sends within 3 s, to a client
# that first sends LINE.
greeting() {
    local answer=
    exec 3<> "/dev/tcp/127.0.0.1/$1"
    if (($# > 1)); then
        printf '%s\r\n' "$2" >&3
    fi
    IFS= read -r -t 6 -n 12 answer <&3
    exec 3>&-
    printf '%s' "$answer"
}

# memory_limit: MiB of memory that this container may take: its limit (cgroups v2, v1), else all that the machine has.
memory_limit() {
    local file machine limit
    machine=$(($(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo) / 1024))
    for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
        if [[ -r $file ]]; then
            limit=$(< "$file")
            if [[ $limit =~ ^[0-9]+$ ]] && ((${#limit} < 18 && limit / 1024 ** 2 < machine)); then
                echo "$((limit / 1024 ** 2))"
                return
            fi
        fi
    done
    echo "$machine"
}
