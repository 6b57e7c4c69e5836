import { catalogueName, type ServiceSpec, serviceCatalogue } from "../catalogue";
import { servicesOnMachine } from "../catalogue/chosen";
import { toolsetNeeds } from "../catalogue/toolsets";
import { whyNotCertificates } from "./certificates";
import { whyNotBuilt, whyNotEngine } from "./dockerContext";
import { whyNotEnvironment } from "./environment";
import type { Machine } from "./machine";
import type { Choices } from "./resolve";
import { type SettingKey, type SettingValues, settingDefinitions } from "./schema";
import { whyNotServersFolder, whyNotWorkspace } from "./workspaceDir";

/** A key and why its value is refused. */
type Refusal = [key: SettingKey, reason: string];

/** A key, whether its value is refused, and why. */
type Condition = [key: SettingKey, refused: boolean, reason: string];

function refusalsOf(conditions: readonly Condition[]): Refusal[] {
    return conditions.filter(([, refused]) => refused).map(([key, , reason]) => [key, reason]);
}

/** What no key can say of itself: keys that contradict one another, and what this machine does not have. */
export function crossCheck(values: SettingValues, settings: Choices, machine: Machine): Refusal[] {
    const alone: [SettingKey, string | undefined][] = [
        ["push", whyNotPush(values)],
        ["images", whyNotPull(values)],
        ["cache", whyNotCache(values)],
        [
            "dockerContext",
            whyNotEngine(values.dockerContext, machine) ?? whyNotBuilt(values.dockerContext, machine),
        ],
        [
            "workspaceDir",
            settings.server
                ? whyNotServersFolder(settings.workspaceDir)
                : whyNotWorkspace(settings.workspaceDir, machine),
        ],
        ["syncDir", settings.server && whyNotWorkspace(settings.syncDir, machine)],
        [
            "extraCaCertificates",
            whyNotCertificates(values.extraCaCertificates, settings.caCertificates, machine),
        ],
    ];
    return [
        ...checkToolsets(settings),
        ...checkNeeds(settings),
        ...checkBoth("heldImages", settings),
        ...checkPulled(settings),
        ...checkExposure(settings),
        ...checkPlaces(settings),
        ...checkLlm(settings),
        ...checkPorts(settings),
        ...checkForwards(settings),
        ...checkCluster(values, settings),
        ...checkGpu(settings),
        ...checkServer(settings),
        ...whyNotEnvironment(values.environment).map((reason): Refusal => ["environment", reason]),
        ...(["uid", "gid"] as const).flatMap((key): Refusal[] =>
            values[key] === nobody ? [[key, whyNotNobody]] : [],
        ),
        ...alone.filter((check): check is Refusal => check[1] !== undefined),
    ];
}

/** nobody and nogroup: what Linux shows for files whose owner has no id in a container. */
const nobody = 65534;
const whyNotNobody =
    "that is nobody's, whom files of unknown owners are shown as. Use your own: `id -u`, `id -g`.";

function checkToolsets({ toolsets }: Choices): Refusal[] {
    return toolsets.flatMap((toolset) => {
        const missing = (toolsetNeeds[toolset] ?? []).filter((need) => !toolsets.includes(need));
        return missing.map(
            (need): Refusal => [
                "toolsets",
                `${toolset} needs ${need}. Add ${need}, or leave ${toolset} out.`,
            ],
        );
    });
}

/** The chosen services as a user names them. */
function catalogued({ services, swarmServices }: Choices): ServiceSpec[] {
    const chosen = [...services, ...swarmServices].map(({ name }) => catalogueName(name));
    return serviceCatalogue.filter(({ name }) => chosen.includes(name));
}

/** The compute image starts from the base, so that one of them named alone would not fit the other. */
function checkBoth(key: "heldImages" | "pulledImages", settings: Choices): Refusal[] {
    const { base, compute: other } = settings[key];
    return settings.compute && (base === undefined) !== (other === undefined)
        ? [[key, `${base === undefined ? "base" : "compute"} is missing. Name both images, or neither.`]]
        : [];
}

function checkPulled(settings: Choices): Refusal[] {
    const { images, pulledImages } = settings;
    return images === "build" && Object.keys(pulledImages).length > 0
        ? [
              [
                  "pulledImages",
                  "images is build, which pulls none. Set images to pull, or leave pulledImages out.",
              ],
          ]
        : checkBoth("pulledImages", settings);
}

