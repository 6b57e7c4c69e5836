# shellcheck shell=bash
# What Spark's daemons and the workspace's drivers share. Sourced after common.sh, by root.
# shellcheck disable=SC2154 # common.sh names the folders

# shellcheck disable=SC2034 # used by the scripts that source this file
readonly spark_conf_dir=/run/carbon/spark
readonly spark_events_dir=/var/lib/spark/events

# MiB of a worker's limit that no executor is offered: the worker's own JVM, the executor's memory outside its heap,
# and the Python processes.
readonly spark_worker_reserve=768

# own_spark_events: the volume with the event logs is carbon's, in every container that mounts it.
own_spark_events() {
    install --directory --mode=0755 "${spark_events_dir%/*}"
    install --directory --mode=0700 "$spark_events_dir"
    if [[ $(stat --format=%u:%g "$spark_events_dir") != "$(id --user carbon):$(id --group carbon)" ]]; then
        chown --recursive --no-dereference carbon: "$spark_events_dir"
    fi
}

# spark_executor_memory: MiB that a worker offers to executors.
spark_executor_memory() {
    local limit=${CARBON_SPARK_WORKER_MEMORY:-2048}
    if ! [[ $limit =~ ^[1-9][0-9]{3,6}$ ]] || ((limit < 2048)); then
        die "CARBON_SPARK_WORKER_MEMORY must be a number of MiB from 2048, not '$limit'."
    fi
    echo "$((limit - spark_worker_reserve))"
}

# write_spark_conf NAME: stdin and what every part of the cluster must agree on, as $spark_conf_dir/NAME. It holds the
# secret and is for carbon alone; a property on a command line or in SPARK_DAEMON_JAVA_OPTS would be seen by everybody.
write_spark_conf() {
    install --directory --owner=carbon --group=carbon --mode=0700 "$spark_conf_dir"
    rm -f "$spark_conf_dir/$1"
    (
        umask 0377
        {
            cat
            printf '%s\n' "spark.authenticate true" "spark.authenticate.secret $(< "$secrets_dir/spark")" \
                "spark.ui.reverseProxy true"
        } > "$spark_conf_dir/$1"
        chown carbon: "$spark_conf_dir/$1"
    )
}
