import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { memoryLimit } from "../../../catalogue/chosen";
import { toolsetBuildArgs } from "../../../catalogue/toolsets";
import { urls } from "../../../catalogue/urls";
import { pulumiYaml, reference } from "../../../scripts/reference";
import { type Machine, thisMachine } from "../../../settings/machine";
import { parseSettings } from "../../../settings/parse";
import { type Setting, settingDefinitions } from "../../../settings/schema";
import { projectFolders } from "../../../settings/workspaceDir";
import { problemsIn } from "./problems";

const certificate = readFileSync(`${__dirname}/ca.pem`, "utf8");
const mac: Machine = {
    env: {},
    home: "/Users/ada",
    user: "ada",
    projectDir: "/Users/ada/carbon",
    arch: "arm64",
    readFile: (file) => ({ "/ca.pem": certificate, "/empty.pem": "" })[file],
    isNotFolder: (file) => file === "/Users/ada/carbon/notes.txt",
    sockets: () => [],
    realpath: (file) => file,
    platform: "darwin",
};

function settings(raw: Record<string, unknown> = {}, machine: Partial<Machine> = {}) {
    const texts = Object.entries(raw).map(([key, value]) => [
        key,
        typeof value === "string" ? value : JSON.stringify(value),
    ]);
    return parseSettings("dev", Object.fromEntries(texts), { ...mac, ...machine });
}

function problemsOf(raw: Record<string, unknown>, machine: Partial<Machine> = {}) {
    return problemsIn(() => settings(raw, machine));
}

