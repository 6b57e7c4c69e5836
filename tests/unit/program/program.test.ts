import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { everyService, type ServiceSpec } from "../../../catalogue";
import type { ServicesDocument } from "../../../catalogue/document";
import { foundGpu } from "../../../catalogue/gpu";
import { baseToolsets, toolsets } from "../../../catalogue/toolsets";
import { suiteVersion } from "../../../catalogue/version";
import { type Machine, thisMachine } from "../../../settings/machine";
import type { Registries } from "../../../settings/pulled";
import { type Registered, type Run, runProgram, secretSignature, secretValue } from "./harness";

const container = "docker:index/container:Container";
const command = "command:local:Command";
const image = "docker-build:index:Image";
const official = ["mongodb", "qdrant", "ollama"];
const ofCompute = ["spark-master", "spark-worker", "llm"];

const swarm = {
    services: ["spark-master", "spark-worker"],
    cluster: "swarm",
    sparkWorkers: 6,
    sparkWorkerNodes: ["node.labels.spark==yes"],
};

function only(run: Run, type: string, name: string): Registered {
    const found = run.resources.filter((resource) => resource.type === type && resource.name === name);
    expect(found, `${type} ${name}`).toHaveLength(1);
    return found[0] as Registered;
}

function names(run: Run, type: string): string[] {
    return run.resources.filter((resource) => resource.type === type).map((resource) => resource.name);
}

/** Every service but the workspace. */
const every = everyService.map(({ name }) => name).filter((name) => name !== "workspace");

/** What the catalogue says of a container: `spark-worker-2-container` is one of `spark-worker`. */
function catalogued(resource: string): ServiceSpec {
    const name = resource.replace(/(-\d+)?-container$/, "");
    return everyService.find((service) => service.name === name) as ServiceSpec;
}

/** What the container is told of the stack. */
function document(run: Run, name: string): ServicesDocument {
    const uploads = only(run, container, `${name}-container`).inputs.uploads as Record<string, unknown>[];
    const files = uploads.filter(({ file }) => file === "/run/carbon/services.json");
    expect(files, name).toMatchObject([{ permissions: "0444" }]);
    return files[0]?.content as ServicesDocument;
}

/** The tag of an image. */
function tag(run: Run, name: string): string {
    const tags = only(run, image, name).inputs.tags as string[];
    expect(tags).toHaveLength(1);
    return String(tags[0]);
}

function isSecret(value: unknown): boolean {
    return JSON.stringify(value).includes(secretValue);
}

const pulling = {
    images: "pull",
    imagePrefix: "ghcr.io/ada/carbon",
    pulledImages: { base: "2026.1", compute: "2026.1" },
};

/** A machine on which `docker login` has left its file. */
const withLogin: Partial<Machine> = {
    readFile: (file) => (file.endsWith("config.json") ? "{}" : thisMachine(".").readFile(file)),
};

/** A registry with every image, built with the settings' defaults by this version. */
function registry(digest = `sha256:${"b".repeat(64)}`): Registries {
    const labels = {
        "carbon.version": suiteVersion,
        "carbon.rootImage": "docker.io/library/debian:trixie-slim",
        "carbon.torchIndex": "auto",
    };
    const lookUp = (reference: string) => {
        const of = reference.includes("/base") ? baseToolsets : toolsets;
        const own = { digest, labels: { ...labels, "carbon.toolsets": of.join(",") } };
        return { digest, platforms: { "linux/amd64": own } };
    };
    return { lookUp, lookUpHere: () => undefined };
}

const hostToken = "A1".repeat(24);

/** A machine on which kernels are installed, as the variables that lead to them. */
function installedHost(): Record<string, string> {
    const home = mkdtempSync(join(tmpdir(), "carbon-home-"));
    onTestFinished(() => rmSync(home, { recursive: true }));
    const config = {
        schema: 1,
        machine: "linux-amd64",
        address: "127.0.0.1",
        port: 9901,
        workspaces: {},
        kernels: ["host-torch"],
    };
    writeFileSync(join(home, "config.json"), JSON.stringify(config));
    writeFileSync(join(home, "token"), `${hostToken}\n`);
    return { CARBON_GPU_HOME: home };
}

