import { keysVolume } from "../../catalogue";
import { type ContainerDetails, nameOf, stackContainers } from "../docker";
import { UserError } from "../errors";
import type { Session } from "../session";
import type { Source } from "./archive";
import { Stream, stagingExcludes } from "./helper";
import type { Part } from "./manifest";
import { pauseContainers } from "./pause";
import { mayWrite, reading, runningContainer, type StackVolume, toPause } from "./volumes";

// Each of these writes a tar of what the service's volume holds when it starts again, compressed. Several tars may follow
// one another in it (tar's --ignore-zeros).
const compress = "zstd --quiet -1 --threads=0";
// Owners by number, as those of the other machine are no others; with attributes and holes. A socket is nothing without its
// program.
const tarCommand = `tar --create --file=- --numeric-owner --acls --xattrs --xattrs-include='*' --sparse ${stagingExcludes} \\
    --warning=no-file-ignored`;
const tar = `tar_of() { ${tarCommand} "$@"; }`;
/** What changes while it is read, which is status 1, is PostgreSQL's own business. */
const tarOfChanging = `tar_of() { ${tarCommand} --warning=no-file-changed --warning=no-file-removed "$@" || (($? == 1)); }`;

/**
 * PostgreSQL's base backup, by the functions that pg_basebackup stands on (https://www.postgresql.org/docs/17/continuous-archiving.html):
 * the files while it runs, and the log from the begin to the end of it. A slot keeps the log as long as the session lasts.
 */
const postgres = `${tarOfChanging}
source /etc/carbon/services/postgres/common.sh
scratch=$(mktemp --directory)
trap 'rm -rf "$scratch"' EXIT
coproc sql { exec "$bin/psql" --host=/run/postgresql --username=superuser --dbname=postgres \\
    --no-psqlrc --no-align --tuples-only --quiet --set=ON_ERROR_STOP=1; }
exec {from}<&"\${sql[0]}" {to}>&"\${sql[1]}"
ask() {
    local line
    printf '%s;\\n\\\\echo --answered--\\n' "$1" >&"$to"
    while IFS= read -r line <&"$from"; do
        [[ $line != --answered-- ]] || return 0
        printf '%s\\n' "$line"
    done
    return 1
}
copy() {
    local path=./$version label first last file logs=()
    tar_of --directory="$volume" --exclude="$path/pg_wal/*" --exclude="$path/postmaster.*" --exclude="$path/pg_replslot/*" \\
        --exclude="$path/pg_dynshmem/*" --exclude="$path/pg_notify/*" --exclude="$path/pg_serial/*" \\
        --exclude="$path/pg_snapshots/*" --exclude="$path/pg_stat_tmp/*" --exclude="$path/pg_subtrans/*" \\
        --exclude="pgsql_tmp*" --exclude="$path.new" .
    label=$(ask "SELECT pg_walfile_name(lsn) || E'\\\\n' || labelfile FROM pg_backup_stop(false)")
    last=\${label%%$'\\n'*}
    label=\${label#*$'\\n'}
    [[ $label =~ \\(file\\ ([0-9A-F]{24})\\) ]]
    first=\${BASH_REMATCH[1]}
    for file in "$data"/pg_wal/[0-9A-F]*; do
        file=\${file##*/}
        if [[ \${#file} == 24 && ! $file < $first && ! $file > $last ]]; then
            logs+=("$path/pg_wal/$file")
        fi
    done
    printf '%s\\n' "$label" > "$scratch/backup_label"
    chmod 0600 "$scratch/backup_label"
    tar_of --directory="$volume" "\${logs[@]}"
    tar_of --directory="$scratch" --transform="s,^,$path/," backup_label
}
ask "SELECT pg_create_physical_replication_slot('carbon_backup_' || pg_backend_pid(), true, true)" > /dev/null
ask "SELECT pg_backup_start('carbon', true)" > /dev/null
copy | ${compress}`;