describe("settings", () => {
    it("has a complete set of defaults", () => {
        expect(settings()).toMatchObject({
            platforms: ["linux/arm64"],
            rootImage: "docker.io/library/debian:trixie-slim",
            imagePrefix: "localhost/carbon",
            builder: "default",
            bindAddress: "127.0.0.1",
            tls: false,
            workspaceDir: "/Users/ada/carbon/workspace",
            ports: {
                novnc: 6900,
                vnc: 5900,
                ssh: 2222,
                jupyter: 8888,
                codeServer: 9999,
                postgres: 5432,
                redis: 6379,
                mqtt: 1883,
            },
            verify: "strict",
        });
        expect(settings().cpus).toBeUndefined();
        expect(settings()).toMatchObject({
            timezone: "UTC",
            memory: 6144,
            environment: {},
            buildProxy: {},
            appPorts: [5001, 6006, 7860, 8000, 8050, 8501].map((port, index) => ({
                port,
                published: port,
                forward: 61000 + index,
            })),
        });
        expect(settings().subnet).toBeUndefined();
        expect(settings().gitConfig).toBeUndefined();
    });

    it("gives the workspace three quarters of what Docker has, or what others leave, in steps and with a least", () => {
        const memory = (all: number | undefined, services = ["redis"]) =>
            settings({ services }, { dockerMemory: () => all }).memory;
        expect([undefined, 1900, 3900, 7836, 8000, 15_900, 64_000].map((all) => memory(all))).toEqual([
            ...[6144, 2048, 2560, 5632, 5632, 11_776, 47_616],
        ]);
        expect([8185, 8190, 8191].map((all) => memory(all))).toEqual([5632, 5632, 5632]);
        expect(memory(8000, ["postgres", "redis", "mosquitto"])).toBe(5120);
        expect(memory(8000, ["llm"])).toBe(2048);
        const asked = { dockerMemory: () => expect.unreachable("a number needs no Docker") };
        expect(settings({ memory: 3000 }, asked).memory).toBe(3000);
    });

    it("takes ids of directories and of Macs", () => {
        for (const id of [1, 501, 20, 60_001, 65_533, 197_609, 1_834_401_104, 2_147_483_647]) {
            expect(settings({ uid: id, gid: id })).toMatchObject({ uid: id, gid: id });
        }
    });

    it("hands on the environment, as texts", () => {
        const environment = { HF_TOKEN: "hf_x", PORT: 8080, DEBUG: true, EMPTY: "", _x1: 'ä $HOME "#"' };
        expect(settings({ environment }).environment).toEqual({
            ...environment,
            PORT: "8080",
            DEBUG: "true",
        });
    });

    it("knows of secrets that a stack file holds only that they are there", () => {
        const secure = { secure: "v1:abc:def" };
        expect(settings({ environment: { HF_TOKEN: secure, A: "b" } }).environment).toEqual({
            HF_TOKEN: "",
            A: "b",
        });
        expect(settings({ environment: secure }).environment).toEqual({});
        expect(settings({ proxy: secure })).toBeDefined();
    });

    it("adds a proxy's variables to the environment, and reaches the stack without it", () => {
        const env = { HTTPS_PROXY: "http://u:p@proxy.corp:3128", NO_PROXY: ".corp" };
        const found = settings(
            { environment: { A: "b" }, services: ["redis"], subnet: "172.30.7.0/24" },
            { env },
        );
        const direct = [
            ...[
                ".corp",
                "localhost",
                "127.0.0.1",
                "::1",
                "host.docker.internal",
                "workspace",
                "carbon-dev-workspace",
            ],
            ...["redis", "carbon-dev-redis", "172.30.7.0/24"],
        ].join(",");
        expect(found.environment).toEqual({
            A: "b",
            HTTPS_PROXY: env.HTTPS_PROXY,
            https_proxy: env.HTTPS_PROXY,
            NO_PROXY: direct,
            no_proxy: direct,
        });
        expect(settings({ proxy: "none" }, { env }).environment).toEqual({});
    });

    it.each([
        "http://proxy.corp:3128",
        "https://u:p%40ss@proxy:443/",
        "http://10.0.0.1",
        "http://[fd00::1]:3128",
    ])("takes %s for a proxy", (proxy) => {
        expect(settings({ proxy }).environment).toMatchObject({ HTTP_PROXY: proxy, https_proxy: proxy });
    });

    it("numbers the ports of the user's programs, and adds portOffset to what is published", () => {
        expect(settings({ appPorts: [7860, 1024], portOffset: 100 }).appPorts).toEqual([
            { port: 7860, published: 7960, forward: 61000 },
            { port: 1024, published: 1124, forward: 61001 },
        ]);
        expect(settings({ appPorts: [] }).appPorts).toEqual([]);
    });

    it("writes CPUs as Docker reads them back", () => {
        expect(settings({ cpus: "1.50" }).cpus).toBe("1.5");
    });

    it("takes the platform of the machine for native, and once", () => {
        expect(settings({ platforms: ["native"] }, { arch: "x64" }).platforms).toEqual(["linux/amd64"]);
        expect(settings({ platforms: ["native", "linux/arm64"] }).platforms).toEqual(["linux/arm64"]);
    });

    it("builds with the builder of the current Docker context", () => {
        const desktop = { readFile: () => '{"currentContext":"desktop-linux"}' };
        expect(settings({}, desktop)).toMatchObject({
            builder: "desktop-linux",
            dockerContext: "desktop-linux",
        });
        expect(settings({}, { env: { DOCKER_CONTEXT: "colima" } }).builder).toBe("colima");
        expect(settings({}, { ...desktop, env: { DOCKER_HOST: "tcp://127.0.0.1:2375" } }).dockerContext).toBe(
            "default",
        );
        expect(settings({ builder: "ci" }, desktop)).toMatchObject({
            builder: "ci",
            dockerContext: "desktop-linux",
        });
    });

    it("adds portOffset to every port, also to those that are set", () => {
        const { ports } = settings({ portOffset: 100, ports: { jupyter: 8890 } });
        expect(ports).toMatchObject({ jupyter: 8990, ssh: 2322 });
    });

    it("leaves out the ports and toolsets of what is off", () => {
        const slim = settings({ compute: false, toolsets: ["databases", "torch"], services: ["redis"] });
        expect(slim.ports).toEqual({ ssh: 2222, redis: 6379 });
        expect(slim.toolsets).toEqual(["databases"]);
    });

    it("runs what costs no download, unless it is told otherwise", () => {
        expect(settings().services.map(({ name }) => name)).toEqual(["postgres", "redis", "mosquitto"]);
        expect(settings().serviceImages).toEqual({});
    });

    it("runs a container for each Spark worker, and publishes the first one's page", () => {
        const spark = { services: ["spark-worker", "spark-master"], sparkWorkers: 3 };
        const { services, ports } = settings(spark);
        expect(services.map(({ name }) => name)).toEqual([
            "spark-master",
            "spark-worker-1",
            "spark-worker-2",
            "spark-worker-3",
        ]);
        expect(ports).toMatchObject({ sparkUi: 8080, sparkHistory: 18080, sparkWorkerUi: 8081 });
        // A driver outside the network waits for ever for executors that do not find it.
        expect(ports).not.toHaveProperty("spark");
        expect(settings({ services: ["spark-master"] }).ports).not.toHaveProperty("sparkWorkerUi");
    });

    it.each([
        [{}, undefined],
        [{ llm: "host" }, "http://host.docker.internal:8011/v1"],
        [{ llm: "host", portOffset: 100 }, "http://host.docker.internal:8011/v1"],
        [{ llm: "host", llmUrl: "http://127.0.0.1:1234/v1/" }, "http://host.docker.internal:1234/v1"],
        [
            { llm: "host", llmUrl: "http://model-runner.docker.internal/engines/v1" },
            "http://model-runner.docker.internal/engines/v1",
        ],
        [
            { llm: "url", llmUrl: "https://[fd00::1]:8443/api/v1", llmKey: "sk-1" },
            "https://[fd00::1]:8443/api/v1",
        ],
    ])("has the workspace find the LLM of %j at %s", (changes, address) => {
        expect(settings(changes).llmAddress).toBe(address);
    });

    it.each(["auto", "Qwen3-0.6B-Q8_0.gguf"])("takes %s for a model", (llmModel) => {
        expect(settings({ llmModel }).llmModel).toBe(llmModel);
    });

    it("takes a service's own image from the catalogue, or from a mirror", () => {
        const mirrored = "mirror.example.com:5000/qdrant/qdrant:v1.18.1";
        const { serviceImages } = settings({
            services: ["mongodb", "qdrant"],
            serviceImages: { qdrant: mirrored, ollama: "ollama/ollama:0.35.0" },
        });
        expect(serviceImages).toEqual({
            mongodb: expect.stringMatching(
                /^docker\.io\/library\/mongo:8\.0\.\d+-noble@sha256:[0-9a-f]{64}$/,
            ),
            qdrant: mirrored,
        });
    });

    it.each([
        "mongo:8.0.28",
        `mongo@sha256:${"a".repeat(64)}`,
        `localhost:5000/a/b-c__d:1@sha256:${"a".repeat(64)}`,
    ])("takes %s for a pinned image", (image) => {
        expect(settings({ serviceImages: { mongodb: image } })).toBeDefined();
    });

    it("takes the memory of services from the settings, or from the catalogue", () => {
        const services = ["postgres", "redis", "spark-master", "spark-worker"];
        const chosen = settings({ services, serviceMemory: { postgres: 4096 }, sparkWorkerMemory: 3072 });
        const limits = chosen.services.map((service) => [service.name, memoryLimit(service, chosen)]);
        expect(Object.fromEntries(limits)).toEqual({
            postgres: 4096,
            redis: 512,
            "spark-master": 1536,
            "spark-worker-1": 3072,
        });
    });

    it("turns TLS on where other machines can connect", () => {
        const open = settings({ bindAddress: "0.0.0.0" });
        expect(open.tls).toBe(true);
        expect(urls(open)).toMatchObject({
            jupyter: "https://127.0.0.1:8888/lab",
            redis: "rediss://127.0.0.1:6379",
        });
        expect(urls(settings({ bindAddress: "::1" })).ssh).toBe("ssh://carbon@[::1]:2222");
    });

    it("finds the workspace folder from the project and from the home folder", () => {
        expect(settings({ workspaceDir: "~/code" }).workspaceDir).toBe("/Users/ada/code");
        expect(settings({ workspaceDir: "../shared" }).workspaceDir).toBe("/Users/ada/shared");
    });

    it("reads the certificates that the environment names, those of a file, or none", () => {
        expect(settings({}, { env: { NODE_EXTRA_CA_CERTS: "/ca.pem" } }).caCertificates).toBe(certificate);
        expect(settings({}, { env: { SSL_CERT_FILE: "/ca.pem" } }).caCertificates).toBe(certificate);
        expect(settings({ extraCaCertificates: "/ca.pem" }).caCertificates).toBe(certificate);
        expect(
            settings({ extraCaCertificates: "none" }, { env: { SSL_CERT_FILE: "/ca.pem" } }).caCertificates,
        ).toBeUndefined();
    });

    it("passes on only the certificates that are not among the usual ones", () => {
        const [usual = ""] = rootCertificates;
        const files: Record<string, string> = {
            "/both.pem": `# all\n${usual}\n${certificate}`,
            "/usual.pem": usual,
        };
        const readFile = (file: string) => files[file];
        expect(settings({ extraCaCertificates: "/both.pem" }, { readFile }).caCertificates).toBe(certificate);
        expect(settings({ extraCaCertificates: "/usual.pem" }, { readFile }).caCertificates).toBeUndefined();
    });

    it("takes another Debian 13 root, from a mirror and by digest", () => {
        const root = `mirror.example/library/debian:trixie-slim@sha256:${"a".repeat(64)}`;
        expect(settings({ rootImage: root }).rootImage).toBe(root);
    });
});

