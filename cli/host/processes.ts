import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import * as path from "node:path";
import { z } from "zod";
import { gatewayEnvironment } from "../../host/environments";
import {
    type HostConfig,
    type HostHome,
    type HostProgram,
    inHome,
    readIfThere,
    writePrivate,
} from "../../host/home";

/** A program that runs on this machine as long as its user is there; supervise.py starts it again when it ends. */
export interface HostProcess {
    /** Also of its log, logs/<name>.log. */
    name: string;
    argv: string[];
    /** All that it gets. */
    env: Record<string, string>;
    /** Of its program and its packages, by which it is started anew when they change. */
    digest: string;
}

/** The folder of each program of the host: the gateway's, and the server of language models that the image has, too. */
const programFolders: Record<string, string> = {
    "carbon_gateway.py": "host/gateway",
    "supervise.py": "host/gateway",
    "llm_server.py": "dockerfiles/compute/rootfs/llm/usr/local/lib/carbon",
};

/** Names of the host's programs. */
export const scripts = Object.keys(programFolders);

/** The text of one of them, as this clone has it. */
export function programText(script: string): string {
    return readFileSync(path.join(__dirname, "../..", programFolders[script] ?? "", script), "utf8");
}

function digestOf(home: HostHome, script: string, environment: string): string {
    const stamp = readIfThere(stampFile(home, environment)) ?? "";
    return createHash("sha256").update(programText(script)).update(stamp).digest("hex");
}

/** What says of an environment, in its folder, which locks it was made from. */
export function stampFile(home: HostHome, environment: string): string {
    return path.join(path.dirname(path.dirname(programOf(home, environment))), ".carbon");
}

/** Whether what starts the programs is as this clone has it. */
export function hasCurrentSupervisor(home: HostHome): boolean {
    const script = "supervise.py";
    return readIfThere(inHome(home, "lib", script)) === programText(script);
}

/** Whether the list of what runs names the programs and packages that are there now. */
export function isListedAsIs(home: HostHome, config: HostConfig): boolean {
    const digests = (processes: readonly { digest?: unknown }[]) =>
        String(processes.map(({ digest }) => digest));
    try {
        const listed = JSON.parse(readIfThere(inHome(home, "processes.json")) ?? "");
        return hasCurrentSupervisor(home) && digests(listed) === digests(hostProcesses(home, config));
    } catch {
        return false;
    }
}

/** Variables that programs of the user's need, and that hold nothing secret. */
const handedOn = [
    ...["HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "LC_ALL", "TMPDIR", "TZ"],
    ...["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"],
    ...["NODE_EXTRA_CA_CERTS", "HF_ENDPOINT"],
    ...["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"],
    ...["http_proxy", "https_proxy", "all_proxy", "no_proxy"],
];

/** Variables that hold an address, in which a password can be. */
const isAddress = /proxy$|^HF_ENDPOINT$/i;

/** The environment of what runs on the host: of the command's own, what is needed. An address with a password is not. */
export function hostEnvironment(env: NodeJS.ProcessEnv = process.env): Record<string, string> {
    const kept = handedOn.flatMap((name) => {
        const value = env[name];
        return value && !(isAddress.test(name) && value.includes("@")) ? [[name, value] as const] : [];
    });
    return Object.fromEntries(kept);
}

/** A program of an environment's, such as its Python. */
export function programOf(home: HostHome, environment: string, program = "python"): string {
    return environment === gatewayEnvironment
        ? inHome(home, "gateway", "bin", program)
        : inHome(home, "envs", environment, "bin", program);
}

/** The Python of a kernel; undefined where it is not installed. */
export function kernelPython(home: HostHome, kernel: string): string | undefined {
    const python = programOf(home, kernel);
    return existsSync(python) ? python : undefined;
}

/** The gateway. Where the token lies it knows by itself: arguments and variables are for everybody to see. */
export function gatewayProcess(home: HostHome): HostProcess {
    return {
        name: "gateway",
        argv: [programOf(home, gatewayEnvironment), inHome(home, "lib", "carbon_gateway.py"), home.dir],
        env: hostEnvironment(),
        digest: digestOf(home, "carbon_gateway.py", gatewayEnvironment),
    };
}

function programProcess(home: HostHome, address: string, program: HostProgram): HostProcess {
    const filledIn = program.arguments.map((text) => text.replaceAll("{home}", home.dir));
    const place = ["--address", address, "--port", String(program.port)];
    const script = inHome(home, "lib", program.script);
    return {
        name: program.name,
        argv: [programOf(home, program.environment), "-I", script, ...place, ...filledIn],
        env: hostEnvironment(),
        digest: digestOf(home, program.script, program.environment),
    };
}

/** Everything that is to run. */
export function hostProcesses(
    home: HostHome,
    { address, kernels, programs }: Pick<HostConfig, "address" | "kernels" | "programs">,
): HostProcess[] {
    return [
        ...(kernels.length > 0 ? [gatewayProcess(home)] : []),
        ...programs.map((program) => programProcess(home, address, program)),
    ];
}

/** What supervise.py says of a process. */
const stateSchema = z.record(
    z.string(),
    z.object({ pid: z.int().nullable(), restarts: z.int(), since: z.number() }),
);

/** What runs, by name, as supervise.py has written it last. */
export function processStates(home: HostHome): z.infer<typeof stateSchema> {
    try {
        return stateSchema.parse(JSON.parse(readFileSync(inHome(home, "run", "state.json"), "utf8")));
    } catch {
        // It has not run yet.
        return {};
    }
}

/** Hands the list to supervise.py. */
export function writeProcesses(home: HostHome, processes: readonly HostProcess[]): void {
    writePrivate(inHome(home, "processes.json"), `${JSON.stringify(processes, null, 4)}\n`);
}
