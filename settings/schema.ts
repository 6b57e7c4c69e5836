import { z } from "zod";
import { computeServices, everyService, officialServices, serviceCatalogue } from "../catalogue";
import { clusterEncryptions, clusters } from "../catalogue/cluster";
import { gpuRoutes } from "../catalogue/gpu";
import { imagePlatforms } from "../catalogue/images";
import { toolsets } from "../catalogue/toolsets";
import {
    boolean,
    choice,
    decimal,
    integer,
    listOf,
    mapOf,
    pattern,
    type Rule,
    secret,
    text,
    variables,
} from "./rules";
import { parseServer } from "./server";
import { isSubnet } from "./subnet";
import { isTimezone } from "./timezone";

/** One key of the configuration. */
export interface Setting<T = unknown> {
    rule: Rule<T>;
    default: T;
    /** One or two sentences for Pulumi.yaml and docs/reference.md. */
    description: string;
}

const serviceNames = serviceCatalogue.map((service) => service.name);
const computeNames = computeServices.map((service) => service.name);
const officialNames = officialServices.map((service) => service.name);
const portNames = everyService.flatMap((service) => service.ports.map((port) => port.name));

/** Spark's master gets slow with more, see docs/decisions.md. */
const mostWorkers = 1000;

/** As `docker service create --constraint` takes them. */
const placement = pattern(
    /^(?:node\.(?:id|hostname|role|platform\.(?:os|arch))|(?:node|engine)\.labels\.[\w][\w.-]*) ?(?:==|!=) ?[\w][\w.:/-]*$/,
    "placement constraints of Docker Swarm, such as node.labels.spark==yes or node.role!=manager",
);

/** Those whose memory no other setting holds. */
const limitedNames = serviceCatalogue.flatMap(({ name, memory }) =>
    typeof memory === "number" ? [name] : [],
);

/** MiB. */
const mostMemory = 1048576;

/** Of a user or group: what Docker takes at most (moby/sys/user). */
const mostId = 2147483647;

