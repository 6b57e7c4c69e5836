import { z } from "zod";
import { catalogueName, everyService, everyVolume } from "../catalogue";
import { containerName, networkName, volumeName } from "../catalogue/names";
import { serviceLabel, stackLabel } from "./docker";

/** An event as `docker events --format '{{json .}}'` prints it. */
export const dockerEvent = z.object({
    Type: z.string(),
    Action: z.string(),
    Actor: z.object({
        ID: z.string(),
        Attributes: z
            .record(z.string(), z.string())
            .nullish()
            .transform((attributes) => attributes ?? {}),
    }),
    /** Seconds since 1970, by Docker's clock. */
    time: z.number(),
});
export type DockerEvent = z.infer<typeof dockerEvent>;

/** Filters that keep out what is none of `carbon watch`'s: each health check, for one, makes three events. */
export const eventFilters = [
    ...["container", "network", "volume", "image"].map((type) => `type=${type}`),
    ...[
        "die",
        "oom",
        "health_status",
        "create",
        "pause",
        "unpause",
        "stop",
        "start",
        "rename",
        "update",
        "destroy",
    ].map((event) => `event=${event}`),
    ...["connect", "disconnect", "tag", "untag", "delete"].map((event) => `event=${event}`),
];

/** What is known of the stack, to tell its events from others'. */
export interface Watched {
    stack: string;
    /** Service by container id. */
    services: Map<string, string>;
    /** Tags of the images that the stack runs or can go back to. */
    images: ReadonlySet<string>;
}

/** What happened to a part of the stack. */
export interface Happening {
    /** The service, or the kind of thing: `network`, `volume`, `image`. */
    service: string;
    /** One word for programs: Docker's own. */
    event: string;
    /** The same in plain words. */
    text: string;
    /** Whether it is good news, or none at all. */
    good: boolean;
    exitCode?: number;
}

/** What an event means for the stack; undefined where it is none of it. */
export function happening(event: DockerEvent, watched: Watched): Happening | undefined {
    switch (event.Type) {
        case "container":
            return ofContainer(event, watched);
        case "network":
            return ofNetwork(event, watched);
        case "volume":
            return ofVolume(event, watched);
        default:
            return ofImage(event, watched);
    }
}

/** By Docker's action: what it is called here, and whether it is good news. */
const containerWords: Record<string, [text: string, good: boolean]> = {
    oom: ["Linux killed it, or a program in it, for want of memory", false],
    "health_status: healthy": ["healthy", true],
    "health_status: unhealthy": ["unhealthy", false],
    pause: ["paused", false],
    unpause: ["goes on after a pause", true],
    stop: ["stopped", false],
    start: ["started", true],
    update: ["limits changed", false],
    destroy: ["container removed", false],
};

function ofContainer({ Action, Actor }: DockerEvent, { stack, services }: Watched): Happening | undefined {
    const { Attributes } = Actor;
    const service = Attributes[serviceLabel];
    if (Attributes[stackLabel] !== stack || !service) {
        return namesake(Action, Attributes.name ?? "", stack);
    }
    services.set(Actor.ID, service);
    if (Action === "die") {
        const exitCode = Number(Attributes.exitCode);
        return {
            service,
            event: "die",
            text: `ended with exit code ${exitCode}`,
            good: exitCode === 0,
            exitCode,
        };
    }
    if (Action === "rename") {
        const from = (Attributes.oldName ?? "").replace(/^\//, "");
        return {
            service,
            event: "rename",
            text: `renamed from ${from} to ${Attributes.name ?? ""}`,
            good: false,
        };
    }
    const [text, good] = containerWords[Action] ?? [];
    return text === undefined
        ? undefined
        : { service, event: Action.replace(/^.*: /, ""), text, good: good ?? true };
}

/** Somebody else's container that takes a name of the stack's. */
function namesake(action: string, name: string, stack: string): Happening | undefined {
    const prefix = containerName(stack, "");
    const service = name.slice(prefix.length);
    const isOurs = name.startsWith(prefix) && everyService.some((one) => one.name === catalogueName(service));
    return isOurs && (action === "create" || action === "rename")
        ? { service, event: action, text: `${name} is now a container that is not the stack's`, good: false }
        : undefined;
}

function ofNetwork({ Action, Actor }: DockerEvent, { stack, services }: Watched): Happening | undefined {
    const { container = "", name = Actor.ID } = Actor.Attributes;
    const service = services.get(container);
    const own = name === networkName(stack);
    if (service && Action === "connect") {
        return { service, event: "connect", text: `joined the network ${name}`, good: own };
    }
    if (service && Action === "disconnect") {
        return { service, event: "disconnect", text: `left the network ${name}`, good: !own };
    }
    if (own && Action === "create") {
        return { service: "network", event: "create", text: `${name} made`, good: true };
    }
    return own && Action === "destroy"
        ? { service: "network", event: "destroy", text: `${name} removed`, good: false }
        : undefined;
}

function ofVolume({ Action, Actor }: DockerEvent, { stack }: Watched): Happening | undefined {
    const isOurs = everyVolume.some(({ name }) => volumeName(stack, name) === Actor.ID);
    return isOurs && Action === "destroy"
        ? { service: "volume", event: "destroy", text: `${Actor.ID} removed`, good: false }
        : undefined;
}

const imageWords: Record<string, string> = {
    tag: "tag given to an image",
    untag: "tag taken away",
    delete: "deleted",
};

function ofImage({ Action, Actor }: DockerEvent, { images }: Watched): Happening | undefined {
    // Docker says the tag as the image's id, or as its name.
    const name = [Actor.Attributes.name ?? "", Actor.ID].find((one) => images.has(one));
    const text = imageWords[Action];
    return name && text
        ? { service: "image", event: Action, text: `${name}: ${text}`, good: Action === "tag" }
        : undefined;
}