describe("the rules of the settings", () => {
    const all = Object.entries<Setting>(settingDefinitions);
    const ofType = (type: string) => all.filter(([, { rule }]) => rule.type === type);
    const accepts = ({ rule }: Setting, value: unknown) => rule.schema.safeParse(value).success;

    it.each(all)("take the default of %s", (_, setting) => {
        expect(accepts(setting, setting.default)).toBe(true);
    });

    it.each(ofType("integer"))("take for %s what its words say, and not one more", (_, setting) => {
        const [, min, max] =
            setting.rule.allowed.match(/^a whole number (?:of MiB )?from (\d+) to (\d+)$/) ?? [];
        expect(
            [Number(min) - 1, Number(min), Number(max), Number(max) + 1].map((n) => accepts(setting, n)),
        ).toEqual([false, true, true, false]);
        expect(accepts(setting, Number(min) + 0.5)).toBe(false);
    });

    const arrays = ofType("array").filter(([, { rule }]) => rule.items?.type === "string");

    it.each(arrays)("take for %s each item that its words name, and no other", (_, setting) => {
        const [, named = ""] =
            setting.rule.allowed.match(/^a list of (.*?), (?:none twice|with at least one)/) ?? [];
        // Words for texts that only an example can name.
        const items = /, such as (\S+)/.test(named) ? [] : named.split(", ");
        for (const item of items) {
            expect(accepts(setting, [item])).toBe(true);
            expect(accepts(setting, [`${item}x`])).toBe(false);
        }
    });

    const maps = ofType("object").filter(([, { rule }]) => / being /.test(rule.allowed));

    it.each(maps)("take for %s each name that its words have, and no other", (key, setting) => {
        const value = { ports: 70, serviceMemory: 256, pulledImages: "2026.1" }[key] ?? "qdrant/qdrant:v1";
        const [, named = ""] = setting.rule.allowed.match(/s being (.*)$/) ?? [];
        for (const name of named.split(", ")) {
            expect(accepts(setting, { [name]: value })).toBe(true);
            expect(accepts(setting, { [`${name}x`]: value })).toBe(false);
        }
    });

    it.each(["ollama", "verify", "gpu", "torchIndex"] as const)("take for %s each of its words", (key) => {
        const { rule } = settingDefinitions[key];
        for (const word of rule.allowed.split(", ")) {
            expect(rule.schema.safeParse(word).success).toBe(true);
        }
    });
});