// A registry host (with a dot or a port, or localhost) and at least one path component, as docker-build wants
// it: only fully qualified tags get a digest. None begins with a hyphen, which `docker` would take for an option.
const qualifiedPrefix = pattern(
    /^(?!-)(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+|[a-z0-9.-]+:\d+)(?::\d+)?(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+$/,
    "a registry's host and a folder in lower case, such as ghcr.io/me/carbon",
);

/** As Docker itself takes it (docker/cli, cli/context/store). */
const contextName = /^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$/;

const debian13 = pattern(
    /(?:^|\/)debian:(?:trixie|13)[a-zA-Z0-9._-]*(?:@sha256:[0-9a-f]{64})?$/,
    "an image named debian with a tag that starts with trixie or 13, because the package lists hold for Debian 13 alone",
);

const tagOrDigest = pattern(
    /^(?:\w[\w.-]{0,127}|sha256:[0-9a-f]{64})$/,
    "a tag, such as 2026.1, or a digest, such as sha256: and 64 hexadecimal digits",
);

const apiAddress = pattern(
    /^(?:https?:\/\/(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?(?:\/[\w.~%-]+)*\/?)?$/,
    "an http or https address with the API's path and without a login, such as http://host.docker.internal:12434/engines/v1",
);

// A reference with a tag that stays what it is, with a digest, or with both.
const pinnedImage = pattern(
    /^(?!-)(?:[A-Za-z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:(?:[._/]|__|-+)[a-z0-9]+)*(?:(?::(?!latest(?:@|$))\w[\w.-]{0,127})(?:@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})$/,
    "an image with a tag other than latest, or with a digest",
);

/** Every key of the configuration, in the order of Pulumi.yaml and of the reference. */
export const settingDefinitions = {
    platforms: setting({
        rule: listOf(choice(["native", ...imagePlatforms]), { empty: false }),
        default: ["native"],
        description:
            "Platforms to build both images for. `native` is the platform of the machine that runs the program. A foreign platform is emulated where it has to be, and takes several times as long.",
    }),
    rootImage: setting({
        rule: debian13,
        default: "docker.io/library/debian:trixie-slim",
        description:
            "Image that the base image starts from: Debian 13 (trixie), also from a mirror of your own. The package lists are those of this release.",
    }),
    imagePrefix: setting({
        rule: qualifiedPrefix,
        // Of no registry: where an image is missing, nobody else's is pulled under its name.
        default: "localhost/carbon",
        description:
            "Registry and folder of the two images: `<imagePrefix>/base` and `<imagePrefix>/compute`. Their tags stand for what is in them, so that stacks with the same settings of images share them.",
    }),
    images: setting({
        rule: choice(["build", "pull"]),
        default: "build",
        description:
            "Where the two images come from. `build` builds them on this machine. `pull` takes them from the registry that `imagePrefix` names, where `carbon build --arm64 --amd64 --push` has put them; log in with `docker login` first. Images that were built with other settings than the stack's are refused.",
    }),
    pulledImages: setting({
        rule: mapOf("image", ["base", "compute"], tagOrDigest),
        default: {},
        description:
            'What to pull with `images: pull`, by image, as a tag or a digest: `{base: "2026.1", compute: "2026.1"}`. Where it says nothing, it is the tag that a build for both platforms with the stack\'s settings and this version\'s sources has. A tag is looked up at each `up`, and one that was moved brings the new image; a digest stays what it is.',
    }),
    cache: setting({
        rule: choice(["off", "registry"]),
        default: "off",
        description:
            "Where builds find what other machines have built. `registry` is `<imagePrefix>/cache`: every build reads it, and one that is pushed writes it, all stages included.",
    }),
    push: setting({
        rule: boolean(),
        default: false,
        description:
            "Push both images to the registry that `imagePrefix` names; log in with `docker login` first.",
    }),
    dockerContext: setting({
        rule: text(
            "auto, the name of a Docker context, or ssh://host, ssh://user@host, ssh://user@host:port",
            z.string().refine((value) => contextName.test(value) || parseServer(value) !== undefined),
        ),
        default: "auto",
        description:
            "Where the stack lives: the name of a Docker context that `docker context ls` lists, or a server with Docker as `ssh://[user@]host[:port]`. Builds, containers, the check, logs and backups go there; the state stays here. `auto` is the current context.",
    }),
    builder: setting({
        rule: pattern(
            /^[A-Za-z0-9][A-Za-z0-9._-]*$/,
            "auto, or the name of a builder that `docker buildx ls` lists",
        ),
        default: "auto",
        description:
            "Builder of `docker buildx` to build with. `auto` is the Docker daemon's own builder for the current Docker context, which needs no copy of the result.",
    }),
    compute: setting({
        rule: boolean(),
        default: true,
        description:
            "Build the compute image and run the workspace from it. Off, the workspace runs from the base image.",
    }),
    toolsets: setting({
        rule: listOf(choice(toolsets)),
        default: [...toolsets],
        description:
            "Parts of the images to install; what is not listed leaves nothing behind. An empty list is the slim suite.",
    }),
    services: setting({
        rule: listOf(choice(serviceNames)),
        default: ["postgres", "redis", "mosquitto"],
        description: `Services to run beside the workspace, each in a container of its own. ${officialNames.join(", ")} run from their official images, which are downloaded; ${computeNames.join(", ")} from the compute image.`,
    }),
    serviceImages: setting({
        rule: mapOf("service", officialNames, pinnedImage),
        default: {},
        description:
            "Images to use instead of the official ones, by service, such as one from a mirror of yours or of another version: `{qdrant: mirror.example.com/qdrant/qdrant:v1.18.2}`.",
    }),
    ollama: setting({
        rule: choice(["service", "host"]),
        default: "service",
        description:
            "Which Ollama the workspace uses; it gets the address as OLLAMA_HOST. `service` is the service of that name, where it runs. `host` is Ollama on the machine itself, on port 11434: the better choice on a Mac, because there it uses the GPU.",
    }),
    sparkWorkers: setting({
        rule: integer({ min: 1, max: mostWorkers }),
        default: 1,
        description:
            "Number of Spark workers, where `services` has spark-worker: up to 16 on one machine, more only with `cluster: swarm`.",
    }),
    sparkWorkerMemory: setting({
        rule: integer({ min: 2048, max: mostMemory, unit: "MiB" }),
        default: 2048,
        description:
            "Memory limit of each Spark worker in MiB; 768 of it are for the worker itself and for Python, the rest is offered to jobs.",
    }),
    cluster: setting({
        rule: choice(clusters),
        default: "off",
        description:
            "Where the Spark workers run. `off`: on this machine. `swarm`: on the nodes of the Docker Swarm that this engine manages, as a service; everything else stays on this machine. The folder `workspaceDir` must then be the same on every node, and `imagePrefix` a registry that the nodes reach.",
    }),
    sparkWorkerNodes: setting({
        rule: listOf(placement),
        default: [],
        description:
            "Nodes of the Swarm that run Spark workers, as placement constraints that all must hold, such as `[node.labels.spark==yes]`. Empty is every node.",
    }),
    sparkWorkerCpus: setting({
        rule: integer({ min: 1, max: 512 }),
        default: 2,
        description:
            "CPUs of each Spark worker in a Swarm, which nobody else gets: a node runs as many workers as have room. With `cluster: off` a worker has all of the machine's.",
    }),
    clusterEncryption: setting({
        rule: choice(clusterEncryptions),
        default: "network",
        description:
            "What encrypts the traffic between the nodes of a Swarm besides Spark, which always encrypts its own. `network`: Docker's overlay network encrypts all traffic, by IPsec of the nodes' kernels. `spark`: nobody else does, for kernels without IPsec and for nodes whose network is private; the workers' pages are then switched off.",
    }),
    llmModel: setting({
        rule: pattern(
            /^(?:auto|[A-Za-z0-9][\w.+-]*\.gguf)$/,
            "auto, or the name of a .gguf file without a folder",
        ),
        default: "auto",
        description:
            "Model that the service llm chats with: the name of a .gguf file in its volume. `auto` is the first one by name, models for embeddings and projectors (mmproj) not counted.",
    }),
    llm: setting({
        rule: choice(["service", "host", "url"]),
        default: "service",
        description:
            "Which LLM server the workspace uses; programs find it by OPENAI_BASE_URL and OPENAI_API_KEY_FILE. `service` is the service of that name, where it runs. `host` is one on the machine itself: the suite's own, which uses a Mac's GPU, or the one that `llmUrl` names, such as Docker Model Runner, Ollama or LM Studio. `url` is any server that speaks OpenAI's API. With `host` and `url` the service is not to be in `services`.",
    }),
    llmUrl: setting({
        rule: apiAddress,
        default: "",
        description:
            "Address of the LLM server with the API's path, as the workspace reaches it, for `llm: url`, and for `llm: host` where it is not the suite's own: http://host.docker.internal:12434/engines/v1 is Docker Model Runner's, http://host.docker.internal:11434/v1 Ollama's, http://host.docker.internal:1234/v1 LM Studio's. In place of `localhost` the workspace is given the machine's name.",
    }),
    llmKey: setting({
        rule: secret(pattern(/^[!-~]{0,1024}$/, "an API key: up to 1024 characters, none of them a blank")),
        default: "",
        description:
            "API key of the server that `llmUrl` names, where it asks for one. May be a secret (`./carbon pulumi config set --secret llmKey`); it is handed over as a file, and `docker inspect` does not show it.",
    }),
    llmHostPort: setting({
        rule: integer({ min: 1024, max: 65535 }),
        default: 8011,
        description:
            "Port of the suite's own LLM server on the machine itself, with `llm: host`. It is one for all stacks, so that `portOffset` does not move it.",
    }),
    ports: setting({
        rule: mapOf("port", portNames, integer({ min: 1, max: 65535 })),
        default: {},
        description:
            "Host ports that differ from the defaults, by name, such as `{jupyter: 8890}`. `portOffset` is added to these too.",
    }),
    appPorts: setting({
        rule: listOf(integer({ min: 1024, max: 65535 })),
        default: [5001, 6006, 7860, 8000, 8050, 8501],
        description:
            "Ports of programs that you start in the workspace: what listens on one of them there answers on the same port of this machine, for this machine alone. The default has those of MLflow (5001), TensorBoard, Gradio, FastAPI and Django, Dash and Streamlit. `portOffset` is added to these too.",
    }),
    portOffset: setting({
        rule: integer({ min: 0, max: 50000 }),
        default: 0,
        description: "Added to every host port, so that several stacks run side by side.",
    }),
    bindAddress: setting({
        rule: text(
            "an IPv4 or IPv6 address of this machine, such as 127.0.0.1 or 0.0.0.0",
            z.union([z.ipv4(), z.ipv6()]),
        ),
        default: "127.0.0.1",
        description:
            "Address of the host that the ports are bound to. Any other than a loopback address turns TLS on for every service, with a certificate that the suite signs itself.",
    }),
    subnet: setting({
        rule: text(
            "auto, or a private IPv4 network of /16 to /28 in CIDR form, such as 172.30.7.0/24",
            z.string().refine((value) => value === "auto" || isSubnet(value)),
        ),
        default: "auto",
        description:
            "Address range of the stack's network, for where Docker's choice collides with a company network or a VPN. `auto` lets Docker choose when it makes the network.",
    }),
    proxy: setting({
        rule: secret(
            pattern(
                /^(?:auto|none|https?:\/\/(?:[^\s/@]+@)?(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?\/?)$/,
                "auto, none, or the address of a proxy, such as http://proxy.example.com:3128",
            ),
        ),
        default: "auto",
        description:
            "Proxy through which the workspace, Spark and the LLM server, and builds, reach the internet; the suite's own names are always reached directly. `auto` is the one that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say, or else Docker's configuration. May be a secret (`./carbon pulumi config set --secret`).",
    }),
    workspaceDir: setting({
        rule: pattern(
            /^[^:,\0]+$/,
            "a folder's path without a colon or a comma; neither the system's, nor your home itself or a hidden folder in it, nor the project's own",
        ),
        default: "workspace",
        description:
            "Folder of yours that is /workspace in the containers. Relative to the project's folder; `~` is your home. It is made when it is missing, for its owner alone (0700). Where `dockerContext` is a server, it is a folder of the server's, relative to your home there.",
    }),
    syncDir: setting({
        rule: pattern(
            /^[^:,\0]+$/,
            "a folder's path without a colon or a comma; neither the system's, nor your home itself or a hidden folder in it, nor the project's own",
        ),
        default: "workspace",
        description:
            "Folder of this machine that `carbon sync` keeps with the server's `workspaceDir`, where `dockerContext` is a server. Relative to the project's folder; `~` is your home.",
    }),
    environment: setting({
        rule: variables(),
        default: {},
        description:
            "Environment variables of the workspace, Spark and the LLM server, by name, such as `{HF_HOME: /workspace/models}`. Values may be secrets (`./carbon pulumi config set --secret --path 'carbon:environment.HF_TOKEN'`); all are handed over as a file that only root reads, and `docker inspect` shows none.",
    }),
    timezone: setting({
        rule: text(
            "auto, or a name of the tz database, such as Europe/Berlin, spelled as it is there",
            z.string().refine((value) => value === "auto" || isTimezone(value)),
        ),
        default: "auto",
        description:
            "Time zone of every container. `auto` is that of the machine that deploys; in another zone the next `up` then replaces the containers.",
    }),
    uid: setting({
        rule: integer({ min: 1, max: mostId }),
        default: 1000,
        description:
            "User id of `carbon` in the workspace. On Linux set it to your own (`id -u`), so that files in /workspace are yours.",
    }),
    gid: setting({
        rule: integer({ min: 1, max: mostId }),
        default: 1000,
        description: "Group id of `carbon` in the workspace. On Linux set it to your own (`id -g`).",
    }),
    cpus: setting({
        rule: decimal({ max: 512 }),
        default: "0",
        description: "CPUs that the workspace may use, such as 4 or 1.5; 0 is no limit.",
    }),
    memory: setting({
        rule: text(
            `auto, or a whole number of MiB from 512 to ${mostMemory}`,
            z.string().refine((value) => value === "auto" || inRange(value, 512, mostMemory)),
        ),
        default: "auto",
        description:
            "Memory limit of the workspace in MiB. Docker allows as much again of swap. `auto` is three quarters of what Docker has, or what the services leave of it, in steps of 512 and at least 2048; it is 6144 where Docker does not say.",
    }),
    shmSize: setting({
        rule: integer({ min: 64, max: mostMemory, unit: "MiB" }),
        default: 1024,
        description:
            "Size of /dev/shm in the workspace in MiB; browsers and data loaders share memory through it.",
    }),
    serviceMemory: setting({
        rule: mapOf("service", limitedNames, integer({ min: 128, max: mostMemory, unit: "MiB" })),
        default: {},
        description:
            "Memory limits of services in MiB that differ from the defaults, by service, such as `{postgres: 4096}`. PostgreSQL sizes its caches by it, and an index may take what is left of it while it is built. The workspace's is `memory`, a Spark worker's `sparkWorkerMemory`.",
    }),
    heldImages: setting({
        rule: mapOf("image", ["base", "compute", ...officialNames], pinnedImage),
        default: {},
        description:
            "Images that a rollback put back, by image, taken as they are and not built. `carbon rollback` and a failed upgrade write them; `carbon up --new-images` takes them out again and tries the new ones.",
    }),
    rollback: setting({
        rule: choice(["ask", "always", "never"]),
        default: "ask",
        description:
            "What `carbon up` does when it has changed images and fails: `ask` asks, and where nobody can be asked (also with `--yes`) leaves everything as it is; `always` puts the images of before back, `never` does not. `--rollback` and `--no-rollback` count more. `carbon rollback` does it later.",
    }),
    verify: setting({
        rule: choice(["strict", "report", "off"]),
        default: "strict",
        description:
            "What a failed check does: `strict` fails the deployment, `report` only says so in the output `verification`, `off` checks nothing.",
    }),
    extraCaCertificates: setting({
        rule: pattern(/./, "auto, none, or the path of a PEM file with certificates"),
        default: "auto",
        description:
            "PEM file of certificate authorities that builds and the containers that run your code (workspace, Spark, LLM server) trust besides the usual ones, for networks that intercept TLS. `auto` takes the file that NODE_EXTRA_CA_CERTS or SSL_CERT_FILE names, if any; `none` takes none.",
    }),
    gpu: setting({
        rule: choice(gpuRoutes),
        default: "off",
        description:
            "How the suite's programs reach a GPU. `off`: they compute on the CPU. `host`: notebooks and `carbon-gpu` run on this machine itself, as you, with its GPU: Metal on a Mac. `dri`: /dev/dri of Docker's machine, for Vulkan in the workspace and the LLM server (Linux, Podman or Colima with krunkit, Docker Desktop's VMM). `nvidia`: all GPUs of a Linux machine with NVIDIA's container toolkit, for the workspace and the LLM server.",
    }),
    gpuPort: setting({
        rule: integer({ min: 1024, max: 65535 }),
        default: 9797,
        description:
            "Port of the gateway through which the workspace reaches this machine's kernels, with `gpu: host`. The gateway is one for all stacks, so `portOffset` is not added.",
    }),
    torchIndex: setting({
        rule: choice(["auto", "cpu", "pypi", "cuda"]),
        default: "auto",
        description:
            "Where PyTorch comes from: `cpu` is PyTorch's own index of CPU builds, `pypi` PyPI's CUDA build (several GB larger) without what only a GPU needs, `auto` the first where it can be reached, else the second. `cuda` is PyPI's CUDA build whole, for `gpu: nvidia`.",
    }),
};

/** Name of a configuration key. */
export type SettingKey = keyof typeof settingDefinitions;

/** The validated value of each key, before anything is resolved against the machine. */
export type SettingValues = { [Key in SettingKey]: (typeof settingDefinitions)[Key]["default"] };

function inRange(value: string, min: number, max: number): boolean {
    return /^\d{1,9}$/.test(value) && Number(value) >= min && Number(value) <= max;
}

/** Holds the default to what the rule accepts. */
function setting<const T>(definition: Setting<T> & { default: NoInfer<T> }): Setting<T> {
    return definition;
}
