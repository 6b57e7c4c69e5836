import type Docker from "dockerode";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
    exec,
    logs,
    makeVolume,
    removeAll,
    run,
    secrets,
    startHealthy,
    until,
    untilHealthy,
} from "../image/base-container";
import { baseImage, readImageJson } from "../image/base-image";

const image = baseImage();
const { toolsets } = readImageJson(image);

/** What somebody else's server holds; its superuser is postgres, as nearly everywhere. */
const elsewhere = `
CREATE ROLE app LOGIN;
CREATE DATABASE shop;
CREATE DATABASE german TEMPLATE template0 LOCALE 'de_DE.UTF-8';
CREATE DATABASE icu OWNER app TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-AT';
\\c shop
CREATE EXTENSION vector; CREATE EXTENSION pg_trgm; CREATE EXTENSION "uuid-ossp"; CREATE EXTENSION postgis;
COMMENT ON EXTENSION vector IS 'a comment of their own';
INSERT INTO spatial_ref_sys VALUES (990001, 'own', 1, 'LOCAL_CS["own"]', '+proj=longlat');
CREATE COLLATION loose (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
CREATE SCHEMA s;
CREATE TYPE s.mood AS ENUM ('good', 'bad');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE s.items (id serial PRIMARY KEY, word text COLLATE "de-x-icu", old text COLLATE "en_US.utf8",
    loose text COLLATE loose, embedding vector(3), mood s.mood, place geometry, many positive);
INSERT INTO s.items (word, embedding) VALUES ('Äpfel', '[1,2,3]'), ('Apfel', '[1,2,4]'), ('Zebra', '[0,0,0]');
CREATE INDEX ON s.items USING hnsw (embedding vector_l2_ops);
CREATE VIEW words AS SELECT word FROM s.items ORDER BY word;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM s.items;
CREATE FUNCTION one() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int);
CREATE STATISTICS s.both ON word, old FROM s.items;
ALTER TABLE s.items ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON s.items USING (true);
SELECT lo_create(4711) \\g /dev/null
ALTER SCHEMA public OWNER TO postgres;
\\c icu app
CREATE TABLE theirs (line text);
INSERT INTO theirs VALUES ('of app');
\\c german postgres
CREATE TABLE words (line text);
INSERT INTO words VALUES ('ß');
`;

/** Another server in the container's /tmp, its databases dumped in every form, and ended again. */
const makeDumps = `
set -euo pipefail
export PATH=/usr/lib/postgresql/17/bin:$PATH LOCPATH=/tmp/locales PGHOST=/tmp PGPORT=5555 PGUSER=postgres
cd /tmp && mkdir locales && localedef --no-archive -i de_DE -f UTF-8 locales/de_DE.UTF-8
initdb --pgdata=/tmp/other --username=postgres --auth=trust --locale=en_US.utf8 > /dev/null
pg_ctl --pgdata=/tmp/other --options="-k /tmp -c listen_addresses=" --log=/tmp/other.log --wait start > /dev/null
psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --dbname=postgres <<< "$0"
for name in shop icu german; do
    pg_dump --dbname=$name --file=$name.sql
    pg_dump --dbname=$name --create --file=$name-create.sql
    pg_dump --dbname=$name --format=custom --file=$name.dump
    pg_dump --dbname=$name --format=tar --file=$name.tar
done
pg_dumpall --file=all.sql
pg_ctl --pgdata=/tmp/other --mode=fast stop > /dev/null
`;

