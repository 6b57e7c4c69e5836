import type Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
    exec,
    hostPort,
    logs,
    removeAll,
    run,
    secrets,
    ssh,
    startHealthy,
    startRole,
    until,
} from "./base-container";
import { baseImage, readImageJson } from "./base-image";
import { computeImage } from "./compute-image";

const file = "/run/carbon/environment.json";
const variables = {
    HF_TOKEN: "hf_s3cret",
    SPACED: "two words",
    SHELLS: `$HOME "double" 'single' \`date\` \\ %s`,
    LANGUAGE: "de:en",
    EMPTY: "",
    HTTP_PROXY: "http://127.0.0.1:9",
    // Which code-server and JupyterLab would take for theirs.
    PORT: "3000",
    PASSWORD: "open",
    HASHED_PASSWORD: "open",
    CODE_SERVER_HOST: "127.0.0.9",
    JUPYTER_PORT: "3001",
    JUPYTER_TOKEN: "open",
};

afterAll(removeAll);

describe("the workspace of a user with variables, a time zone and ids of their own", () => {
    let container: Docker.Container;
    const login = async (command: string) =>
        ssh(await hostPort(container, 2222), "carbon", secrets.ssh, command);

    beforeAll(async () => {
        container = await startHealthy({
            image: computeImage(),
            role: "workspace",
            // The ids of the image's www-data and dialout. The proxy is no machine's: nothing can be asked through it.
            env: { CARBON_UID: "33", CARBON_GID: "20", TZ: "Asia/Tokyo", http_proxy: "http://127.0.0.1:9" },
            rootFiles: { [file]: JSON.stringify(variables) },
            ports: [2222],
        });
    });

    it("has its services find the variables as they were written", async () => {
        const read = `tr '\\0' '\\n' < "/proc/$(pgrep --oldest -u carbon -f jupyter)/environ"`;
        const text = await run(container, ["bash", "-c", read], "carbon");
        const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
        expect(text.split("\n")).toEqual(expect.arrayContaining(lines));
    });

    it("has logins find them, too", async () => {
        expect(await login("printenv HF_TOKEN SPACED LANGUAGE PORT")).toBe(
            "hf_s3cret\ntwo words\nde:en\n3000",
        );
    });

    it("has its pages where they always are, with their own passwords", async () => {
        const said = await exec(container, ["carbon-verify", "--only", "jupyter,code-server"]);
        const hasCodeServer = readImageJson(computeImage()).toolsets.includes("codeServer");
        expect(JSON.parse(said.output).checks).toEqual([
            expect.objectContaining({ id: "jupyter", status: "PASS" }),
            expect.objectContaining({ id: "code-server", status: hasCodeServer ? "PASS" : "SKIP" }),
        ]);
    });

    it("keeps the file for root", async () => {
        expect(await run(container, ["stat", "--format=%a %U", file])).toBe("400 root");
        expect((await exec(container, ["cat", file], "carbon")).code).not.toBe(0);
    });

    it("knows the user by name, whoever else has these ids in the image", async () => {
        expect(await login("id --user; id --group; whoami; id --group --name; stat --format=%U:%G ~")).toBe(
            "33\n20\ncarbon\ncarbon\ncarbon:carbon",
        );
        expect(await login(`echo ${secrets.ssh} | sudo --stdin --prompt= whoami`)).toBe("root");
        expect(await run(container, ["getent", "passwd", "root"])).toMatch(/^root:x:0:0:/);
    });

    it("shows the time of its zone", async () => {
        expect(await login("date +%Z")).toBe("JST");
        expect(await run(container, ["date", "+%Z"])).toBe("JST");
    });
});

describe("a file of variables", () => {
    it.each([
        ["{", "no JSON"],
        ['{"A": {"hf_s3cret": "b"}, "a-b": ""}', "no texts by names"],
    ])("that is %s stops the start with a sentence that tells nothing of it: %s", async (content) => {
        const container = await startRole({
            image: baseImage(),
            role: "workspace",
            rootFiles: { [file]: content },
        });
        await until("stopped", 30, async () => !(await container.inspect()).State.Running);
        const log = await logs(container);
        expect(log).toContain(`carbon: ${file} is no JSON object of texts by variables' names.`);
        expect(log).not.toContain("hf_s3cret");
    });
});

describe("PostgreSQL", () => {
    const start = (TZ: string) => startHealthy({ image: baseImage(), role: "postgres", env: { TZ } });
    const ask = async (container: Docker.Container, ...statements: string[]) => {
        const psql = ["psql", "--no-psqlrc", "--tuples-only", "--no-align", "--host=/run/postgresql"];
        const commands = statements.map((statement) => `--command=${statement}`);
        const client = ["s6-setuidgid", "postgres", ...psql, "--username=carbon", "carbon"];
        return (await run(container, [...client, ...commands])).split("\n");
    };
    const zones = ["SHOW timezone", "SHOW log_timezone"];

    it("is in the time zone of the stack, and knows old names", async () => {
        const container = await start("US/Eastern");
        expect(await ask(container, ...zones)).toEqual(["US/Eastern", "US/Eastern"]);
        const noon = "SELECT timestamptz '2026-01-01 12:00Z' AT TIME ZONE 'Asia/Calcutta'";
        expect(await ask(container, noon)).toEqual(["2026-01-01 17:30:00"]);
    });

    it("starts in UTC where the zone is unknown, and says so", async () => {
        const container = await start("Middle-earth/Shire");
        expect(await ask(container, ...zones)).toEqual(["Etc/UTC", "Etc/UTC"]);
        expect(await logs(container)).toContain(
            "carbon: the time zone Middle-earth/Shire is not in the tz database; it is UTC here.",
        );
    });
});
