# shellcheck shell=bash
# What Spark's daemons and the workspace's drivers share. Sourced after common.sh; all but spark_executor_memory is for
# root.
# shellcheck disable=SC2154 # common.sh names the folders

# shellcheck disable=SC2034 # used by the scripts that source this file
readonly spark_conf_dir=/run/carbon/spark
readonly spark_events_dir=/var/lib/spark/events

# MiB of a worker's limit that no executor is offered: the worker's own JVM, the executor's memory outside its heap,
# and the Python processes.
readonly spark_worker_reserve=768

# How the cluster is spread over the nodes of a Swarm, by what encrypts their traffic (`network` or `spark`); empty on one
# machine.
readonly spark_cluster=${CARBON_SPARK_CLUSTER:-}

# spark_cores: what a worker offers, and an executor asks for. In a Swarm nodes differ, and each worker has its share.
spark_cores() {
    echo "${CARBON_SPARK_WORKER_CORES:-$(nproc)}"
}

# spark_host: what the others call this container by. In a Swarm several have one name: the address on the network then.
spark_host() {
    if [[ -z $spark_cluster ]]; then
        hostname
    else
        local address
        read -r address _ <<< "$(hostname -i)"
        echo "$address"
    fi
}

# own_spark_folder FOLDER: makes a folder in one of root's carbon's, and closes it to others.
own_spark_folder() {
    mkdir --parents "$1"
    own_volume "$1" carbon
    s6-setuidgid carbon chmod 0700 "$1"
}

# spark_executor_memory: MiB that a worker offers to executors.
spark_executor_memory() {
    local limit=${CARBON_SPARK_WORKER_MEMORY:-2048}
    if ! [[ $limit =~ ^[1-9][0-9]{3,6}$ ]] || ((limit < 2048)); then
        die "CARBON_SPARK_WORKER_MEMORY must be a number of MiB from 2048, not '$limit'."
    fi
    echo "$((limit - spark_worker_reserve))"
}

# spark_cluster_conf: what a cluster needs whose parts are on several machines. Everything between them is encrypted, and
# nobody falls back to less; what is lost with a node is noticed after half a minute.
spark_cluster_conf() {
    cat << END
spark.network.crypto.enabled true
spark.network.crypto.authEngineVersion 2
spark.network.crypto.cipher AES/GCM/NoPadding
spark.network.crypto.saslFallback false
spark.network.timeout 60s
spark.worker.timeout 30
END
}

# write_spark_file NAME: stdin as $spark_conf_dir/NAME, for carbon to read. The folder is root's: what JVMs load lies there,
# and the secret, which everybody would see on a command line or in SPARK_DAEMON_JAVA_OPTS.
write_spark_file() {
    install --directory --owner=root --group=carbon --mode=0750 "$spark_conf_dir"
    publish "$spark_conf_dir/$1" carbon 0440
}

# write_spark_pages_conf NAME: stdin and the pages' login (SparkLogin.java), as $spark_conf_dir/NAME.
write_spark_pages_conf() {
    write_spark_file password < "$secrets_dir/spark"
    {
        cat
        printf '%s\n' "spark.ui.filters carbon.SparkLogin" \
            "spark.carbon.SparkLogin.param.passwordFile $spark_conf_dir/password"
    } | write_spark_file "$1"
}

# write_spark_conf NAME: stdin and what every part of the cluster must agree on, as $spark_conf_dir/NAME.
write_spark_conf() {
    {
        cat
        printf '%s\n' "spark.authenticate true" "spark.authenticate.secret $(< "$secrets_dir/spark")"
        # The master passes on requests for a worker's page with their login, in the clear.
        [[ $spark_cluster == spark ]] || echo "spark.ui.reverseProxy true"
        [[ -z $spark_cluster ]] || spark_cluster_conf
    } | write_spark_pages_conf "$1"
}

# ask_spark PORT PATH: what the page of a daemon in this container answers. The login reaches curl by a pipe.
ask_spark() {
    curl --config <(printf 'user = "carbon:%s"\n' "$(< "$secrets_dir/spark")") --fail --silent --show-error \
        --max-time 7 "http://127.0.0.1:$1$2"
}