describe.runIf(toolsets.includes("databases"))("PostgreSQL, given somebody else's data", () => {
    let container: Docker.Container;

    beforeAll(async () => {
        const binds = [`${await makeVolume()}:/var/lib/postgresql/data`];
        container = await startHealthy({ image, role: "postgres", binds });
        await run(container, ["bash", "-c", makeDumps, elsewhere], "postgres");
    });
    afterAll(removeAll);

    /** What a command does that carbon gives over the network. */
    const asCarbon = (command: string) =>
        exec(container, ["bash", "-c", `cd /tmp; { ${command}; } 2>&1`], "postgres", [
            "PGHOST=127.0.0.1",
            "PGUSER=carbon",
            "PGDATABASE=carbon",
            `PGPASSWORD=${secrets.postgres}`,
            "PGOPTIONS=-c client_min_messages=warning",
        ]);

    const words = "psql -tAc 'SELECT * FROM words'";

    it.each([
        ["plain", "createdb shop && psql -v ON_ERROR_STOP=1 -q -d shop -f shop.sql -o /dev/null", "shop"],
        [
            "plain, in one transaction, with its database",
            "psql -v ON_ERROR_STOP=1 -q -d postgres -f shop-create.sql -o /dev/null",
            "shop",
        ],
        ["custom", "createdb other && pg_restore -d other shop.dump", "other"],
        ["custom, with its database", "pg_restore -C -d postgres shop.dump", "shop"],
        ["tar, at once or not at all", "createdb other && pg_restore -1 -d other shop.tar", "other"],
    ])("restores a dump whose owner is postgres: %s", async (_, restore, name) => {
        expect(await asCarbon(restore)).toEqual({ code: 0, output: "" });
        // carbon may go on working with it: read, write, change, drop.
        const work = `${words} && psql -q -c "INSERT INTO s.items (word) VALUES ('neu'); ALTER TABLE s.items ADD more int"`;
        const done = await asCarbon(`export PGDATABASE=${name}; ${work} && dropdb ${name}`);
        expect(done).toEqual({ code: 0, output: "Apfel\nÄpfel\nZebra\n" });
    });

    it("restores what belongs to a role that is not known here", async () => {
        const read = "psql -d theirs -tAc 'SELECT * FROM theirs'";
        const without = `createdb theirs && pg_restore --no-owner --no-acl -d theirs icu.dump && ${read} && dropdb theirs`;
        expect(await asCarbon(without)).toEqual({ code: 0, output: "of app\n" });
        // Or as theirs, once there is such a role.
        const withOwner = `createuser app && createdb -O app theirs && pg_restore -d theirs icu.dump && ${read} && dropdb theirs && dropuser app`;
        expect(await asCarbon(withOwner)).toEqual({ code: 0, output: "of app\n" });
    });

    it("takes a database of another language, whose locale the user has it make, and keeps it", async () => {
        const restore = "psql -v ON_ERROR_STOP=1 -q -d postgres -f german-create.sql -o /dev/null";
        expect((await asCarbon(restore)).output).toContain('invalid LC_COLLATE locale name: "de_DE.UTF-8"');
        const made = await run(container, ["postgres-locale", "de_DE.UTF-8"], "postgres");
        expect(made).toBe("de_DE.UTF-8 is there.");
        expect(await asCarbon(restore)).toEqual({ code: 0, output: "" });
        await container.restart({ t: 20 });
        await untilHealthy(container);
        expect((await asCarbon(`PGDATABASE=german ${words}`)).output).toBe("ß\n");
        for (const wrong of ["xx_YY", "../etc", "de_DE/x"]) {
            expect((await exec(container, ["postgres-locale", wrong], "postgres")).code, wrong).toBe(1);
        }
        expect((await asCarbon("dropdb german")).code).toBe(0);
    });

    it("takes a whole server's dump from its superuser, and keeps carbon from being one", async () => {
        const whole = "psql -U superuser -q -d postgres -f /tmp/all.sql -o /dev/null 2>&1";
        const { output } = await exec(container, ["bash", "-c", whole], "postgres");
        expect(output.match(/ERROR: .*/g)).toEqual(['ERROR:  role "postgres" already exists']);
        await container.restart({ t: 20 });
        await untilHealthy(container);
        expect((await asCarbon(`PGDATABASE=shop ${words}`)).output).toBe("Apfel\nÄpfel\nZebra\n");
        const grab = await asCarbon("psql -c \"SET ROLE postgres; COPY (SELECT 1) TO PROGRAM 'id'\"");
        expect(grab.output).toContain("permission denied to COPY to or from an external program");
        for (const statement of [
            "SET ROLE superuser",
            "GRANT superuser TO carbon",
            "ALTER ROLE postgres SUPERUSER",
        ]) {
            expect((await asCarbon(`psql -c '${statement}'`)).output, statement).toContain(
                "permission denied",
            );
        }
    });

    it("renames the superuser of a cluster of former versions, and gives carbon what belongs to it", async () => {
        const volume = await makeVolume();
        const data = "/var/lib/postgresql/data";
        const bin = "/usr/lib/postgresql/17/bin";
        const made = `chown postgres ${data} && setpriv --reuid postgres --regid postgres --clear-groups sh -c "
            ${bin}/initdb --pgdata=${data}/17 --username=postgres --auth-local=peer --auth-host=scram-sha-256 > /dev/null &&
            printf 'CREATE ROLE carbon LOGIN CREATEDB;\\nCREATE DATABASE carbon OWNER carbon;\\n' |
            ${bin}/postgres --single -D ${data}/17 template1 > /dev/null"`;
        await execa("docker", ["run", "--rm", "--volume", `${volume}:${data}`, image, "sh", "-c", made]);
        const former = await startHealthy({ image, role: "postgres", binds: [`${volume}:${data}`] });
        const roles = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolsuper";
        expect(await run(former, ["psql", "-U", "superuser", "-d", "carbon", "-tAc", roles])).toBe(
            "superuser",
        );
        const own =
            "CREATE TABLE mine (i int); ALTER TABLE mine OWNER TO postgres; INSERT INTO mine VALUES (1)";
        const statements = `psql -c 'GRANT CREATE ON SCHEMA public TO postgres' -c '${own}'`;
        expect(await run(former, ["bash", "-c", `PGUSER=carbon PGDATABASE=carbon ${statements}`])).toContain(
            "INSERT",
        );
    });
});