/** What Redis hands to a replica, laid out as the base of the append-only file, from which it starts. */
const redis = `${tar}
scratch=$(mktemp --directory)
trap 'rm -rf "$scratch"' EXIT
REDISCLI_AUTH=$(< /run/carbon/secrets/redis)
export REDISCLI_AUTH
options=(-h 127.0.0.1)
[[ ! -f /run/carbon/tls/cert.pem ]] || options+=(--tls --cacert /run/carbon/tls/cert.pem)
umask 0077
mkdir "$scratch/appendonlydir"
cd "$scratch/appendonlydir"
/usr/bin/redis-cli "\${options[@]}" --rdb appendonly.aof.1.base.rdb >&2
: > appendonly.aof.1.incr.aof
printf 'file appendonly.aof.1.%s seq 1 type %s\\n' base.rdb b incr.aof i > appendonly.aof.manifest
tar_of --directory="$scratch" --owner=redis --group=redis . | ${compress}`;

/** The broker writes its store (SIGUSR1), and has done so once it has answered a client. */
const mosquitto = `/usr/bin/s6-svc -1 /run/carbon/service/mosquitto
/usr/local/bin/carbon-health`;

/** How a service's data are taken while it runs, by its volume. */
const ownMeans: Partial<Record<string, { user: string; script: string }>> = {
    postgres: { user: "postgres", script: postgres },
    redis: { user: "root", script: redis },
};

/**
 * Whether the volume is taken by its service's own means, and what has to stand still otherwise.
 *
 * @throws UserError where one of its containers starts again and again.
 */
export function wayOf(
    volume: StackVolume,
    containers: readonly ContainerDetails[],
): NonNullable<Part["taken"]> {
    const { name } = volume.spec;
    if (ownMeans[name] && runningContainer(containers, name)) {
        return "online";
    }
    return toPause(volume).length > 0 ? "paused" : "as it lay";
}

/** A volume as a part of a backup. */
export function volumeSource(
    session: Session,
    image: string,
    volume: StackVolume,
    containers: readonly ContainerDetails[],
): Source {
    const { name } = volume.spec;
    const { stack, signal } = session;
    const what = `back up ${name}`;
    const own = ownMeans[name];
    const container = runningContainer(containers, name);
    if (own && container) {
        return { name, open: () => Stream.exec(container.Id, own, what, signal).output() };
    }
    const script = `${tar}\ntar_of --directory=/volume . | ${compress}`;
    const helper = reading(stack, image, { [volume.docker]: "/volume" }, script);
    const copy = () => Stream.helper(helper, what, signal).output();
    return {
        name,
        async *open() {
            if (name === "mosquitto" && container) {
                await Stream.exec(container.Id, { user: "root", script: mosquitto }, what, signal).text();
            }
            yield* stillOutput(stack, volume, copy);
        },
    };
}

/** What is read while nothing writes to the volume: its containers are paused. */
async function* stillOutput(
    stack: string,
    volume: StackVolume,
    copy: () => AsyncGenerator<Buffer>,
): AsyncGenerator<Buffer> {
    const paused = toPause(volume);
    const pause = await pauseContainers(paused);
    try {
        yield* copy();
        ensureStill(volume, paused, await stackContainers(stack));
    } finally {
        pause.end();
    }
}

/**
 * Looks whether nothing wrote to a volume while it was copied.
 *
 * @param paused Its writers that were paused for it.
 * @param now The stack's containers after it.
 * @throws UserError naming those of its writers that went on, or started.
 */
export function ensureStill(
    { spec, docker, writers }: StackVolume,
    paused: readonly ContainerDetails[],
    now: readonly ContainerDetails[],
): void {
    // What writes keys puts them in their place whole.
    if (spec.name === keysVolume.name) {
        return;
    }
    const gone = paused.filter(({ Id }) => !now.some((one) => one.Id === Id));
    const moved = now.filter((container) => {
        const { Id, State } = container;
        if (!mayWrite(container, docker)) {
            return false;
        }
        if (paused.some((one) => one.Id === Id)) {
            return State.Status !== "paused";
        }
        const before = writers.find((one) => one.Id === Id)?.State;
        return ["running", "restarting"].includes(State.Status) || State.StartedAt !== before?.StartedAt;
    });
    if (gone.length + moved.length > 0) {
        throw new UserError(
            `${[...gone, ...moved].map(nameOf).join(", ")} did not stand still while ${spec.name} was copied: something else let it run. ` +
                "No backup was made; type the same command again.",
        );
    }
}
