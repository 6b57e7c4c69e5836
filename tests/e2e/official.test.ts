import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { boundedLog, officialServices, workspace } from "../../catalogue";
import { Stack } from "./stack";

// The real images come from Docker Hub. Stand-ins under names of their own show how the suite runs them.
const services = ["mongodb", "qdrant", "ollama"];
const images = Object.fromEntries(services.map((name) => [name, `docker.io/carbon/stand-in-${name}:test`]));
const stack = new Stack("t-official", {
    portOffset: 30000,
    compute: false,
    toolsets: [],
    services,
    serviceImages: images,
    verify: "off",
});

beforeAll(async () => {
    for (const name of services) {
        const args = ["build", "--builder=default", `--target=${name}`, `--tag=${images[name]}`];
        await execa("docker", [...args, "tests/e2e/official"]);
    }
    await stack.up();
});

afterAll(async () => {
    await stack.remove();
    await execa("docker", ["image", "rm", ...Object.values(images)]);
});

function inside(service: string, ...command: string[]): Promise<string> {
    return execa("docker", ["exec", stack.container(service), ...command]).then(({ stdout }) => stdout);
}

describe("services from official images", () => {
    it("are healthy by the checks that the images can carry out", async () => {
        for (const name of services) {
            expect((await stack.inspect(name)).State.Health.Status, name).toBe("healthy");
        }
    });

    it("start MongoDB for the network only after its password is set", async () => {
        const { stdout } = await execa("docker", ["logs", stack.container("mongodb")]);
        const [first, second] = stdout.split("\n");
        expect(first).toBe("mongod --dbpath /data/db --bind_ip 127.0.0.1 --port 27117 --quiet");
        expect(second).toBe("mongod --dbpath /data/db --bind_ip_all --auth");
        expect(await inside("mongodb", "ls", "/data/db")).toBe("password-set");
        expect(await inside("mongodb", "stat", "--format=%U", "/data/db")).toBe("mongodb");
    });

    it("run under the catalogue's limits, which the command for processes completes", async () => {
        for (const spec of officialServices) {
            const { HostConfig } = await stack.inspect(spec.name);
            expect(HostConfig, spec.name).toMatchObject({
                CapDrop: ["ALL"],
                SecurityOpt: ["no-new-privileges:true"],
                PidsLimit: spec.processes,
                LogConfig: { Type: "json-file", Config: boundedLog },
            });
            const adds = (HostConfig.CapAdd ?? []).map((name) => name.replace("CAP_", ""));
            expect(adds.sort(), spec.name).toEqual(spec.capabilities);
        }
        expect((await stack.inspect("workspace")).HostConfig.PidsLimit).toBe(workspace.processes);
        expect(await stack.volumes()).toContain("carbon-t-official-keys");
    });

    it("find their secrets in files that only root reads", async () => {
        const logins = (await stack.carbon(["credentials"])).json;
        expect(await inside("mongodb", "cat", "/run/carbon/secrets/mongodb")).toBe(logins.mongodb.password);
        expect(await inside("qdrant", "cat", "/qdrant/config/local.yaml")).toContain(
            `api_key: "${logins.qdrant.apiKey}"`,
        );
        const mode = await inside("qdrant", "stat", "--format=%U %a", "/qdrant/config/local.yaml");
        expect(mode).toBe("root 400");
    });

    it("are known to the workspace", async () => {
        const { output } = await stack.shell('echo "$OLLAMA_HOST"; wc -c < /run/carbon/user/qdrant');
        expect(output.split(/\s+/)).toEqual(["http://ollama:11434", "24"]);
    });

    it("are left alone by a second up", async () => {
        const { json } = await stack.up();
        expect(json.changes).toMatchObject({ create: 0, update: 0, replace: 0, delete: 0 });
    });
});
