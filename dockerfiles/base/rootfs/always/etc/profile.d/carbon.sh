# shellcheck shell=sh
# The container's own environment for every login shell: /etc/profile resets PATH, and a shell that `docker exec`
# starts has not been given what the entrypoint found out, such as PGHOST.
if [ -r /etc/environment ]; then
    while IFS= read -r carbon_variable; do
        export "${carbon_variable?}"
    done < /etc/environment
    unset carbon_variable
fi