/** What a service cannot do without. */
function checkNeeds(settings: Choices): Refusal[] {
    const services = catalogued(settings);
    const missing = ({ image, toolset, needs }: ServiceSpec): string | undefined => {
        if (image === "compute" && !settings.compute) {
            return "the compute image. Set compute to true";
        }
        if (toolset && !settings.toolsets.includes(toolset)) {
            return `the toolset ${toolset}. Add it to toolsets`;
        }
        return needs && !services.some(({ name }) => name === needs) ? `${needs}. Add ${needs}` : undefined;
    };
    return services.flatMap((service): Refusal[] => {
        const need = missing(service);
        return need ? [["services", `${service.name} needs ${need}, or leave ${service.name} out.`]] : [];
    });
}

function checkExposure(settings: Choices): Refusal[] {
    const exposed = catalogued(settings).filter(({ loopbackOnly }) => settings.tls && loopbackOnly);
    return exposed.map(({ name }) => [
        "services",
        `${name} speaks no TLS, and bindAddress ${settings.bindAddress} opens it to other machines. Leave ${name} out, or set bindAddress to 127.0.0.1.`,
    ]);
}

/** A service runs in the stack or on the user's machine, not in both. */
function checkPlaces(settings: Choices): Refusal[] {
    const chosen = catalogued(settings);
    const both = servicesOnMachine(settings).filter((service) => chosen.includes(service));
    return both.flatMap(({ name, title, place }): Refusal[] => {
        const reason = `the workspace uses ${title} on the host, but services has ${name} too. Leave it out of services, or set ${place} to service.`;
        return place ? [[place, reason]] : [];
    });
}

/** An address and a key belong to a server that is named, and the workspace uses one. */
function checkLlm(settings: Choices): Refusal[] {
    const { llm, llmUrl, llmKey, llmAddress, environment } = settings;
    const isService = llm === "service";
    const hasService = catalogued(settings).some(({ name }) => name === "llm");
    const refusals: Condition[] = [
        [
            "llmUrl",
            llm === "url" && !llmUrl,
            "llm is url, which needs an address. Set llmUrl to one, such as https://llm.example.com/v1.",
        ],
        [
            "llm",
            !isService && hasService,
            `the workspace uses an LLM server ${llm === "host" ? "on the host" : "elsewhere"}, but services has llm too. Leave it out of services, or set llm to service.`,
        ],
        [
            "llmUrl",
            isService && llmUrl !== "",
            "llm is service, which has its own address. Set llm to host or url.",
        ],
        [
            "llmKey",
            llmKey !== "" && !llmUrl,
            "the suite's own server has a key of its own. Leave llmKey out, or name another server with llmUrl.",
        ],
        [
            "environment",
            Boolean(environment.OPENAI_API_KEY) && (llmAddress !== undefined || hasService),
            "OPENAI_API_KEY would be sent to this stack's LLM server, which OPENAI_BASE_URL names. Leave it out; the key of another server is llmKey.",
        ],
    ];
    return refusalsOf(refusals);
}

function checkPorts({ ports, appPorts, gpu, gpuPort, llm, llmUrl, llmHostPort }: Choices): Refusal[] {
    const wanted = [
        ...Object.entries(ports).map(([name, port]) => ({
            key: "ports" as const,
            name,
            port,
            own: `ports.${name}`,
        })),
        ...appPorts.map(({ port, published }) => {
            const name = `appPorts' ${port}`;
            return { key: "appPorts" as const, name, port: published, own: name };
        }),
        ...(gpu === "host"
            ? [{ key: "gpuPort" as const, name: "the gateway (gpuPort)", port: gpuPort, own: "gpuPort" }]
            : []),
        ...(llm === "host" && !llmUrl
            ? [{ key: "llmHostPort" as const, name: "llmHostPort", port: llmHostPort, own: "llmHostPort" }]
            : []),
    ];
    const holders = new Map<number, string>();
    return wanted.flatMap(({ key, name, port, own }): Refusal[] => {
        const other = holders.get(port);
        holders.set(port, name);
        if (port > 65535) {
            const reason = `${name} would be on port ${port}. Allowed: ports up to 65535; lower portOffset or ${own}.`;
            return [["portOffset", reason]];
        }
        const advice =
            key === "appPorts"
                ? `Take it out of appPorts, or move ${other} with ports`
                : "Give each a port of its own";
        return other ? [[key, `${other} and ${name} are both on host port ${port}. ${advice}.`]] : [];
    });
}

