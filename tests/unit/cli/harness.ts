import {
    chmodSync,
    copyFileSync,
    existsSync,
    mkdirSync,
    mkdtempSync,
    readFileSync,
    rmSync,
    writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa, type Options } from "execa";
import { onTestFinished } from "vitest";

const root = join(__dirname, "..", "..", "..");
const carbon = join(root, "cli", "carbon.js");

/**
 * The default of a sandbox's carbon:portOffset. Test files run side by side, and a command that looks whether a port is
 * free takes it for a moment: each of vitest's workers has ports of its own.
 */
export const portOffset = 21_500 + Number(process.env.VITEST_POOL_ID ?? 0);

/** How a fake program answers when its arguments, joined by blanks, match; a dot stands for any character, a line feed too. */
export interface Rule {
    match: string;
    stdout?: string;
    stderr?: string;
    code?: number;
    /** Name and contents of a file that it writes. */
    writes?: [string, string];
    /** Waits for SIGINT instead of ending, and ends with `code` then. */
    untilInterrupted?: boolean;
    /** Reads a line of its standard input first, which is in {@link Call}. */
    reads?: boolean;
    /** Ends once its standard input closes. */
    untilClosed?: boolean;
}

/** A call that a fake program got. */
export interface Call {
    program: string;
    args: string[];
    env: Record<string, string>;
    input?: string;
}

/** Rules by program, as fake.pl reads them: a Perl expression. */
export function rulesFile(rules: Record<string, Rule[]>): string {
    const perl = (value: unknown): string => {
        if (Array.isArray(value)) {
            return `[${value.map(perl).join(", ")}]`;
        }
        if (typeof value === "object" && value) {
            const entries = Object.entries(value).filter(([, one]) => one !== undefined);
            return `+{${entries.map(([key, one]) => `${key} => ${perl(one)}`).join(", ")}}`;
        }
        return typeof value === "string" ? `'${value.replace(/['\\]/g, "\\$&")}'` : String(Number(value));
    };
    return perl(rules);
}

/** What `docker info` says where all is well. */
export const healthyInfo = {
    ServerVersion: "28.0.0",
    OperatingSystem: "Debian GNU/Linux 13 (trixie)",
    Architecture: "x86_64",
    DockerRootDir: "/",
    DriverStatus: [["driver-type", "io.containerd.snapshotter.v1"]],
    MemTotal: 16e9,
};

/** A Docker Engine on which all is well and nothing runs. */
export const healthyDocker: Rule[] = [
    { match: "^info ", stdout: JSON.stringify(healthyInfo) },
    { match: "^buildx version$", stdout: "github.com/docker/buildx v0.30.0 abc\n" },
    {
        match: "^buildx inspect ",
        stdout: "Name: default\nPlatforms: linux/amd64, linux/amd64/v2, linux/arm64*\n",
    },
    { match: "^image inspect ", stdout: "sha256:0\n" },
    { match: "^image ls ", stdout: "" },
    { match: "^ps ", stdout: "" },
    { match: "^volume ls ", stdout: "" },
    { match: "^network ls ", stdout: "" },
];

/** A container as `docker inspect` describes it. */
export function container(
    name: string,
    ports: Record<string, number> = {},
    more: Record<string, unknown> = {},
) {
    return {
        Id: `id-of-${name}`,
        Name: `/carbon-dev-${name}`,
        State: {
            Status: "running",
            StartedAt: "2026-01-01T00:00:00Z",
            FinishedAt: "",
            Health: { Status: "healthy" },
        },
        Config: {
            Labels: { "carbon.stack": "dev", "carbon.service": name },
            Image: "localhost/carbon/base:dev",
        },
        NetworkSettings: {
            Ports: Object.fromEntries(
                Object.entries(ports).map(([inside, port]) => [
                    inside,
                    [{ HostIp: "127.0.0.1", HostPort: String(port) }],
                ]),
            ),
        },
        ...more,
    };
}

/** What `pulumi stack export` prints of a stack with these {@link container}s. */
export function stateOf(...names: string[]): string {
    const resources = names.map((name) => ({
        urn: `urn:pulumi:dev::carbon::carbon:components:Service$docker:index/container:Container::${name}-container`,
        type: "docker:index/container:Container",
        id: `id-of-${name}`,
        inputs: { name: `carbon-dev-${name}`, labels: [{ label: "carbon.service", value: name }] },
    }));
    return JSON.stringify({ version: 3, deployment: { resources } });
}

/** Rules for an engine that runs these containers. */
export function running(...containers: ReturnType<typeof container>[]): Rule[] {
    return [
        { match: "^ps ", stdout: containers.map(({ Id }) => `${Id}\n`).join("") },
        { match: "^inspect ", stdout: JSON.stringify(containers) },
    ];
}

/** Outputs of a deployed stack, as `pulumi stack output --json` prints them. */
export const stackOutputs = {
    urls: { jupyter: "http://127.0.0.1:8888/lab", ssh: "ssh://carbon@127.0.0.1:2222" },
    images: {
        base: { ref: "localhost/carbon/base:dev@sha256:1", digest: "sha256:1", platforms: ["linux/amd64"] },
    },
    verification: {
        schema: 1,
        target: "workspace",
        checks: [
            { id: "ssh", status: "PASS", expected: "a banner", observed: "SSH-2.0", seconds: 0.1, hint: "" },
        ],
        summary: { pass: 1, fail: 0, skip: 0, unsupported: 0 },
    },
    credentials: "[secret]",
};

