import { z } from "zod";
import { computeServices, everyService, officialServices, serviceCatalogue } from "../catalogue";
import { toolsets } from "../catalogue/toolsets";

/** The types that Pulumi.yaml knows for configuration values. */
export type ConfigType = "string" | "integer" | "boolean" | "array" | "object";

/** One key of the configuration: what Pulumi.yaml and the reference say of it, and what is accepted. */
export interface SettingDefinition {
    type: ConfigType;
    /** Type of an array's items. */
    items?: { type: ConfigType };
    default: unknown;
    /** One or two sentences for Pulumi.yaml and docs/reference.md. */
    description: string;
    /** What is allowed, as the end of the sentence "Allowed: …". */
    allowed: string;
    schema: z.ZodType;
}

const verifyModes = ["strict", "report", "off"] as const;
const torchIndexes = ["auto", "cpu", "pypi"] as const;
const platformChoices = ["native", "linux/amd64", "linux/arm64"] as const;
const ollamaPlaces = ["service", "host"] as const;
const serviceNames = serviceCatalogue.map((service) => service.name);
const computeNames = computeServices.map((service) => service.name);
const officialNames = officialServices.map((service) => service.name);
const portNames = everyService.flatMap((service) => service.ports.map((port) => port.name));

// A registry host (with a dot or a port, or localhost) and at least one path component, as docker-build wants
// it: only fully qualified tags get a digest.
const qualifiedPrefix =
    /^(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+|[a-z0-9.-]+:\d+)(?::\d+)?(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+$/;
const debian13 = /(?:^|\/)debian:(?:trixie|13)[a-zA-Z0-9._-]*(?:@sha256:[0-9a-f]{64})?$/;

// An image reference with a tag that stays what it is, with a digest, or with both.
const pinnedImage =
    /^(?:[A-Za-z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:(?:[._/]|__|-+)[a-z0-9]+)*(?:(?::(?!latest(?:@|$))\w[\w.-]{0,127})(?:@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})$/;

const definitions = {
    platforms: {
        type: "array",
        items: { type: "string" },
        default: ["native"],
        description:
            "Platforms to build both images for. `native` is the platform of the machine that runs the program. A foreign platform is emulated where it has to be, and takes several times as long.",
        allowed: `a list of ${quoted(platformChoices)}, with at least one and none twice`,
        schema: z.array(z.enum(platformChoices)).min(1).refine(isUnique),
    },
    rootImage: {
        type: "string",
        default: "docker.io/library/debian:trixie-slim",
        description:
            "Image that the base image starts from: Debian 13 (trixie), also from a mirror of your own. The package lists are those of this release.",
        allowed:
            "an image named debian with a tag that starts with trixie or 13, because the package lists hold for Debian 13 alone",
        schema: z.string().regex(debian13),
    },
    imagePrefix: {
        type: "string",
        default: "docker.io/carbon",
        description:
            "Registry and folder of the two images: `<imagePrefix>/base:<stack>` and `<imagePrefix>/compute:<stack>`.",
        allowed: "a registry's host and a folder in lower case, such as ghcr.io/me/carbon",
        schema: z.string().regex(qualifiedPrefix),
    },
    push: {
        type: "boolean",
        default: false,
        description:
            "Push both images to the registry that `imagePrefix` names; log in with `docker login` first.",
        allowed: "true or false",
        schema: z.boolean(),
    },
    builder: {
        type: "string",
        default: "auto",
        description:
            "Builder of `docker buildx` to build with. `auto` is the Docker daemon's own builder for the current Docker context, which needs no copy of the result.",
        allowed: "auto, or the name of a builder that `docker buildx ls` lists",
        schema: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/),
    },
    compute: {
        type: "boolean",
        default: true,
        description:
            "Build the compute image and run the workspace from it. Off, the workspace runs from the base image.",
        allowed: "true or false",
        schema: z.boolean(),
    },
    toolsets: {
        type: "array",
        items: { type: "string" },
        default: [...toolsets],
        description:
            "Parts of the images to install; what is not listed leaves nothing behind. An empty list is the slim suite.",
        allowed: `a list of ${quoted(toolsets)}, none twice`,
        schema: z.array(z.enum(toolsets)).refine(isUnique),
    },
    services: {
        type: "array",
        items: { type: "string" },
        default: ["postgres", "redis", "mosquitto"],
        description: `Services to run beside the workspace, each in a container of its own. ${quoted(officialNames)} run from their official images, which are downloaded; ${quoted(computeNames)} from the compute image.`,
        allowed: `a list of ${quoted(serviceNames)}, none twice`,
        schema: z.array(z.enum(serviceNames)).refine(isUnique),
    },
    serviceImages: {
        type: "object",
        default: {},
        description:
            "Images to use instead of the official ones, by service, such as one from a mirror of yours or of another version: `{qdrant: mirror.example.com/qdrant/qdrant:v1.18.2}`.",
        allowed: `an image with a tag other than latest, or with a digest, by service, the services being ${quoted(officialNames)}`,
        schema: z.partialRecord(z.enum(officialNames), z.string().regex(pinnedImage)),
    },
    ollama: {
        type: "string",
        default: "service",
        description:
            "Which Ollama the workspace uses; it gets the address as OLLAMA_HOST. `service` is the service of that name, where it runs. `host` is Ollama on the machine itself, on port 11434: the better choice on a Mac, because there it uses the GPU.",
        allowed: quoted(ollamaPlaces),
        schema: z.enum(ollamaPlaces),
    },
    sparkWorkers: {
        type: "integer",
        default: 1,
        description: "Number of Spark workers, where `services` has spark-worker.",
        allowed: "a whole number from 1 to 16",
        schema: z.int().min(1).max(16),
    },
    sparkWorkerMemory: {
        type: "integer",
        default: 2048,
        description:
            "Memory limit of each Spark worker in MiB; 768 of it are for the worker itself and for Python, the rest is offered to jobs.",
        allowed: "a whole number of MiB from 2048 to 1048576",
        schema: z.int().min(2048).max(1048576),
    },
    llmModel: {
        type: "string",
        default: "auto",
        description:
            "Model that the service llm serves: the name of a .gguf file in its volume. `auto` is the first one by name.",
        allowed: "auto, or the name of a .gguf file without a folder",
        schema: z.string().regex(/^(?:auto|[A-Za-z0-9][\w.+-]*\.gguf)$/),
    },
    ports: {
        type: "object",
        default: {},
        description:
            "Host ports that differ from the defaults, by name, such as `{jupyter: 8890}`. `portOffset` is added to these too.",
        allowed: `port numbers from 1 to 65535 by name, the names being ${quoted(portNames)}`,
        schema: z.partialRecord(z.enum(portNames), z.int().min(1).max(65535)),
    },
    portOffset: {
        type: "integer",
        default: 0,
        description: "Added to every host port, so that several stacks run side by side.",
        allowed: "a whole number from 0 to 50000",
        schema: z.int().min(0).max(50000),
    },
    bindAddress: {
        type: "string",
        default: "127.0.0.1",
        description:
            "Address of the host that the ports are bound to. Any other than a loopback address turns TLS on for every service, with a certificate that the suite signs itself.",
        allowed: "an IPv4 or IPv6 address of this machine, such as 127.0.0.1 or 0.0.0.0",
        schema: z.union([z.ipv4(), z.ipv6()]),
    },
    workspaceDir: {
        type: "string",
        default: "workspace",
        description:
            "Folder of yours that is /workspace in the containers. Relative to the project's folder; `~` is your home. It is made when it is missing, for its owner alone (0700).",
        allowed:
            "a folder's path without a colon or a comma; neither the system's, nor your home itself or a hidden folder in it, nor the project's own",
        schema: z.string().regex(/^[^:,\0]+$/),
    },
    uid: {
        type: "integer",
        default: 1000,
        description:
            "User id of `carbon` in the workspace. On Linux set it to your own (`id -u`), so that files in /workspace are yours.",
        allowed: "a whole number from 1 to 60000",
        schema: z.int().min(1).max(60000),
    },
    gid: {
        type: "integer",
        default: 1000,
        description: "Group id of `carbon` in the workspace. On Linux set it to your own (`id -g`).",
        allowed: "a whole number from 1 to 60000",
        schema: z.int().min(1).max(60000),
    },
    cpus: {
        type: "string",
        default: "0",
        description: "CPUs that the workspace may use, such as 4 or 1.5; 0 is no limit.",
        allowed: "a number from 0 to 512 with at most two decimals",
        schema: z
            .string()
            .regex(/^\d{1,3}(\.\d{1,2})?$/)
            .refine((value) => Number(value) <= 512),
    },
    memory: {
        type: "integer",
        default: 6144,
        description: "Memory limit of the workspace in MiB. Docker allows as much again of swap.",
        allowed: "a whole number of MiB from 512 to 1048576",
        schema: z.int().min(512).max(1048576),
    },
    shmSize: {
        type: "integer",
        default: 1024,
        description:
            "Size of /dev/shm in the workspace in MiB; browsers and data loaders share memory through it.",
        allowed: "a whole number of MiB from 64 to 1048576",
        schema: z.int().min(64).max(1048576),
    },
    verify: {
        type: "string",
        default: "strict",
        description:
            "What a failed check does: `strict` fails the deployment, `report` only says so in the output `verification`, `off` checks nothing.",
        allowed: quoted(verifyModes),
        schema: z.enum(verifyModes),
    },
    extraCaCertificates: {
        type: "string",
        default: "auto",
        description:
            "PEM file of certificate authorities that builds and the workspace trust besides the usual ones, for networks that intercept TLS. `auto` takes the file that NODE_EXTRA_CA_CERTS or SSL_CERT_FILE names, if any; `none` takes none.",
        allowed: "auto, none, or the path of a PEM file with certificates",
        schema: z.string().min(1),
    },
    torchIndex: {
        type: "string",
        default: "auto",
        description:
            "Where PyTorch comes from: `cpu` is PyTorch's own index of CPU builds, `pypi` PyPI's CUDA build (several GB larger), `auto` the first where it can be reached, else the second.",
        allowed: quoted(torchIndexes),
        schema: z.enum(torchIndexes),
    },
} satisfies Record<string, SettingDefinition>;

/** Name of a configuration key. */
export type SettingKey = keyof typeof definitions;

/** The validated value of each key, before anything is resolved against the machine. */
export type SettingValues = { [Key in SettingKey]: z.infer<(typeof definitions)[Key]["schema"]> };

/** Every key of the configuration, in the order of Pulumi.yaml and of the reference. */
export const settingDefinitions: Record<SettingKey, SettingDefinition> = definitions;

function isUnique(items: readonly unknown[]): boolean {
    return new Set(items).size === items.length;
}

function quoted(items: readonly string[]): string {
    return items.join(", ");
}
