import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { execa } from "execa";
import pc from "picocolors";
import { action, type Handler } from "../action";
import { deployedImages } from "../deployedImages";
import { type ContainerDetails, docker, stackContainers, stackLabel } from "../docker";
import { parseDocument } from "../documents";
import { messageOf } from "../errors";
import {
    type DockerEvent,
    dockerEvent,
    eventFilters,
    type Happening,
    happening,
    type Watched,
} from "../events";
import { generationTags, tagOf } from "../generations";
import { isWell, lastError, serviceOf } from "../health";
import { printableLine } from "../printable";
import type { Session } from "../session";

const retryMilliseconds = 1000;

/** `carbon watch`. */
export function addWatch(program: Command): void {
    program
        .command("watch")
        .description(
            "show what happens to the containers, network, volumes and images as it happens, until Ctrl-C",
        )
        .action(action(watch));
}

const watch: Handler<unknown> = async (session) => {
    const { signal } = session;
    for (let lost: string | undefined; !signal.aborted; ) {
        try {
            await follow(session, lost !== undefined);
            lost = "its events ended";
        } catch (error) {
            lost ??= messageOf(error);
        }
        if (!signal.aborted) {
            tell(session, "docker", "lost", `Docker does not answer: ${lost}. Waiting for it`, false);
            await untilAnswered(signal);
        }
    }
};

async function untilAnswered(signal: AbortSignal): Promise<void> {
    for (;;) {
        await sleep(retryMilliseconds, undefined, { signal }).catch(() => undefined);
        if (signal.aborted || (await docker("version", "--format", "{{.Server.Version}}").catch(() => ""))) {
            return;
        }
    }
}

/** Says the present state, then what happens, until Docker's events end. */
async function follow(session: Session, again: boolean): Promise<void> {
    const { signal, stack } = session;
    const filters = eventFilters.flatMap((filter) => ["--filter", filter]);
    const child = execa("docker", ["events", "--format", "{{json .}}", ...filters], {
        buffer: false,
        reject: false,
        stdin: "ignore",
        stderr: "ignore",
        cancelSignal: signal,
    });
    // At once: what is printed before anybody reads is lost, and so is the end.
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    try {
        const containers = await stackContainers(stack);
        if (again) {
            tell(session, "docker", "back", "Docker answers again", true);
        }
        await tellState(session, containers);
        const watched = await watchedOf(session, containers);
        for await (const line of { [Symbol.asyncIterator]: () => lines }) {
            const event = parseDocument(
                "An event of Docker's",
                dockerEvent,
                line,
                "`docker version` shows which it is.",
            );
            const happened = happening(event, watched);
            if (happened) {
                await report(session, event, happened);
            }
        }
    } finally {
        child.kill();
        await child;
    }
}

async function watchedOf(
    { project, stack }: Session,
    containers: readonly ContainerDetails[],
): Promise<Watched> {
    return {
        stack,
        services: new Map(containers.map((container) => [container.Id, serviceOf(container)])),
        images: new Set([
            ...containers.map(({ Config }) => tagOf(Config.Image)),
            ...deployedImages(project, stack),
            ...generationTags(project, stack),
        ]),
    };
}

/** The first line: who is there, and how they are. */
async function tellState(session: Session, containers: readonly ContainerDetails[]): Promise<void> {
    const services = containers.map((container) => ({
        service: serviceOf(container),
        state: container.State.Status,
        health: container.State.Health?.Status,
        lastError: isWell(container) ? undefined : lastError(container),
    }));
    const ill = containers.filter((container) => !isWell(container));
    const names = services.map(({ service }) => service).join(", ");
    const text =
        services.length === 0
            ? await session.whyNothingRuns()
            : ill.length === 0
              ? `${names}: all well`
              : services
                    .map(({ service, state, health, lastError: error }) =>
                        [
                            `${service} ${state === "running" ? (health ?? state) : state}`,
                            ...(error ? [error] : []),
                        ].join(": "),
                    )
                    .join("; ");
    const good = services.length > 0 && ill.length === 0;
    show(session, { service: session.stack, event: "state", text, good }, new Date(), { services });
}

/**
 * Adds what Docker's event does not say: what the health check said, what the limit is now, and whose a network of the
 * stack's name is.
 */
async function report(session: Session, { Actor, time }: DockerEvent, happened: Happening): Promise<void> {
    const at = new Date(time * 1000);
    if (happened.service === "network" && happened.event === "create") {
        const isOwn = await isOwnNetwork(session, Actor.ID).catch(() => true);
        const text = `${happened.text}, which is not the stack's`;
        show(session, isOwn ? happened : { ...happened, text, good: false }, at);
        return;
    }
    const more = await detail(session, Actor.ID, happened).catch(() => undefined);
    const text = more ? `${happened.text}: ${more}` : happened.text;
    show(session, { ...happened, text }, at);
}

/** By its label, which Docker's event does not have. */
async function isOwnNetwork({ stack }: Session, id: string): Promise<boolean> {
    const format = `{{index .Labels "${stackLabel}"}}`;
    return (await docker("network", "inspect", "--format", format, id)).trim() === stack;
}

async function detail({ stack }: Session, id: string, { event }: Happening): Promise<string | undefined> {
    if (event === "unhealthy") {
        const found = (await stackContainers(stack)).find(({ Id }) => Id === id);
        return found && lastError(found);
    }
    if (event === "update") {
        const bytes = Number(
            await docker("inspect", "--type", "container", "--format", "{{.HostConfig.Memory}}", id),
        );
        return bytes > 0 ? `memory ${Math.round(bytes / 1024 / 1024)} MiB` : "no limit of memory";
    }
    return undefined;
}

function tell(session: Session, service: string, event: string, text: string, good: boolean): void {
    show(session, { service, event, text, good }, new Date());
}

/** One line: for people, or one JSON document. */
function show(session: Session, happened: Happening, at: Date, more: object = {}): void {
    const { service, event, text, good, exitCode } = happened;
    const colour = good ? pc.green : pc.yellow;
    session.output.line(
        `${pc.dim(at.toTimeString().slice(0, 8))} ${printableLine(service)}: ${colour(printableLine(text))}`,
        { time: at.toISOString(), stack: session.stack, service, event, text, good, exitCode, ...more },
    );
}