describe("a bad configuration", () => {
    const bad: [string, Record<string, unknown>, RegExp][] = [
        ["a key of JavaScript's own", { constructor: 1 }, /^constructor: there is no such key/],
        ["an unknown key", { portz: 1 }, /^portz: there is no such key. Allowed: platforms, /],
        [
            "an unknown platform",
            { platforms: ["linux/riscv64"] },
            /^platforms: .*native, linux\/amd64, linux\/arm64/,
        ],
        ["no platform", { platforms: [] }, /^platforms: .*at least one/],
        ["a platform twice", { platforms: ["native", "native"] }, /^platforms: .*none twice/],
        ["a list that is not one", { platforms: "linux/amd64" }, /^platforms: .*a list of/],
        [
            "another root than Debian 13",
            { rootImage: "docker.io/library/ubuntu:22.04" },
            /^rootImage: .*Debian 13 alone/,
        ],
        ["an older Debian", { rootImage: "docker.io/library/debian:bookworm" }, /^rootImage: .*trixie or 13/],
        ["an image prefix without a host", { imagePrefix: "carbon" }, /^imagePrefix: .*a registry's host/],
        ["an image prefix in upper case", { imagePrefix: "ghcr.io/Me" }, /^imagePrefix: .*lower case/],
        [
            "an image prefix that docker would take for an option",
            { imagePrefix: "-x:5000/carbon" },
            /^imagePrefix: .*a registry's host/,
        ],
        [
            "a service's image that docker would take for an option",
            { serviceImages: { qdrant: "-x/qdrant:v1" } },
            /^serviceImages: .*a tag other than latest/,
        ],
        [
            "a push to nobody's registry",
            { push: true },
            /^push: localhost\/carbon is not a registry of yours/,
        ],
        [
            "a pull from nobody's registry",
            { images: "pull" },
            /^images: localhost\/carbon is not a registry of/,
        ],
        [
            "a cache in nobody's registry",
            { cache: "registry" },
            /^cache: localhost\/carbon is not a registry of/,
        ],
        [
            "a push of what is pulled",
            { push: true, images: "pull", imagePrefix: "ghcr.io/me/carbon" },
            /^push: images is pull, which builds nothing to push\. Set images to build/,
        ],
        [
            "one image to pull of two",
            { images: "pull", imagePrefix: "ghcr.io/me/carbon", pulledImages: { base: "2026.1" } },
            /^pulledImages: compute is missing\. Name both images, or neither/,
        ],
        [
            "an image to pull where none is pulled",
            { pulledImages: { base: "2026.1", compute: "2026.1" } },
            /^pulledImages: images is build, which pulls none/,
        ],
        [
            "an image to pull by a whole reference",
            { images: "pull", imagePrefix: "ghcr.io/me/carbon", pulledImages: { base: "ghcr.io/me/base:1" } },
            /^pulledImages: .*a tag, such as 2026\.1, or a digest/,
        ],
        ["a push that is neither true nor false", { push: "yes" }, /^push: .*true or false/],
        ["a builder with a space", { builder: "my builder" }, /^builder: .*docker buildx ls/],
        ["compute as a number", { compute: 1 }, /^compute: .*true or false/],
        ["an unknown toolset", { toolsets: ["cobol"] }, /^toolsets: .*python, node/],
        ["a toolset twice", { toolsets: ["go", "go"], services: [] }, /^toolsets: .*none twice/],
        [
            "a desktop without graphics",
            { toolsets: ["desktop"], services: [] },
            /^toolsets: desktop needs graphics/,
        ],
        ["Spark without Java", { toolsets: ["spark"], services: [] }, /^toolsets: spark needs java/],
        ["an unknown service", { services: ["oracle"] }, /^services: .*postgres, redis/],
        ["a service twice", { services: ["redis", "redis"] }, /^services: .*none twice/],
        [
            "a service without its toolset",
            { toolsets: [], services: ["redis"] },
            /^services: redis needs the toolset databases/,
        ],
        [
            "Spark workers without a master",
            { services: ["spark-worker"], sparkWorkers: 2 },
            /^services: spark-worker needs spark-master. Add spark-master, or leave spark-worker out/,
        ],
        [
            "a service of the compute image without that",
            { services: ["llm"], compute: false },
            /^services: llm needs the compute image. Set compute to true, or leave llm out/,
        ],
        [
            "a service of the compute image without its toolset",
            { services: ["llm"], toolsets: ["java", "spark"] },
            /^services: llm needs the toolset llm. Add it to toolsets, or leave llm out/,
        ],
        [
            "Spark open to other machines",
            { services: ["spark-master"], bindAddress: "0.0.0.0" },
            /^services: spark-master speaks no TLS/,
        ],
        ["no Spark worker", { sparkWorkers: 0 }, /^sparkWorkers: .*1 to 1000/],
        ["more Spark workers than 16", { sparkWorkers: 17 }, /^sparkWorkers: .*one machine runs up to 16/],
        [
            "a Swarm for no Spark worker",
            { cluster: "swarm", services: ["redis"] },
            /^cluster: .*Add spark-master and spark-worker to services/,
        ],
        [
            "nodes to choose from on one machine",
            { sparkWorkerNodes: ["node.role==worker"] },
            /^sparkWorkerNodes: .*cluster is off/,
        ],
        [
            "a placement constraint that is none",
            { sparkWorkerNodes: ["node.role=worker; rm"] },
            /^sparkWorkerNodes: .*placement constraints of Docker Swarm/,
        ],
        ["a Spark worker without room", { sparkWorkerMemory: 1024 }, /^sparkWorkerMemory: .*from 2048/],
        [
            "an LLM server elsewhere without an address",
            { llm: "url" },
            /^llmUrl: llm is url, which needs an address. Set llmUrl/,
        ],
        [
            "the service llm beside an LLM server on the host",
            { llm: "host", services: ["llm"] },
            /^llm: the workspace uses an LLM server on the host, but services has llm too. Leave it out of services, or set llm to service/,
        ],
        [
            "the service llm beside an LLM server elsewhere",
            { llm: "url", llmUrl: "https://a.example/v1", services: ["llm"] },
            /^llm: the workspace uses an LLM server elsewhere, but services has llm too/,
        ],
        [
            "an address for the service llm",
            { llmUrl: "https://a.example/v1" },
            /^llmUrl: llm is service, which has its own address. Set llm to host or url/,
        ],
        [
            "a key for the suite's own server",
            { llm: "host", llmKey: "sk-1" },
            /^llmKey: the suite's own server has a key of its own/,
        ],
        [
            "an address with a login",
            { llm: "url", llmUrl: "https://me:pw@a.example/v1" },
            /^llmUrl: .*without a login/,
        ],
        ["an address with a query", { llm: "url", llmUrl: "https://a.example/v1?key=1" }, /^llmUrl: /],
        [
            "an address of another protocol",
            { llm: "url", llmUrl: "ftp://a.example/v1" },
            /^llmUrl: .*http or https/,
        ],
        [
            "a key with a blank",
            { llm: "url", llmUrl: "https://a.example/v1", llmKey: "a b" },
            /^llmKey: .*a blank/,
        ],
        [
            "a host's LLM on a port of the stack's",
            { llm: "host", llmHostPort: 8888 },
            /^llmHostPort: jupyter and llmHostPort are both on host port 8888/,
        ],
        ["a host's LLM below 1024", { llm: "host", llmHostPort: 80 }, /^llmHostPort: .*1024 to 65535/],
        [
            "a variable that llmUrl stands for",
            { environment: { OPENAI_BASE_URL: "https://a.example/v1" } },
            /^environment: OPENAI_BASE_URL has a setting of its own. Use llmUrl/,
        ],
        [
            "a key that would go to the stack's own LLM server",
            { environment: { OPENAI_API_KEY: "sk-1" }, services: ["llm"] },
            /^environment: OPENAI_API_KEY would be sent to this stack's LLM server/,
        ],
        ["a model in a folder", { llmModel: "../a.gguf" }, /^llmModel: .*without a folder/],
        ["a model of another kind", { llmModel: "a.safetensors" }, /^llmModel: .*a \.gguf file/],
        [
            "an image that moves",
            { serviceImages: { qdrant: "qdrant/qdrant:latest" } },
            /^serviceImages: .*a tag other than latest/,
        ],
        [
            "an image that moves by default",
            { serviceImages: { qdrant: "localhost:5000/qdrant" } },
            /^serviceImages: .*a tag other than latest/,
        ],
        [
            "an image for a service of the suite's own",
            { serviceImages: { redis: "redis:8" } },
            /^serviceImages: .*mongodb, qdrant, ollama/,
        ],
        [
            "a service without TLS open to other machines",
            { services: ["redis", "qdrant"], bindAddress: "0.0.0.0" },
            /^services: qdrant speaks no TLS, and bindAddress 0.0.0.0 opens it .* set bindAddress to 127.0.0.1/,
        ],
        ["an unknown place of Ollama", { ollama: "cloud" }, /^ollama: .*service, host/],
        [
            "Ollama in two places",
            { ollama: "host", services: ["ollama"] },
            /^ollama: the workspace uses Ollama on the host, but services has ollama too/,
        ],
        ["an unknown port name", { ports: { gopher: 70 } }, /^ports: .*novnc, vnc/],
        ["a port out of range", { ports: { ssh: 70000 } }, /^ports: .*1 to 65535/],
        ["a port as a word", { ports: { ssh: "ssh" } }, /^ports: .*a whole number/],
        [
            "a host port used twice",
            { ports: { ssh: 8888 } },
            /^ports: jupyter and ssh are both on host port 8888/,
        ],
        ["a negative offset", { portOffset: -1 }, /^portOffset: .*0 to 50000/],
        [
            "an offset past the last port",
            { portOffset: 50000, ports: { ssh: 20000 } },
            /^portOffset: ssh would be on port 70000/,
        ],
        ["a bind address that is a name", { bindAddress: "localhost" }, /^bindAddress: .*IPv4 or IPv6/],
        ["a file as workspace", { workspaceDir: "notes.txt" }, /^workspaceDir: .*is not a folder/],
        ["a workspace with a colon", { workspaceDir: "a:b" }, /^workspaceDir: .*without a colon/],
        ["root as user", { uid: 0 }, /^uid: .*1 to 2147483647/],
        ["an id that Docker does not take", { gid: 2147483648 }, /^gid: .*1 to 2147483647/],
        ["nobody as user", { uid: 65534 }, /^uid: that is nobody's, .* Use your own: `id -u`/],
        ["nogroup as group", { gid: 65534 }, /^gid: that is nobody's/],
        ["a time zone of no database", { timezone: "Middle-earth/Shire" }, /^timezone: .*auto, or a name of/],
        [
            "a time zone in another spelling",
            { timezone: "europe/berlin" },
            /^timezone: .*spelled as it is there/,
        ],
        ["an offset as time zone", { timezone: "+02:00" }, /^timezone: /],
        ["no time zone", { timezone: "" }, /^timezone: /],
        ["a proxy of another protocol", { proxy: "ftp://proxy:21" }, /^proxy: .*auto, none, or the address/],
        ["a proxy without a scheme", { proxy: "proxy:3128" }, /^proxy: .*such as http:/],
        [
            "a network of the internet",
            { subnet: "8.8.8.0/24" },
            /^subnet: .*private IPv4 network of \/16 to \/28/,
        ],
        ["an address inside a network", { subnet: "10.0.0.1/24" }, /^subnet: .*such as 172\.30\.7\.0\/24/],
        [
            "a memory of an unknown service",
            { serviceMemory: { oracle: 1024 } },
            /^serviceMemory: .*postgres, redis/,
        ],
        ["a memory that has a key of its own", { serviceMemory: { workspace: 1024 } }, /^serviceMemory: /],
        ["too little memory for a service", { serviceMemory: { redis: 64 } }, /^serviceMemory: .*from 128/],
        ["a system's port for programs", { appPorts: [80] }, /^appPorts: .*from 1024 to 65535/],
        [
            "kernels on the machine without JupyterLab",
            { gpu: "host", compute: false, toolsets: [], services: [] },
            /^gpu: host needs the compute image, which has JupyterLab. Set compute to true, or gpu to off./,
        ],
        [
            "a port of the stack's for the gateway",
            { gpu: "host", gpuPort: 8888 },
            /^gpuPort: jupyter and the gateway \(gpuPort\) are both on host port 8888. Give each a port of its own/,
        ],
        ["a system's port for the gateway", { gpuPort: 80 }, /^gpuPort: .*from 1024 to 65535/],
        ["a program's port twice", { appPorts: [8000, 8000] }, /^appPorts: .*none twice/],
        ["a program's port as a word", { appPorts: ["8000"] }, /^appPorts: .*a whole number/],
        [
            "a program's port that is a service's",
            { appPorts: [8888] },
            /^appPorts: jupyter and appPorts' 8888 are both on host port 8888. Take it out of appPorts, or move jupyter with ports/,
        ],
        [
            "a service's port that is a program's",
            { ports: { ssh: 8000 } },
            /^appPorts: ssh and appPorts' 8000 are both on host port 8000/,
        ],
        [
            "a program's port that is taken in the workspace",
            { appPorts: [61000] },
            /^appPorts: 61000 is one of 61000 to 61000/,
        ],
        [
            "a program's port past the last",
            { appPorts: [65535], portOffset: 1 },
            /^portOffset: appPorts' 65535 would be on port 65536/,
        ],
        ["environment as a list", { environment: ["A=b"] }, /^environment: .*texts by name/],
        ["a variable that is a list", { environment: { A: ["b"] } }, /^environment: .*texts by name/],
        [
            "a number that would change",
            { environment: { A: 1.1 } },
            /^environment: .*in quotes where they are numbers/,
        ],
        [
            "a number that is too long",
            { environment: '{"A": 12345678901234567890}' },
            /^environment: .*long ones/,
        ],
        [
            "a variable without a name",
            { environment: { "": "x" } },
            /^environment: "" is no name of a variable/,
        ],
        [
            "a variable with a dash",
            { environment: { "A-B": "x" } },
            /^environment: "A-B" is no name .*letters, digits/,
        ],
        ["a variable with a digit in front", { environment: { "1A": "x" } }, /^environment: "1A" is no name/],
        [
            "a variable of two lines",
            { environment: { KEY: "a\nb" } },
            /^environment: KEY has more than one line/,
        ],
        [
            "a variable that is too long",
            { environment: { A: "x".repeat(40_000) } },
            /^environment: A has more than 32768/,
        ],
        [
            "a proxy as variable",
            { environment: { https_proxy: "x" } },
            /^environment: https_proxy has .* Use proxy\./,
        ],
        [
            "a bundle as variable",
            { environment: { SSL_CERT_FILE: "/x" } },
            /^environment: SSL_CERT_FILE .* Use extraCaCertificates/,
        ],
        ...[
            "PATH",
            "HOME",
            "LD_PRELOAD",
            "BASH_ENV",
            "CARBON_UID",
            "DISPLAY",
            "UID",
            "IFS",
            "OPENSSL_CONF",
        ].map((name): [string, Record<string, unknown>, RegExp] => [
            `${name} as variable`,
            { environment: { [name]: "x" } },
            new RegExp(`^environment: ${name} is set by the suite, or decides what`),
        ]),
        ["a uid with a fraction", { uid: 1.5 }, /^uid: .*whole number/],
        ["a gid as a name", { gid: "staff" }, /^gid: .*whole number/],
        ["a share of no CPU at all", { cpus: "many" }, /^cpus: .*0 to 512/],
        ["more CPUs than there are", { cpus: "999" }, /^cpus: .*0 to 512/],
        ["CPUs with three decimals", { cpus: "1.125" }, /^cpus: .*at most two decimals/],
        ["memory with a unit", { memory: "8g" }, /^memory: .*MiB/],
        ["too little memory", { memory: 64 }, /^memory: .*from 512/],
        ["memory as a fraction", { memory: "1024.5" }, /^memory: .*auto, or a whole number/],
        ["too little shared memory", { shmSize: 1 }, /^shmSize: .*from 64/],
        ["an unknown way to verify", { verify: "maybe" }, /^verify: .*strict, report, off/],
        [
            "certificates that are not there",
            { extraCaCertificates: "/none.pem" },
            /^extraCaCertificates: \/none.pem cannot be read/,
        ],
        [
            "a file without certificates",
            { extraCaCertificates: "/empty.pem" },
            /^extraCaCertificates: \/empty.pem does not start/,
        ],
        ["no certificates' file at all", { extraCaCertificates: "" }, /^extraCaCertificates: .*auto, none/],
        [
            "an encrypted value",
            { builder: '{"secure":"v1:abc"}' },
            /^builder: it is no secret. Write it in plain text/,
        ],
        ["an unknown torch index", { torchIndex: "conda" }, /^torchIndex: .*auto, cpu, pypi/],
    ];

    it.each(bad)("with %s is refused", (_, raw, message) => {
        const problems = problemsOf(raw);
        expect(problems).toHaveLength(1);
        expect(problems[0]).toMatch(message);
    });

    it("with more certificates than a build can be handed is refused", () => {
        const [first = "", ...rest] = certificate.split("\n");
        // Each with another first line of base64, and so another certificate as far as the file can say.
        const many = Array.from({ length: 300 }, (_, i) =>
            [first, `${i}`.padStart(64, "A"), ...rest].join("\n"),
        );
        const readFile = () => certificate + many.join("");
        expect(problemsOf({ extraCaCertificates: "/ca.pem" }, { readFile })[0]).toMatch(
            /has \d+ bytes of certificates besides the usual ones, and builds take 122880/,
        );
    });

    it("never shows a value that may be secret", () => {
        const hidden = { environment: { PATH: "s3cret", B: "s3cret\n" }, proxy: "s3cret://u:s3cret@p" };
        expect(() => settings(hidden)).toThrow(/carbon:environment = \(hidden\): PATH /);
        expect(() => settings(hidden)).toThrow(/carbon:proxy = \(hidden\): not allowed/);
        expect(() => settings(hidden)).not.toThrow(/s3cret/);
    });

    it("names every variable that is wrong", () => {
        expect(problemsOf({ environment: { PATH: "x", "A-B": "x", OK: "x", HTTP_PROXY: "x" } })).toHaveLength(
            3,
        );
        const many = Object.fromEntries(Array.from({ length: 201 }, (_, i) => [`V${i}`, ""]));
        expect(problemsOf({ environment: many })).toEqual([
            "environment: it has 201 variables. Allowed: up to 200.",
        ]);
    });

    it("is reported whole, with the values and the file to change", () => {
        expect(() => settings({ uid: "root", portz: 1, verify: "maybe" })).toThrow(
            [
                'The configuration of stack "dev" has 3 problems:',
                `  carbon:portz = "1": there is no such key. Allowed: ${Object.keys(settingDefinitions).join(", ")}.`,
                '  carbon:uid = "root": not allowed. Allowed: a whole number from 1 to 2147483647.',
                '  carbon:verify = "maybe": not allowed. Allowed: strict, report, off.',
                "Change it in Pulumi.dev.yaml; docs/reference.md describes every key.",
            ].join("\n"),
        );
    });
});

describe("workspaceDir", () => {
    const linux: Partial<Machine> = {
        platform: "linux",
        home: "/home/ada",
        projectDir: "/home/ada/carbon",
        readFile: (file) =>
            ({
                "/etc/passwd": "root:x:0:0::/root:/bin/sh\nbob:x:1001:1001::/srv/people/bob:/bin/sh\n",
                "/etc/docker/daemon.json": '{"data-root": "/data/docker"}',
            })[file],
    };
    const refusal = (workspaceDir: string, machine: Partial<Machine>) =>
        problemsOf({ workspaceDir }, machine).join();

    it.each([
        ...["/", "/bin", "/boot/x", "/dev", "/dev/shm/x", "/etc", "/etc/", "/etc/.", "/home/../etc/ssh"],
        ...[
            "/lib",
            "/lib64/x",
            "/proc/self",
            "/root",
            "/root/x",
            "/run",
            "/run/user/1000/x",
            "/run/media/ada",
        ],
        ...[
            "/sbin",
            "/sys/fs",
            "/usr/local/x",
            "/var",
            "/var/run",
            "/var/lib/docker/x",
            "/var/tmp/x",
            "../../../etc",
        ],
        ...["/home", "/tmp", "/mnt", "/media", "/opt", "~", "/home/ada/", "..", ".", "../carbon"],
        ...[
            ".carbon",
            ".carbon/state/x",
            ".git",
            "cli",
            "cli/x",
            "node_modules",
            "dockerfiles/base",
            "host/x",
        ],
        ...["~/.ssh", "~/.gnupg/x", "~/.aws", "~/.config/x", "~/.carbon", "~/.local/share/x", "~/.anything"],
        ...["~/bin", "~/snap/firefox/common", "/srv", "/efi", "/nix/store", "/host_mnt/Users/ada", "/mnt/c"],
        ...["/tmp/.X11-unix", "/.snapshots/1/snapshot", "/data2/.hidden/x", "/mnt/wsl/docker-desktop"],
        ...[
            "/srv/people",
            "/srv/people/bob",
            "/srv/people/bob/.ssh",
            "/data",
            "/data/docker",
            "/data/docker/x",
        ],
    ])("on Linux does not take %s", (workspaceDir) => {
        expect(refusal(workspaceDir, linux)).toMatch(/^workspaceDir: \/.* Choose a folder for this alone, /);
    });

    it.each([
        ...[
            "workspace",
            "workspace-2",
            "workspace/deep",
            "mine/here",
            "~/code/ws",
            "/tmp/xyz/ws",
            "/srv/data",
        ],
        ...[
            "/data2",
            "/mnt/disk/ws",
            "/media/ada/disk",
            "/opt/ws",
            "/home/shared/ws",
            "/run/media/ada/disk/ws",
        ],
        ...["/srv/people/bob/ws", "/etcetera", "/variety/run", "/usrlocal"],
    ])("on Linux takes %s", (workspaceDir) => {
        expect(refusal(workspaceDir, linux)).toBe("");
    });

    it.each([
        ...[
            "/System",
            "/Library/x",
            "/Applications",
            "/private",
            "/private/etc/x",
            "/private/var/db",
            "/usr/local",
        ],
        ...[
            "/etc",
            "/ETC/x",
            "/users",
            "/Users/ADA",
            "/Users",
            "/Volumes",
            "/volumes",
            "/dev/x",
            "/private/tmp",
        ],
        ...[
            "~/Library",
            "~/library/x",
            "/Users/Ada/.SSH",
            "/Users/ada/Carbon",
            "CLI/x",
            "/cores",
            "~/.docker/run",
        ],
        ...["~/bin", "/opt/homebrew/bin", "/run/host-services", "/host_mnt/Users/ada/ws", "/proc/1", "/root"],
    ])("on a Mac does not take %s", (workspaceDir) => {
        expect(refusal(workspaceDir, {})).toMatch(/^workspaceDir: \/.* Choose a folder for this alone, /);
    });

    it.each([
        ...["workspace", "~/code/ws", "/Volumes/Disk/ws", "/Volumes/Disk", "/Users/Shared/ws", "/opt/ws"],
        ...["/private/tmp/ws", "/private/var/folders/xy/z/T/ws", "~/Libraries"],
    ])("on a Mac takes %s", (workspaceDir) => {
        expect(refusal(workspaceDir, {})).toBe("");
    });

    it("may lie in the project or the home, wherever these lie", () => {
        const build = { ...linux, home: "/var/lib/ci", projectDir: "/var/lib/ci/jobs/carbon" };
        expect(refusal("workspace", build)).toBe("");
        expect(refusal("~/ws", build)).toBe("");
        expect(refusal("/root/ws", { ...linux, home: "/root", projectDir: "/srv/carbon" })).toBe("");
        expect(refusal("/var/lib/ws", build)).toContain("lies in the system's /var");
        expect(refusal("/var/lib", build)).toContain("contains the project's own folder");
        expect(refusal("~/.ssh", build)).toContain(
            "is /var/lib/ci/.ssh, where programs and what they keep lie",
        );
    });

    it("knows every folder of the repository as the project's own", () => {
        const tracked = execFileSync("git", ["ls-files"], { encoding: "utf8" }).split("\n");
        const folders = tracked.filter((file) => file.includes("/")).map((file) => file.split("/")[0] ?? "");
        const shown = [...new Set(folders)].filter((folder) => !folder.startsWith("."));
        expect(projectFolders).toEqual(expect.arrayContaining(shown));
    });

    describe("on this machine's own disk", () => {
        let folder: string;
        const here = (workspaceDir: string) => {
            const projectDir = join(folder, "project");
            return refusal(workspaceDir, { ...thisMachine(projectDir), env: {} });
        };

        beforeEach(() => {
            folder = realpathSync(mkdtempSync(join(tmpdir(), "carbon-workspace-")));
            mkdirSync(join(folder, "project/cli"), { recursive: true });
        });
        afterEach(() => rmSync(folder, { recursive: true }));

        it("takes a link to a harmless folder, and leaves it as it was written", () => {
            mkdirSync(join(folder, "real"));
            symlinkSync("real", join(folder, "link"));
            expect(here(join(folder, "link"))).toBe("");
            expect(
                settings(
                    { workspaceDir: join(folder, "link") },
                    { ...thisMachine(join(folder, "project")), env: {} },
                ).workspaceDir,
            ).toBe(join(folder, "link"));
        });

        it.each([
            ["/", "contains the project's own folder"],
            ["/etc", "the system's"],
            ["/var/run", "the system's"],
            ["/usr/no-such-folder/deep", "lies in the system's /usr"],
            [homedir(), "your home folder"],
            ["project", "is the project's own folder"],
            ["project/cli", "is cli of the project"],
            [".", "contains the project's own folder"],
        ])("does not take a link to %s, nor what lies below it", (target, reason) => {
            symlinkSync(target, join(folder, "link"));
            const said = here(join(folder, "link"));
            expect(said).toContain(`${join(folder, "link")} leads to /`);
            expect(said).toContain(reason);
        });

        it("follows a link in the middle, a chain of links, and one to what does not exist yet", () => {
            symlinkSync("/etc", join(folder, "one"));
            symlinkSync("one", join(folder, "two"));
            symlinkSync("/usr/not/there", join(folder, "three"));
            expect(here(join(folder, "two/new/folder"))).toMatch(
                /leads to \/(private\/)?etc\/new\/folder, which/,
            );
            expect(here(join(folder, "three/deep"))).toContain("leads to /usr/not/there/deep, which lies in");
        });

        it("does not take a circle of links", () => {
            symlinkSync("two", join(folder, "one"));
            symlinkSync("one", join(folder, "two"));
            expect(here(join(folder, "one"))).toContain("go round in a circle");
        });

        it("does not take a folder with Docker's socket in it, nor a socket, nor a device", async () => {
            const server = createServer();
            await new Promise<void>((listening) => server.listen(join(folder, "docker.sock"), listening));
            try {
                mkdirSync(join(folder, "linked"));
                symlinkSync("../docker.sock", join(folder, "linked/docker.sock"));
                expect(here(join(folder, "linked"))).toContain("holds the socket docker.sock");
                expect(here(join(folder, "docker.sock"))).toContain("is not a folder");
                mkdirSync(join(folder, "tmux-1000"));
                symlinkSync("../docker.sock", join(folder, "tmux-1000/default"));
                expect(here(join(folder, "tmux-1000"))).toContain("holds the socket default");
                expect(here("/dev/null")).toMatch(/is not a folder|the system's \/dev/);
            } finally {
                server.close();
            }
        });
    });
});

describe("what is generated", () => {
    it("gives Pulumi.yaml every key with type, description and default", () => {
        expect(readFileSync("Pulumi.yaml", "utf8")).toBe(pulumiYaml());
        const { config } = parse(pulumiYaml());
        expect(Object.keys(config)).toEqual(Object.keys(settingDefinitions));
        for (const key of Object.values(config)) {
            expect(key).toMatchObject({ type: expect.any(String), description: expect.any(String) });
            expect(key).toHaveProperty("default");
        }
    });

    it("describes every key, service and output in the reference", () => {
        expect(readFileSync("docs/reference.md", "utf8")).toBe(reference());
    });

    it("names the Dockerfile's build argument after the toolset", () => {
        expect(toolsetBuildArgs(["go", "codeServer"], ["codeServer"])).toEqual({
            TOOLSET_GO: "false",
            TOOLSET_CODE_SERVER: "true",
        });
    });
});
