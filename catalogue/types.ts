import type { Toolset } from "./toolsets";

/**
 * Which image a service runs from: one of the suite's own two (`suite` is compute, or base where there is no compute),
 * or an official one by its full reference.
 */
export type ServiceImage = "base" | "compute" | "suite" | { ref: string };

/** A port that a service publishes on the host. */
export interface PortSpec {
    /** Key in the setting `ports` and in the stack output `urls`. */
    name: string;
    /** Port inside the container, and the default outside. */
    port: number;
    /** What answers there, in a user's words. */
    title: string;
    /** What it speaks, where its address does not say. */
    speaks?: "grpc";
    /** Address to open; `{host}` and `{port}` are filled in. */
    url: string;
    /** The same with TLS on, where it differs. */
    tlsUrl?: string;
    /**
     * Where its page logs in by itself, seen from the address; `{secret}` is filled in. It stands behind the `#`, which a
     * browser sends nowhere. Absent where it has no such page.
     */
    loginUrl?: string;
    /** The same with TLS on, where it differs. */
    tlsLoginUrl?: string;
    /** Label of its card in JupyterLab's launcher, where it has one. The icon is `/etc/jupyter/<name>.svg`. */
    card?: string;
    /** Name of the secret that opens it; absent where there is no login. */
    secret?: string;
    /** The same with TLS on, where it differs. */
    tlsSecret?: string;
    /** Published only when this toolset is on. */
    toolset?: Toolset;
    /** Published only when the compute image is on. */
    compute?: boolean;
}

/** A named volume, kept when the stack goes down. */
export interface VolumeSpec {
    /** Short name; Docker's is `carbon-<stack>-<name>`. */
    name: string;
    /** Mount point in the container. */
    path: string;
    /** Mounted in the workspace too, at the same place. */
    shared?: boolean;
}

/** A file of the project's that is put into the container before it starts. */
export interface FileSpec {
    /** Absolute path in the container. */
    path: string;
    /** Where it lies in the project. */
    source: string;
    /** Octal, such as 0555. */
    permissions: string;
}

/**
 * A generated password. It reaches the workspace, and its own service, as the file `/run/carbon/secrets/<name>`,
 * readable by root.
 */
export interface SecretSpec {
    /** File name. */
    name: string;
    /** Key in the stack output `credentials`. */
    key: string;
    /** Characters, all of them letters and digits. */
    length: number;
    /** Which field of the credential the password is. */
    field: "password" | "token" | "apiKey";
    /** What else a login takes, such as a user name. */
    login?: Record<string, string>;
    /** The file that its own service takes it from instead; `{secret}` is filled in. */
    file?: { path: string; content: string };
    toolset?: Toolset;
    compute?: boolean;
    /** Generated only where the services speak TLS. */
    tls?: boolean;
}

/** Docker's health check. Durations are in Go's canonical form ("30s", "1m0s"), as the Docker API reads them back. */
export interface HealthSpec {
    /** Docker's test; `carbon-health`, which the suite's own images hold, when absent. */
    test?: string[];
    interval: string;
    timeout: string;
    /** While it lasts, a failing check counts as `starting`: as long as a database may need to recover. */
    startPeriod: string;
    /** Interval during the start period, so that a healthy container is seen at once. */
    startInterval: string;
    retries: number;
}

/** What a container, root in it included, may do at most. */
export interface ServiceLimits {
    /**
     * Linux capabilities that it has, sorted and without `CAP_`; all others are dropped, Docker's default ones too
     * (capabilities(7)).
     */
    capabilities: string[];
    /**
     * True where no program gains rights when it is started, set-uid ones included
     * (https://docs.kernel.org/userspace-api/no_new_privs.html).
     */
    noNewPrivileges: boolean;
    /** Most processes and threads at a time. */
    processes: number;
}

/** The settings that entries of the catalogue refer to, by key. */
export interface ReferredSettings {
    uid: number;
    gid: number;
    memory: number;
    sparkWorkerMemory: number;
    llmModel: string;
    ollama: "service" | "host";
    /** Of the LLM server as the workspace reaches it, where it is no service of the stack. */
    llmAddress?: string;
    timezone: string;
    serviceMemory: Partial<Record<string, number>>;
}

/** Those of them that a variable can hold. */
export type PlainSetting = Exclude<keyof ReferredSettings, "serviceMemory" | "llmAddress">;

/** Value of a variable for clients: a text, the address of a port of the service, by the port's name, or a setting's value. */
export type ClientValue = { value: string } | { port: string } | { setting: PlainSetting };

/** How a program in the workspace connects, for the reference and for the tests, which run it. */
export interface ConnectionSpec {
    /** The variable with the address, which the image's `client` of the service or `clientEnv` sets; without a password. */
    variable?: string;
    /** Host and port, where it is not the service's first port. */
    at?: string;
    /** One line of Python, after `import os` and the modules that it names. */
    python: string;
    /** The same with TLS on, where it differs. */
    tlsPython?: string;
}

/** A kind of files whose version a server must be able to read. */
export type DataFormat = "postgres" | "redis" | "mosquitto";

/** One container of the suite, as plain data. */
export interface ServiceSpec extends ServiceLimits {
    /** Name on the network, in the container's name and in the setting `services`. */
    name: string;
    /** What it is, in a user's words. */
    title: string;
    image: ServiceImage;
    /** Toolset of the image that holds the service. */
    toolset?: Toolset;
    /** Arguments of the image's entry point, in the suite's own images the role; the image's own when absent. */
    command?: string[];
    /** The setting with the number of its containers, which are `<name>-1`, `<name>-2`, …; one when absent. */
    count?: "sparkWorkers";
    /** The service that must be up first; its secrets are this one's too. */
    needs?: string;
    /** Environment variables that hold the value of a setting. */
    env?: Record<string, PlainSetting>;
    /** Environment variables of the workspace, for programs that use the service. */
    clientEnv?: Record<string, ClientValue>;
    connection?: ConnectionSpec;
    /** The setting that can place it on the user's machine (`host`) instead of in the stack. */
    place?: "ollama";
    /** True where the user's folder is mounted at /workspace. */
    workspaceFolder?: boolean;
    /** True where the workspace's home is mounted read-only, at the same place. */
    readsHome?: boolean;
    /** True where a GPU that the setting `gpu` passes into containers is for it. */
    gpu?: boolean;
    files?: FileSpec[];
    ports: PortSpec[];
    volumes: VolumeSpec[];
    /**
     * Format of what its first volume holds, and the version that its server writes: PostgreSQL's major version, Redis's
     * RDB version, Mosquitto's of its store.
     */
    data?: { format: DataFormat; version: number };
    /** When the stack's volume of keys is mounted: always, or only with TLS on; never when absent. */
    keys?: "always" | "tls";
    secrets: SecretSpec[];
    health: HealthSpec;
    /** True where it speaks no TLS, so that it must not be reachable from other machines. */
    loopbackOnly?: boolean;
    /** Memory limit in MiB, which the setting `serviceMemory` can change, or the setting that holds it. */
    memory: number | "memory" | "sparkWorkerMemory";
    /** Seconds that a stop may take before Docker kills the container. */
    stopTimeout: number;
}