/** A user's program cannot have the port in the workspace that hands connections on to another. */
function checkForwards({ appPorts }: Choices): Refusal[] {
    const forwards = appPorts.map(({ forward }) => forward);
    return appPorts
        .filter(({ port, published }) => forwards.includes(port) || forwards.includes(published))
        .map(({ port }) => [
            "appPorts",
            `${port} is one of ${forwards.at(0)} to ${forwards.at(-1)}, which the workspace uses itself. Take another.`,
        ]);
}

/** Most containers of a service that one machine is meant for. */
const mostHere = 16;

/** A Swarm is there for the workers, and workers in great number or at chosen places need one. */
function checkCluster(values: SettingValues, { swarmServices }: Choices): Refusal[] {
    const { cluster, sparkWorkers, sparkWorkerNodes } = values;
    const refusals: Condition[] = [
        [
            "cluster",
            cluster === "swarm" && swarmServices.length === 0,
            "it is for Spark's workers, which services does not have. Add spark-master and spark-worker to services, or set cluster to off.",
        ],
        [
            "sparkWorkers",
            cluster === "off" && sparkWorkers > mostHere,
            `cluster is off, and one machine runs up to ${mostHere}. Lower it, or set cluster to swarm.`,
        ],
        [
            "sparkWorkerNodes",
            cluster === "off" && sparkWorkerNodes.length > 0,
            "cluster is off, where there are no nodes to choose from. Leave it out, or set cluster to swarm.",
        ],
    ];
    return refusalsOf(refusals);
}

/** What a way to a GPU cannot do without in the images. */
function checkGpu({ gpu, compute, platforms, toolsets, torchIndex }: Choices): Refusal[] {
    if (gpu === "host" && !compute) {
        return [
            [
                "gpu",
                "host needs the compute image, which has JupyterLab. Set compute to true, or gpu to off.",
            ],
        ];
    }
    if (gpu === "dri" && !toolsets.includes("graphics")) {
        return [["gpu", "dri needs the toolset graphics, which has Vulkan's drivers. Add it to toolsets."]];
    }
    if (gpu !== "nvidia") {
        return [];
    }
    const others = platforms.filter((platform) => platform !== "linux/amd64");
    const hasTorch = toolsets.includes("torch");
    return [
        ...(others.length > 0
            ? ([
                  [
                      "platforms",
                      `gpu is nvidia, which ${others.join(", ")} cannot use. Set platforms to [linux/amd64], or gpu to off.`,
                  ],
              ] satisfies Refusal[])
            : []),
        ...(hasTorch && torchIndex !== "cuda"
            ? ([
                  [
                      "torchIndex",
                      `gpu is nvidia, which PyTorch's build of ${torchIndex} cannot use. Set torchIndex to cuda, or leave torch out of toolsets.`,
                  ],
              ] satisfies Refusal[])
            : []),
    ];
}

/** What runs on the user's own machine, which a server's containers do not reach. */
function checkServer({ server, gpu, llm }: Choices): Refusal[] {
    if (!server) {
        return [];
    }
    const refusals: Condition[] = [
        [
            "gpu",
            gpu === "host",
            `host is your own machine's GPU, but the stack lives on ${server.host}. Set gpu to nvidia, dri or off, or dockerContext to an engine of this machine.`,
        ],
        [
            "llm",
            llm === "host",
            `host is a server on your own machine, but the stack lives on ${server.host}. Set llm to service, or to url with llmUrl: http://host.docker.internal:11434/v1 is ${server.host}'s own Ollama.`,
        ],
    ];
    return refusalsOf(refusals);
}

function whyNotPush({ push, images, imagePrefix }: SettingValues): string | undefined {
    if (push && images === "pull") {
        return "images is pull, which builds nothing to push. Set images to build, or push to false.";
    }
    return push ? whyNoRegistry(imagePrefix) : undefined;
}

function whyNotPull({ images, imagePrefix }: SettingValues): string | undefined {
    return images === "pull" ? whyNoRegistry(imagePrefix) : undefined;
}

function whyNotCache({ cache, imagePrefix }: SettingValues): string | undefined {
    return cache === "registry" ? whyNoRegistry(imagePrefix) : undefined;
}

function whyNoRegistry(imagePrefix: string): string | undefined {
    return imagePrefix === settingDefinitions.imagePrefix.default
        ? `${imagePrefix} is not a registry of yours. Set imagePrefix to one, such as ghcr.io/me/carbon.`
        : undefined;
}