describe("the program", () => {
    it.each(["dev", "arm64", "amd64", "cloud"])("registers every resource of stack %s", async (stack) => {
        const run = await runProgram(stack);
        await expect(`${JSON.stringify(run, null, 2)}\n`).toMatchFileSnapshot(`../../golden/${stack}.json`);
    });

    it("registers every resource of the services that run from official images", async () => {
        const run = await runProgram("dev", { services: official });
        const parts = new RegExp(`^(${official.join("|")})\\b`);
        const resources = run.resources.filter(({ name }) => parts.test(name));
        await expect(`${JSON.stringify(resources, null, 2)}\n`).toMatchFileSnapshot(
            "../../golden/official-services.json",
        );
    });

    it("registers every resource of the services that run from the compute image", async () => {
        const run = await runProgram("dev", { services: ofCompute, sparkWorkers: 2 });
        const parts = new RegExp(`^(${ofCompute.join("|")})\\b`);
        const resources = run.resources.filter(({ name }) => parts.test(name));
        await expect(`${JSON.stringify(resources, null, 2)}\n`).toMatchFileSnapshot(
            "../../golden/compute-services.json",
        );
    });

    it("registers every resource of a stack whose Spark workers are a service of a Swarm", async () => {
        const run = await runProgram("dev", swarm);
        const resources = run.resources.filter(({ name }) => /^(spark|suite|workspace-container)/.test(name));
        await expect(`${JSON.stringify(resources, null, 2)}\n`).toMatchFileSnapshot(
            "../../golden/swarm.json",
        );
    });

    it("names what it hands to a Swarm by what it holds, and gives no secret away by that", async () => {
        const secretsOf = async (changes: object) => {
            const { resources } = await runProgram("dev", { ...swarm, ...changes });
            return resources.filter(({ type }) => type === "docker:index/secret:Secret");
        };
        const [plain, other] = [await secretsOf({}), await secretsOf({ environment: { TOKEN: "abc" } })];
        const name = (all: Registered[], part: string) =>
            all.find((one) => one.name === `spark-worker-${part}-secret`)?.inputs.name;
        expect(name(other, "spark")).toBe(name(plain, "spark"));
        expect(name(plain, "environment-json")).toBeUndefined();
        expect(name(other, "environment-json")).toMatch(/^carbon-dev-[0-9a-f]{12}$/);
        for (const { inputs } of other) {
            expect(isSecret(inputs.data)).toBe(true);
            expect(isSecret(inputs.name)).toBe(false);
        }
    });

    it("registers what /dev/dri changes of the workspace and the LLM server", async () => {
        const run = await runProgram("dev", { gpu: "dri", services: ["redis", "llm"] });
        const without = await runProgram("dev", { services: ["redis", "llm"] });
        const changed = run.resources.filter((resource, index) => {
            return JSON.stringify(resource) !== JSON.stringify(without.resources[index]);
        });
        expect(changed.map(({ name }) => name)).toEqual(["llm-container", "workspace-container"]);
        await expect(
            `${JSON.stringify({ resources: changed, gpu: run.outputs.gpu }, null, 2)}\n`,
        ).toMatchFileSnapshot("../../golden/dri.json");
        expect(without.outputs.gpu).toEqual({ route: "none" });
    });

    it.each(["off", "host"])("passes no device into a container with gpu %s", async (gpu) => {
        const { resources } = await runProgram("dev", { gpu, services: ofCompute }, installedHost());
        for (const { inputs } of resources.filter(({ type }) => type === container)) {
            expect(inputs).not.toHaveProperty("devices");
            expect(inputs).not.toHaveProperty("gpus");
        }
    });

    it("tells the workspace, and no service, of the kernels on the machine, and hands it their token", async () => {
        const settings = { services: ["redis", "llm"], gpuPort: 9901 };
        const run = await runProgram("dev", { ...settings, gpu: "host" }, installedHost());
        const without = await runProgram("dev", settings);
        const changed = run.resources.filter(
            (resource, index) => JSON.stringify(resource) !== JSON.stringify(without.resources[index]),
        );
        expect(changed.map(({ name }) => name)).toEqual(["workspace-container"]);
        const url = "http://host.docker.internal:9901";
        expect(document(run, "workspace").gpu).toEqual({ route: "host", url, stack: "dev" });
        expect(document(run, "llm").gpu).toBeUndefined();
        const uploads = only(run, container, "workspace-container").inputs.uploads as { file: string }[];
        const token = uploads.filter(({ file }) => file === "/run/carbon/secrets/gpu");
        expect(token).toMatchObject([{ permissions: "0400", content: { value: hostToken } }]);
        expect(isSecret(token)).toBe(true);
        expect(JSON.stringify(run.resources.map(({ inputs }) => ({ ...inputs, uploads: [] })))).not.toContain(
            hostToken,
        );
        expect(JSON.stringify(run.outputs)).not.toContain(hostToken);
        expect(run.outputs.gpu).toMatchObject({ route: "host", found: { url, kernels: ["host-torch"] } });
    });

    it("is refused where no kernels are installed, with what to type", async () => {
        const empty = { CARBON_GPU_HOME: "/nowhere/carbon-gpu" };
        await expect(runProgram("dev", { gpu: "host" }, empty)).rejects.toThrow(
            "carbon:gpu is host, and no kernels are installed on this machine. Type: ./carbon gpu install",
        );
    });

    it("says in its outputs what the check found of a GPU", async () => {
        const { outputs } = await runProgram("cloud", { verify: "off" });
        expect(outputs.gpu).toEqual({ route: "nvidia", found: null });
        const checks = [
            { id: "nvidia-smi", status: "PASS", observed: "NVIDIA H100" },
            { id: "cuda", status: "FAIL", observed: "is_available() False" },
            { id: "vulkan", status: "PASS", observed: "llvmpipe" },
        ];
        expect(foundGpu("nvidia", { checks })).toEqual({
            "nvidia-smi": "PASS: NVIDIA H100",
            cuda: "FAIL: is_available() False",
        });
        expect(foundGpu("dri", { checks })).toEqual({ vulkan: "PASS: llvmpipe" });
        for (const strange of [null, "text", { checks: "none" }, { checks: [null, 3] }]) {
            expect(foundGpu("dri", strange)).toEqual({});
        }
    });

    it("runs as many Spark workers as asked, after the master and with its secret", async () => {
        const run = await runProgram("dev", {
            services: ofCompute,
            sparkWorkers: 2,
            sparkWorkerMemory: 4096,
        });
        for (const name of ["spark-worker-1", "spark-worker-2"]) {
            const { inputs, options } = only(run, container, `${name}-container`);
            expect(inputs).toMatchObject({
                name: `carbon-dev-${name}`,
                hostname: name,
                memory: 4096,
                networksAdvanced: [{ aliases: [name] }],
                volumes: [
                    { containerPath: "/workspace" },
                    // The workspace's, for the packages in it.
                    { volumeName: "carbon-dev-home", containerPath: "/home/carbon", readOnly: true },
                ],
            });
            expect(inputs.envs).toEqual(
                expect.arrayContaining([
                    "CARBON_UID=1000",
                    "CARBON_GID=1000",
                    "CARBON_SPARK_WORKER_MEMORY=4096",
                ]),
            );
            expect(JSON.stringify(inputs.uploads)).toContain("<spark-master-spark-password>");
            expect(JSON.stringify(options.dependencies)).toContain("spark-master-container");
        }
        expect(run.outputs.urls).toMatchObject({ sparkWorkerUi: "http://127.0.0.1:8081/" });
        expect(only(run, container, "spark-worker-2-container").inputs.ports).toEqual([]);
    });

    it("gives the workspace what its Spark sessions and the LLM server's clients need", async () => {
        const workspace = async (services: string[]) =>
            only(await runProgram("dev", { services, sparkWorkers: 2 }), container, "workspace-container")
                .inputs;
        const { envs, volumes } = await workspace(ofCompute);
        expect(envs).toEqual(
            expect.arrayContaining([
                "CARBON_SPARK_WORKER_MEMORY=2048",
                "CARBON_LLM_URL=http://llm:8001/v1",
                "OPENAI_BASE_URL=http://llm:8001/v1",
                "OPENAI_API_KEY_FILE=/run/carbon/user/llm",
            ]),
        );
        const events = { volumeName: "carbon-dev-spark-events", containerPath: "/var/lib/spark/events" };
        expect(volumes).toContainEqual(events);
        const without = JSON.stringify(await workspace(["redis"]));
        expect(without).not.toMatch(/spark|CARBON_LLM_URL|OPENAI|CARBON_SPARK/);
    });

    describe("with an LLM server that is no service", () => {
        const folder = mkdtempSync(join(tmpdir(), "carbon-host-"));
        afterAll(() => rmSync(folder, { recursive: true }));

        const workspace = async (changes: Record<string, unknown>) =>
            only(
                await runProgram("dev", changes, { CARBON_GPU_HOME: folder }),
                container,
                "workspace-container",
            ).inputs;
        const keyFile = (content: string) => ({
            file: "/run/carbon/secrets/llm",
            permissions: "0400",
            content: { [secretSignature]: secretValue, value: content },
        });

        it("hands the workspace the address, and the key as a secret file alone", async () => {
            const llmUrl = "https://llm.example.com/v1/";
            const inputs = await workspace({ llm: "url", llmUrl, llmKey: "TheKeyOfSomebody" });
            expect(inputs.envs).toEqual(
                expect.arrayContaining([
                    "CARBON_LLM_URL=https://llm.example.com/v1",
                    "OPENAI_BASE_URL=https://llm.example.com/v1",
                    "OPENAI_API_KEY_FILE=/run/carbon/user/llm",
                ]),
            );
            expect(inputs.uploads).toContainEqual(keyFile("TheKeyOfSomebody"));
            expect(JSON.stringify({ ...inputs, uploads: [] })).not.toContain("TheKeyOfSomebody");
        });

        it("has a file for clients that insist on a key where the server asks for none", async () => {
            const inputs = await workspace({ llm: "host", llmUrl: "http://localhost:11434/v1" });
            expect(inputs.envs).toContain("OPENAI_BASE_URL=http://host.docker.internal:11434/v1");
            expect(inputs.uploads).toContainEqual(keyFile("none"));
        });

        it("takes the key of the suite's own on the host from its folder, and deploys nothing without", async () => {
            await expect(workspace({ llm: "host" })).rejects.toThrow(
                /^carbon:llm is host, and no LLM server of the suite's is installed .*Type: \.\/carbon gpu install/,
            );
            const key = "B2".repeat(24);
            writeFileSync(join(folder, "llm-key"), `${key}\n`, { mode: 0o600 });
            const inputs = await workspace({ llm: "host", portOffset: 100, llmHostPort: 8012 });
            expect(inputs.envs).toContain("OPENAI_BASE_URL=http://host.docker.internal:8012/v1");
            expect(inputs.uploads).toContainEqual(keyFile(key));
        });
    });

    it("runs a service from the image that the settings name instead", async () => {
        const serviceImages = { qdrant: "mirror.example.com/qdrant/qdrant:v1.18.1" };
        const run = await runProgram("dev", { services: official, serviceImages });
        expect(only(run, container, "qdrant-container").inputs.image).toBe(serviceImages.qdrant);
        expect(only(run, container, "mongodb-container").inputs.image).toMatch(
            /^docker\.io\/library\/mongo:/,
        );
    });

    it("hands Qdrant its key in the file that Qdrant reads, and the workspace the key alone", async () => {
        const run = await runProgram("dev", { services: ["qdrant"] });
        const files = (name: string) =>
            (only(run, container, name).inputs.uploads as { file: string }[]).map(({ file }) => file);
        expect(files("qdrant-container")).toEqual(["/qdrant/config/local.yaml"]);
        expect(files("workspace-container")).toContain("/run/carbon/secrets/qdrant");
        const { uploads } = only(run, container, "qdrant-container").inputs;
        expect(JSON.stringify(uploads)).toContain(
            'api_key: \\"<qdrant-qdrant-password>\\"\\n  enable_cors: false',
        );
    });

    it("points the workspace at Ollama: its service, the host's, or nowhere", async () => {
        const workspace = async (changes: Record<string, unknown>) =>
            only(await runProgram("dev", changes), container, "workspace-container").inputs;
        const service = await workspace({ services: ["ollama"] });
        expect(service.envs).toContain("OLLAMA_HOST=http://ollama:11434");
        const host = await workspace({ ollama: "host" });
        expect(host.envs).toContain("OLLAMA_HOST=http://host.docker.internal:11434");
        expect(JSON.stringify((await workspace({})).envs)).not.toContain("OLLAMA_HOST");
    });

    it("builds base and the parts of compute side by side, and compute after both", async () => {
        const run = await runProgram("dev");
        const needs = (name: string) => JSON.stringify(only(run, image, name).options.dependencies ?? []);
        expect(needs("base-image")).toBe("[]");
        expect(needs("compute-parts-image")).toBe("[]");
        expect(needs("compute-image")).toMatch(/::base-image".*::compute-parts-image"/);
        const parts = only(run, image, "compute-parts-image").inputs;
        const { buildArgs } = only(run, image, "compute-image").inputs;
        expect(parts).toMatchObject({ target: "parts", exports: [{ cacheonly: {} }], exec: true });
        expect(parts).not.toHaveProperty("tags");
        expect({ ...(parts.buildArgs as object), BASE_IMAGE: tag(run, "base-image") }).toEqual(buildArgs);
    });

    it("runs containers from the images' tags, which name what is in them, after the images are built", async () => {
        const run = await runProgram("dev");
        const images = { workspace: "compute-image", redis: "base-image" };
        for (const [service, name] of Object.entries(images)) {
            const { inputs, options } = only(run, container, `${service}-container`);
            expect(inputs.image).toBe(tag(run, name));
            expect(inputs.image).toMatch(/^localhost\/carbon\/(base|compute):[0-9a-f]{12}$/);
            expect(JSON.stringify(options.dependencies)).toContain(`::${name}`);
        }
        expect(run.outputs.images).toMatchObject({
            base: { ref: expect.stringMatching(/\/base:[0-9a-f]{12}@sha256:/), platforms: ["linux/amd64"] },
        });
    });

    it("gives stacks with the same build settings the same images, and others their own", async () => {
        const tags = async (stack: string, changes: Record<string, unknown> = {}) => {
            const run = await runProgram(stack, { platforms: ["linux/amd64"], ...changes });
            return [tag(run, "base-image"), tag(run, "compute-image")];
        };
        const [base, compute] = await tags("dev");
        expect(await tags("amd64", { portOffset: 100, services: ["redis"], uid: 1234 })).toEqual([
            base,
            compute,
        ]);
        expect(await tags("dev", { extraCaCertificates: `${__dirname}/ca.pem` })).toEqual([base, compute]);
        const everything = toolsets.filter((name) => name !== "torch");
        expect(await tags("dev", { toolsets: everything })).toEqual([
            base,
            expect.not.stringMatching(`^${compute}$`),
        ]);
        const others: Record<string, unknown>[] = [
            { platforms: ["linux/arm64"] },
            { rootImage: "mirror.example.com/debian:trixie" },
            { toolsets: toolsets.filter((name) => name !== "swift") },
        ];
        for (const changes of others) {
            const [otherBase, otherCompute] = await tags("dev", changes);
            expect(otherBase, JSON.stringify(changes)).not.toBe(base);
            expect(otherCompute, JSON.stringify(changes)).not.toBe(compute);
        }
        expect((await tags("dev", { torchIndex: "cpu" }))[1]).not.toBe(compute);
    });

    it("runs the workspace from base where compute is off", async () => {
        const run = await runProgram("dev", { compute: false });
        expect(names(run, image)).toEqual(["base-image"]);
        expect(only(run, container, "workspace-container").inputs.image).toBe(tag(run, "base-image"));
        expect(run.outputs.urls).not.toHaveProperty("jupyter");
        expect(run.outputs.credentials).not.toHaveProperty("jupyter");
    });

    it("runs only the services that are asked for", async () => {
        const run = await runProgram("dev", { services: ["redis"] });
        expect(names(run, container)).toEqual(["redis-container", "workspace-container"]);
        expect(Object.keys(document(run, "workspace").services)).toEqual(["workspace", "redis"]);
    });

    it("tells the workspace of every service, and a service of itself and of what it needs", async () => {
        const run = await runProgram("dev", { services: every, sparkWorkers: 2 });
        const workspace = document(run, "workspace");
        expect(workspace).toMatchObject({ schema: 1, stack: "dev", tls: false, tlsNames: [] });
        expect(Object.keys(workspace.services)).toEqual(["workspace", ...every]);
        expect(workspace.services.postgres).toEqual({
            containers: ["carbon-dev-postgres"],
            host: "postgres",
            toolset: "databases",
            tls: false,
            ports: { postgres: 5432 },
            secrets: { postgres: { user: "carbon", database: "carbon" } },
        });
        expect(workspace.services["spark-worker"]).toEqual({
            containers: ["carbon-dev-spark-worker-1", "carbon-dev-spark-worker-2"],
            host: "spark-worker-1",
            toolset: "spark",
            needs: "spark-master",
            tls: false,
            ports: { sparkWorkerUi: 8081 },
            secrets: {},
        });
        expect(workspace.services.workspace).toMatchObject({
            host: "127.0.0.1",
            ports: { jupyter: 8888, ssh: 2222 },
            secrets: { ssh: { user: "carbon" }, jupyter: {} },
        });
        expect(Object.keys(document(run, "redis").services)).toEqual(["redis"]);
        const second = document(run, "spark-worker-2").services;
        expect(Object.keys(second)).toEqual(["spark-master", "spark-worker"]);
        expect(second["spark-worker"]).toMatchObject({
            host: "spark-worker-2",
            ports: { sparkWorkerUi: 8081 },
        });
        for (const name of official) {
            const { uploads, envs } = only(run, container, `${name}-container`).inputs;
            expect(JSON.stringify(uploads), name).not.toContain("services.json");
            expect(envs, name).toEqual(["TZ=UTC"]);
        }
    });

    it("tells of no port, secret or login that the stack does not have", async () => {
        const { services } = document(
            await runProgram("dev", { compute: false, toolsets: [], services: [] }),
            "workspace",
        );
        expect(services).toEqual({
            workspace: {
                containers: ["carbon-dev-workspace"],
                host: "127.0.0.1",
                tls: false,
                ports: { ssh: 2222 },
                secrets: { ssh: { user: "carbon" } },
            },
        });
    });

    it("hands every password over as a file that only root reads, and in no other way", async () => {
        const run = await runProgram("dev", {
            services: ["postgres", "redis", "mosquitto", ...official, ...ofCompute],
        });
        const open = ["/usr/local/bin/carbon-mongodb", "/run/carbon/services.json"];
        for (const name of names(run, container)) {
            const { uploads, ...rest } = only(run, container, name).inputs;
            expect(JSON.stringify(rest), name).not.toMatch(/-password>/);
            const files = uploads as { file: string; content: unknown; permissions: string }[];
            for (const file of files.filter(({ file }) => !open.includes(file))) {
                expect(isSecret(file.content), name).toBe(true);
                expect(file.permissions).toBe("0400");
            }
        }
    });

    it("gives the workspace the passwords of the services it can reach", async () => {
        const run = await runProgram("dev", { services: ["redis"] });
        const { uploads } = only(run, container, "workspace-container").inputs;
        expect(JSON.stringify(uploads)).toContain("/run/carbon/secrets/redis");
        expect(JSON.stringify(uploads)).not.toContain("/run/carbon/secrets/postgres");
    });

    it("keeps volumes and images when the stack goes down", async () => {
        const run = await runProgram("dev");
        const kept = run.resources.filter(({ options }) => options.retainondelete).map(({ name }) => name);
        expect(kept.sort()).toEqual([
            "base-image",
            "compute-image",
            "compute-parts-image",
            "keys-volume",
            "mosquitto-mosquitto-volume",
            "postgres-postgres-volume",
            "redis-redis-volume",
            "workspace-home-volume",
        ]);
    });

    it("limits what each container may do to what the catalogue says", async () => {
        const run = await runProgram("dev", { services: every, sparkWorkers: 2 });
        for (const name of names(run, container)) {
            const { capabilities, noNewPrivileges, processes } = catalogued(name);
            const { inputs } = only(run, container, name);
            expect(inputs.capabilities, name).toEqual({
                drops: ["ALL"],
                adds: capabilities.map((capability) => `CAP_${capability}`),
            });
            expect(inputs.securityOpts, name).toEqual(
                noNewPrivileges ? ["no-new-privileges:true"] : undefined,
            );
            expect(inputs, name).toMatchObject({
                logDriver: "json-file",
                logOpts: { "max-size": "10m", "max-file": "3" },
            });
            const limit = only(run, command, name.replace("-container", "-processes")).inputs;
            expect(limit.create, name).toBe(`docker update --pids-limit ${processes} ${inputs.name}`);
            expect(limit.triggers, name).toEqual([`${name}-id`]);
        }
    });

    it("lets no container open a raw socket, trace others or gain privileges, but the workspace through sudo", () => {
        for (const { name, capabilities, noNewPrivileges } of everyService) {
            expect(capabilities, name).toEqual([...capabilities].sort());
            expect(capabilities, name).not.toEqual(
                expect.arrayContaining([
                    expect.stringMatching(/NET_RAW|NET_ADMIN|SYS_PTRACE|SYS_ADMIN|MKNOD/),
                ]),
            );
            expect(noNewPrivileges, name).toBe(name !== "workspace");
        }
    });

    it("mounts the keys in the workspace, and in other containers only where they speak TLS", async () => {
        const keys = { containerPath: "/var/lib/carbon/keys", volumeName: "carbon-dev-keys" };
        const withKeys = (run: Run) =>
            names(run, container).filter((name) =>
                (only(run, container, name).inputs.volumes as object[]).some(
                    (volume) => JSON.stringify(volume) === JSON.stringify(keys),
                ),
            );
        expect(withKeys(await runProgram("dev", { services: every }))).toEqual(["workspace-container"]);
        const open = await runProgram("dev", { bindAddress: "0.0.0.0" });
        expect(withKeys(open)).toEqual([
            "mosquitto-container",
            "postgres-container",
            "redis-container",
            "workspace-container",
        ]);
        expect(names(open, "docker:index/volume:Volume").filter((name) => /keys/.test(name))).toEqual([
            "keys-volume",
        ]);
    });

    it("makes a password for the login in front of the browser's desktop only where there is one", async () => {
        const passwords = async (settings: Record<string, unknown>) =>
            names(await runProgram("dev", settings), "random:index/randomPassword:RandomPassword");
        expect(await passwords({})).not.toContain("workspace-desktop-password");
        expect(await passwords({ bindAddress: "0.0.0.0" })).toContain("workspace-desktop-password");
    });

    it("tells those that speak TLS which names and addresses their certificates hold", async () => {
        const own = thisMachine(".").hostname?.().split(".")[0]?.toLowerCase();
        const expected = {
            "0.0.0.0": [own, `${own}.local`],
            "192.168.1.5": ["192.168.1.5", own, `${own}.local`],
        };
        for (const [bindAddress, tlsNames] of Object.entries(expected)) {
            const run = await runProgram("dev", { bindAddress });
            for (const name of ["redis", "workspace"]) {
                expect(document(run, name), name).toMatchObject({ tls: true, tlsNames });
                expect(document(run, name).services[name], name).toMatchObject({ tls: true });
            }
        }
    });

    it("stops a container gently before it replaces it", async () => {
        const run = await runProgram("dev");
        for (const name of names(run, container)) {
            const { inputs, options } = only(run, container, name);
            expect(inputs.destroyGraceSeconds).toBe(inputs.stopTimeout);
            expect(options.deletebeforereplace).toBe(true);
            expect(options.replaceonchanges).toEqual(["healthcheck"]);
        }
    });

    it("writes down the swap limit, so that it is no difference for ever", async () => {
        const run = await runProgram("dev", { memory: 2048 });
        expect(only(run, container, "workspace-container").inputs).toMatchObject({
            memory: 2048,
            memorySwap: 4096,
        });
    });

    it("trusts the network's certificates in builds through a secret", async () => {
        const run = await runProgram("dev", { extraCaCertificates: `${__dirname}/ca.pem` });
        expect(isSecret(only(run, image, "base-image").inputs.secrets)).toBe(true);
        expect(JSON.stringify(only(run, container, "workspace-container").inputs)).toContain(
            "/run/carbon/ca.pem",
        );
    });

    it("hands what is the user's to the containers that run the user's code, and to no others", async () => {
        const services = ["postgres", "redis", "mosquitto", ...official, ...ofCompute];
        const environment = { HF_TOKEN: "hf_s3cret", A: "b" };
        const run = await runProgram(
            "dev",
            { services, sparkWorkers: 2, environment, extraCaCertificates: `${__dirname}/ca.pem` },
            { HTTPS_PROXY: "http://u:pr0xy@proxy.corp:3128" },
        );
        const users = ["llm", "spark-master", "spark-worker-1", "spark-worker-2", "workspace"];
        for (const name of names(run, container)) {
            const { uploads, hosts, ...rest } = only(run, container, name).inputs;
            const isUsers = users.includes(name.replace("-container", ""));
            const files = uploads as { file: string; content: Record<string, string>; permissions: string }[];
            const file = files.find(({ file }) => file === "/run/carbon/environment.json");
            const certificates = files.find(({ file }) => file === "/run/carbon/ca.pem");
            expect(Boolean(file), name).toBe(isUsers);
            expect(certificates?.permissions, name).toBe(isUsers ? "0444" : undefined);
            const known = [{ host: "host.docker.internal", ip: "host-gateway" }];
            expect(hosts, name).toEqual(isUsers ? known : undefined);
            if (file) {
                expect(file.permissions).toBe("0400");
                expect(isSecret(file.content), name).toBe(true);
                expect(JSON.parse(String(file.content.value))).toMatchObject({
                    ...environment,
                    https_proxy: "http://u:pr0xy@proxy.corp:3128",
                    no_proxy: expect.stringMatching(/,postgres,carbon-dev-postgres,.*,spark-worker-2,/),
                });
            }
            const others = files.filter((other) => other !== file);
            expect(JSON.stringify([rest, others]), name).not.toMatch(/s3cret|pr0xy|HF_TOKEN|proxy/i);
        }
        const elsewhere = run.resources.filter(({ type }) => type !== container);
        expect(JSON.stringify([elsewhere, run.outputs])).not.toMatch(/s3cret|pr0xy/);
    });

    it("hands nobody a file of variables where there are none", async () => {
        expect(JSON.stringify(await runProgram("dev"))).not.toContain("environment.json");
    });

    it("puts every container into one time zone", async () => {
        const run = await runProgram("dev", { services: every, timezone: "US/Eastern" });
        for (const name of names(run, container)) {
            expect(only(run, container, name).inputs.envs, name).toContain("TZ=US/Eastern");
        }
        const auto = await runProgram("dev", {}, { TZ: "Asia/Tokyo" });
        expect(only(auto, container, "redis-container").inputs.envs).toEqual(["TZ=Asia/Tokyo"]);
    });

    it("builds through a proxy, which is no part of what the images are", async () => {
        const proxied = await runProgram("dev", {}, { HTTP_PROXY: "http://proxy.corp:3128" });
        const plain = await runProgram("dev");
        for (const name of names(proxied, image)) {
            const { buildArgs } = only(plain, image, name).inputs;
            expect(only(proxied, image, name).inputs.buildArgs).toEqual({
                ...(buildArgs as object),
                HTTP_PROXY: "http://proxy.corp:3128",
            });
        }
        expect(tag(proxied, "compute-image")).toBe(tag(plain, "compute-image"));
    });

    it("tells the workspace who signs in git", async () => {
        const uploads = async (identity: object) => {
            const run = await runProgram("dev", {}, {}, { gitIdentity: () => identity });
            return only(run, container, "workspace-container").inputs.uploads as object[];
        };
        expect(await uploads({ name: "Ada", email: "ada@example.com" })).toContainEqual({
            file: "/run/carbon/gitconfig",
            content: '[user]\n\tname = "Ada"\n\temail = "ada@example.com"\n',
            permissions: "0444",
        });
        expect(JSON.stringify(await uploads({}))).not.toContain("gitconfig");
    });

    it("makes the network in the range of the settings, or in one of Docker's choice", async () => {
        const network = async (changes: object) =>
            only(await runProgram("dev", { ...changes }), "docker:index/network:Network", "suite-network")
                .inputs;
        expect((await network({ subnet: "172.30.7.0/24" })).ipamConfigs).toEqual([
            { subnet: "172.30.7.0/24", gateway: "172.30.7.1" },
        ]);
        expect((await network({ subnet: "10.1.2.240/28" })).ipamConfigs).toEqual([
            { subnet: "10.1.2.240/28", gateway: "10.1.2.241" },
        ]);
        expect(await network({})).not.toHaveProperty("ipamConfigs");
    });

    it("gives a service the memory of the settings", async () => {
        const limits = async (serviceMemory: object) => {
            const run = await runProgram("dev", { serviceMemory: { redis: 777, ...serviceMemory } });
            const { memory, memorySwap } = only(run, container, "postgres-container").inputs;
            expect(only(run, container, "redis-container").inputs).toMatchObject({ memory: 777 });
            return [memory, memorySwap];
        };
        expect(await limits({})).toEqual([2048, 4096]);
        expect(await limits({ postgres: 8192 })).toEqual([8192, 16_384]);
    });

    it("takes three quarters of Docker's memory for the workspace", async () => {
        const run = await runProgram("dev", {}, {}, { dockerMemory: () => 16_000 });
        expect(only(run, container, "workspace-container").inputs).toMatchObject({ memory: 11_776 });
    });

    it("publishes the ports of the user's programs for this machine alone, and says where they arrive", async () => {
        const run = await runProgram("dev", {
            appPorts: [7860, 5001],
            portOffset: 100,
            bindAddress: "0.0.0.0",
        });
        const { ports } = only(run, container, "workspace-container").inputs;
        expect(ports).toEqual(
            expect.arrayContaining([
                { internal: 61000, external: 7960, ip: "127.0.0.1", protocol: "tcp" },
                { internal: 61001, external: 5101, ip: "127.0.0.1", protocol: "tcp" },
            ]),
        );
        const inside = (ports as { internal: number }[]).map(({ internal }) => internal);
        expect(inside).toEqual([...inside].sort((one, other) => one - other));
        expect(document(run, "workspace").appPorts).toEqual([
            { port: 7860, published: 7960, forward: 61000 },
            { port: 5001, published: 5101, forward: 61001 },
        ]);
        expect(document(run, "redis")).not.toHaveProperty("appPorts");
        const without = await runProgram("dev", { appPorts: [] });
        expect(document(without, "workspace").appPorts).toEqual([]);
        expect(JSON.stringify(without)).not.toContain("6100");
    });

    it("tells the workspace alone where pages with a card are on the host", async () => {
        const cards = async (changes: Record<string, unknown>) => {
            const run = await runProgram("dev", { portOffset: 100, ...changes });
            for (const name of (changes.services as string[] | undefined) ?? []) {
                expect(document(run, name)).not.toHaveProperty("cards");
            }
            return document(run, "workspace").cards?.map(({ title, url, secret }) => [title, url, secret]);
        };
        expect(await cards({ services: ["redis", "spark-master"], ports: { sparkUi: 4444 } })).toEqual([
            ["Desktop", "http://{host}:7000/#password={secret}", "vnc"],
            ["VS Code", "http://{host}:10099/login#password={secret}", "code-server"],
            ["Spark", "http://{host}:4544/", undefined],
            ["Spark history", "http://{host}:18180/", undefined],
        ]);
        expect(await cards({ bindAddress: "0.0.0.0" })).toEqual([
            ["Desktop", "https://{host}:7000/login#password={secret}", "desktop"],
            ["VS Code", "https://{host}:10099/login#password={secret}", "code-server"],
        ]);
        expect(await cards({ toolsets: ["python", "notebooks"], services: [] })).toEqual([]);
    });

    it("pushes through the export, and only where it is asked to", async () => {
        const run = await runProgram("dev", { push: true, imagePrefix: "ghcr.io/ada/carbon" });
        expect(only(run, image, "base-image").inputs.exports).toMatchObject([{ image: { push: true } }]);
    });

    it("reads the registry's cache where it is asked to, and writes it with what it pushes", async () => {
        const caches = async (changes: object) => {
            const { inputs } = only(
                await runProgram("dev", { imagePrefix: "ghcr.io/ada/carbon", ...changes }),
                image,
                "base-image",
            );
            return [inputs.cacheFrom, inputs.cacheTo];
        };
        const ref = "ghcr.io/ada/carbon/cache:base";
        const [both, own] = [{ registry: { ref } }, { registry: { ref: `${ref}-amd64` } }];
        expect(await caches({})).toEqual([undefined, undefined]);
        expect(await caches({ cache: "registry" })).toEqual([[both, own], undefined]);
        expect(await caches({ cache: "registry", push: true })).toEqual([
            [both, own],
            [{ registry: { ref: `${ref}-amd64`, mode: "max" } }],
        ]);
        const platforms = ["linux/arm64", "linux/amd64"];
        expect(await caches({ cache: "registry", push: true, platforms })).toEqual([
            [both, { registry: { ref: `${ref}-arm64` } }, own],
            [{ registry: { ref, mode: "max" } }],
        ]);
    });

    it("registers every resource of a stack whose images are pulled", async () => {
        const run = await runProgram("dev", pulling, {}, { ...withLogin, registries: registry() });
        await expect(`${JSON.stringify(run, null, 2)}\n`).toMatchFileSnapshot("../../golden/pull.json");
    });

    it("asks the provider for no login where Docker has no file of them", async () => {
        const run = await runProgram("dev", pulling, {}, { registries: registry() });
        expect(only(run, "pulumi:providers:docker", "docker").inputs).toEqual({});
    });

    it("replaces containers, and builds nothing, where a tag was moved in the registry", async () => {
        const other = `sha256:${"c".repeat(64)}`;
        const run = await runProgram("dev", pulling, {}, { registries: registry(other) });
        const ref = `ghcr.io/ada/carbon/compute@${other}`;
        expect(only(run, container, "workspace-container").inputs.image).toBe(ref);
        expect(names(run, image)).toEqual([]);
    });

    it("refuses images that cannot be pulled before it registers anything, all at once", async () => {
        const lookUp = () => ({ why: "denied" as const, words: "401" });
        const run = runProgram("dev", pulling, {}, { registries: { ...registry(), lookUp } });
        await expect(run).rejects.toThrow(/\/base:2026\.1 \(401\)\. Type.*\n.*\/compute:2026\.1 \(401\)/);
    });

    it("publishes on the address and ports of the settings", async () => {
        const run = await runProgram("dev", { portOffset: 100, bindAddress: "0.0.0.0" });
        expect(only(run, container, "redis-container").inputs).toMatchObject({
            ports: [{ internal: 6379, external: 6479, ip: "0.0.0.0", protocol: "tcp" }],
        });
    });

    it("checks again after every change, and tolerates failures where it only reports", async () => {
        const { inputs, options } = only(await runProgram("dev"), command, "verify-command");
        expect(inputs.create).toBe("docker exec carbon-dev-workspace carbon-verify --json");
        expect(inputs.triggers).toHaveLength(4);
        for (const service of ["workspace", "postgres", "redis", "mosquitto"]) {
            expect(JSON.stringify(options.dependencies)).toContain(`::${service}-processes`);
        }
        const reporting = only(await runProgram("dev", { verify: "report" }), command, "verify-command");
        expect(reporting.inputs.create).toMatch(/ \|\| \[ \$\? -eq 1 \]$/);
        const off = await runProgram("dev", { verify: "off" });
        expect(names(off, command)).not.toContain("verify-command");
        expect(off.outputs.verification).toBeNull();
    });

    it("uses the Docker context of the user", async () => {
        const provider = "pulumi:providers:docker";
        const desktop = await runProgram("dev", {}, { DOCKER_CONTEXT: "desktop-linux" });
        expect(only(desktop, provider, "docker").inputs.context).toBe("desktop-linux");
        expect(only(desktop, image, "base-image").inputs.builder).toEqual({ name: "desktop-linux" });
        expect(only(await runProgram("dev"), provider, "docker").inputs).not.toHaveProperty("context");
    });

    it("refuses a bad configuration before it registers anything", async () => {
        await expect(runProgram("dev", { uid: 0 })).rejects.toThrow(/carbon:uid = "0": not allowed/);
    });
});
