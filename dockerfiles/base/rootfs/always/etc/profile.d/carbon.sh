# shellcheck shell=sh
# The container's own environment for every login shell: /etc/profile resets PATH, and a shell that `docker exec`
# starts has not been given what the entrypoint found out, such as PGHOST.
if [ -r /etc/environment ]; then
    while IFS= read -r carbon_variable; do
        export "${carbon_variable?}"
    done < /etc/environment
    unset carbon_variable
fi
# Root, whose shells read this as well, starts nothing out of carbon's folders.
if [ "$(id -u)" != 0 ]; then
    # shellcheck source=dockerfiles/base/rootfs/always/usr/local/lib/carbon/user-environment.sh
    . /usr/local/lib/carbon/user-environment.sh
    export PATH="${carbon_path?}"
    unset carbon_python carbon_user_folders carbon_image_folders carbon_path
fi