describe.runIf(toolsets.includes("databases"))("PostgreSQL's memory", () => {
    afterAll(removeAll);

    it("follows the container's limit, and a large HNSW index is no matter of /dev/shm", async () => {
        const binds = [`${await makeVolume()}:/var/lib/postgresql/data`];
        const container = await startHealthy({ image, role: "postgres", binds });
        await execa("docker", ["update", "--memory=1g", "--memory-swap=2g", container.id]);
        await container.restart({ t: 20 });
        await untilHealthy(container);
        const show = (...names: string[]) =>
            run(container, [
                "psql",
                "-U",
                "carbon",
                "-tA",
                ...names.flatMap((name) => ["-c", `SHOW ${name}`]),
            ]);
        const [buffers, maintenance, cache] = [
            "shared_buffers",
            "maintenance_work_mem",
            "effective_cache_size",
        ];
        expect(await show(buffers as string, maintenance as string, cache as string)).toBe(
            "256MB\n256MB\n512MB",
        );
        // Docker's own size, which the suite's former default was 256 of.
        expect(await run(container, ["sh", "-c", "df -m --output=size /dev/shm | tail -1"])).toBe("64");
        const statements = [
            "CREATE EXTENSION vector",
            "CREATE TABLE items AS SELECT (SELECT array_agg(random()) FROM generate_series(1, 384) WHERE i = i)::vector(384) e FROM generate_series(1, 20000) i",
            "CREATE INDEX ON items USING hnsw (e vector_cosine_ops)",
            "SET maintenance_work_mem = '2GB'; CREATE INDEX ON items USING hnsw (e vector_l2_ops)",
        ];
        const built = await run(container, [
            ...["psql", "-U", "carbon", "-v", "ON_ERROR_STOP=1"],
            ...statements.flatMap((statement) => ["-c", statement]),
        ]);
        expect(built.match(/CREATE INDEX/g)).toHaveLength(2);
        expect(built).not.toMatch(/NOTICE/);
        // What the user sets for good counts.
        const set = [
            "psql",
            "-U",
            "superuser",
            "-d",
            "postgres",
            "-c",
            "ALTER SYSTEM SET shared_buffers = '192MB'",
        ];
        await run(container, set);
        await container.restart({ t: 20 });
        await untilHealthy(container);
        expect(await show("shared_buffers")).toBe("192MB");
        await until("the end of the log", 5, async () => (await logs(container)).includes("ready to accept"));
    });
});