/** A Pulumi CLI that does whatever it is told to. */
export const obedientPulumi: Rule[] = [
    { match: "^version$", stdout: "v3.260.0\n" },
    { match: "^stack select ", stdout: "" },
    {
        match: "^stack output .*--show-secrets",
        stdout: JSON.stringify({ ...stackOutputs, credentials: logins() }),
    },
    { match: "^stack output ", stdout: JSON.stringify(stackOutputs) },
    { match: "^stack export ", stdout: stateOf("workspace", "postgres", "redis", "mosquitto") },
    { match: "^stack history ", stdout: JSON.stringify([{ resourceChanges: { create: 20 } }]) },
    { match: "^(up|preview|refresh|destroy) ", stdout: "Updating (dev)\n" },
];

function logins() {
    return { ssh: { user: "carbon", password: "s3cret-ssh" }, jupyter: { token: "s3cret-jupyter" } };
}

/** A project in a folder of its own, and a PATH on which nothing but fakes is found. */
export class Sandbox {
    readonly dir = mkdtempSync(join(tmpdir(), "carbon-cli-"));
    readonly bin = join(this.dir, "bin");
    private readonly servers: Server[] = [];
    private readonly rules: Record<string, Rule[]> = {};

    constructor() {
        mkdirSync(this.bin);
        copyFileSync(join(root, "Pulumi.yaml"), join(this.dir, "Pulumi.yaml"));
        this.configure({ portOffset, toolsets: ["databases"], compute: false });
    }

    /** Writes Pulumi.dev.yaml. */
    configure(settings: Record<string, unknown>, stack = "dev"): void {
        // The default's are this machine's, and anybody may hold them.
        const config = Object.fromEntries(
            Object.entries({ appPorts: [], ...settings }).map(([key, value]) => [`carbon:${key}`, value]),
        );
        writeFileSync(join(this.dir, `Pulumi.${stack}.yaml`), JSON.stringify({ config }));
    }

    /** Puts a fake program into a folder, by default one on PATH. The first rule that matches answers. */
    install(program: "docker" | "pulumi" | "cosign", rules: Rule[], folder = this.bin): void {
        mkdirSync(folder, { recursive: true });
        copyFileSync(join(__dirname, "fake.pl"), join(folder, program));
        chmodSync(join(folder, program), 0o755);
        this.rules[program] = rules;
        writeFileSync(join(this.dir, "rules"), rulesFile(this.rules));
    }

    /** A stack's state in the project's own backend. */
    stateFile(stack: string): string {
        return join(this.dir, ".carbon", "state", ".pulumi", "stacks", "carbon", `${stack}.json`);
    }

    /** A state with an image of each tag; `deployed` is the tag of the last deployment that came to its end. */
    state(tags: string[], deployed = tags[0]): string {
        const images = { base: { ref: `${deployed}@sha256:1`, digest: "sha256:1", platforms: [] } };
        const resources = [
            { type: "pulumi:pulumi:Stack", outputs: { images } },
            { type: "docker:index/container:Container", inputs: { tags: 1 } },
            ...tags.map((tag) => ({ type: "docker-build:index:Image", inputs: { tags: [tag] } })),
        ];
        return JSON.stringify({ version: 3, checkpoint: { latest: { resources } } });
    }

    saveState(stack: string, tags: string[], deployed?: string): void {
        mkdirSync(join(this.stateFile(stack), ".."), { recursive: true });
        writeFileSync(this.stateFile(stack), this.state(tags, deployed));
    }

    /** Starts `carbon` in the project. */
    start(args: string[], env: Record<string, string> = {}) {
        const options = {
            cwd: this.dir,
            env: {
                PATH: this.bin,
                HOME: this.dir,
                CARBON_PROJECT_DIR: this.dir,
                FAKE_CALLS: join(this.dir, "calls"),
                FAKE_RULES: join(this.dir, "rules"),
                NO_COLOR: "1",
                ...env,
            },
            extendEnv: false,
            reject: false,
            stdin: "ignore",
        } satisfies Options;
        return execa(process.execPath, [carbon, ...args], options);
    }

    /** Runs `carbon` to its end. */
    async carbon(args: string[], env: Record<string, string> = {}) {
        const { exitCode, stdout, stderr } = await this.start(args, env);
        return { exitCode, stdout, stderr };
    }

    /** What the fakes were called with. */
    calls(program?: string): Call[] {
        const file = join(this.dir, "calls");
        const all = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
        return all
            .filter((line) => line !== "")
            .map((line) => JSON.parse(line))
            .filter((call: Call) => !program || call.program === program);
    }

    /** The arguments of each call, joined by blanks. */
    commands(program: string): string[] {
        return this.calls(program).map(({ args }) => args.join(" "));
    }

    /** Listens on a port of 127.0.0.1 that the system picks. */
    async occupyPort(): Promise<number> {
        const server = createServer();
        this.servers.push(server);
        await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
        const address = server.address();
        return typeof address === "object" && address ? address.port : 0;
    }

    remove(): void {
        for (const server of this.servers) {
            server.close();
        }
        // A fake that an interrupted command left running may still write down its call.
        rmSync(this.dir, { recursive: true, maxRetries: 5 });
    }
}

/** A sandbox that is gone after the test. */
export function sandbox(): Sandbox {
    const created = new Sandbox();
    onTestFinished(() => created.remove());
    return created;
}
