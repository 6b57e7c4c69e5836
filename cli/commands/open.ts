import { type Command, InvalidArgumentError } from "commander";
import pc from "picocolors";
import { everyService } from "../../catalogue";
import { action, type Handler } from "../action";
import { stackContainers } from "../docker";
import { secretOutputs, stackOutputs } from "../documents";
import { UserError } from "../errors";
import { hostAndPort, loginUrl, mainPort, portNamed, writeLoginPage } from "../login";
import { findName } from "../names";
import { currentServer } from "../server/reach";
import { describeTunnel, ensureTunnel } from "../server/tunnel";
import type { Session } from "../session";

const names = everyService.flatMap((service) => service.ports.map(({ name }) => name));

/** `carbon open`. */
export function addOpen(program: Command): void {
    program
        .command("open")
        .argument(
            "[what]",
            `what to open: ${names.join(", ")} (default: jupyter, or novnc without it)`,
            parseName,
        )
        .description(
            "open JupyterLab or another address of the stack, logged in where it has a page for that",
        )
        .action(action(open));
}

function parseName(given: string): string {
    const found = findName(names, given);
    if (!found) {
        throw new InvalidArgumentError(`Allowed: ${names.join(", ")}.`);
    }
    return found;
}

const open: Handler<unknown> = async (session, _options, [what]) => {
    const { urls } = await session.outputsAs(stackOutputs, { showSecrets: false });
    const name = what ? parseName(what) : (mainPort(urls) ?? "");
    const url = urls[name];
    if (!url) {
        throw new UserError(
            `The stack ${session.stack} has no ${name}. It has: ${Object.keys(urls).join(", ")}.`,
        );
    }
    await ensureRunning(session);
    await bringHere(session, url);
    const opens = !session.output.json && canOpen(url);
    const login = opens ? await loginOf(session, name) : undefined;
    if (opens) {
        const title = portNamed(name)?.title ?? name;
        await openAddress(login ? writeLoginPage(session.project, title, login) : url, login !== undefined);
    }
    session.output.result(opens ? `Opening ${pc.bold(url)}` : url, { stack: session.stack, name, url });
    for (const line of advice(session, name, url, { opens, logsIn: login !== undefined })) {
        session.output.note(line);
    }
};

/** The address that logs in by itself; nobody sees the passwords where there is none. */
async function loginOf(session: Session, name: string): Promise<string | undefined> {
    if (!portNamed(name)?.loginUrl) {
        return undefined;
    }
    const { urls, credentials } = await session.outputsAs(secretOutputs, { showSecrets: true });
    return loginUrl(name, urls, credentials);
}

/** Nothing answers at an address of a stack that is down or stopped. Where Docker does not answer, nobody knows. */
async function ensureRunning(session: Session): Promise<void> {
    const containers = await stackContainers(session.stack).catch(() => undefined);
    if (containers?.length === 0) {
        throw new UserError(await session.whyNothingRuns());
    }
    if (containers?.every(({ State }) => State.Status === "exited")) {
        throw new UserError(
            `The stack ${session.stack} is stopped. Type: ./carbon start${session.stackFlag()}`,
        );
    }
}

/** What a server has bound to its own loopback addresses is brought to this machine's. */
async function bringHere(session: Session, url: string): Promise<void> {
    const { host } = hostAndPort(url);
    if (currentServer() && (host.startsWith("127.") || host === "::1")) {
        const { tunnel, opened } = await ensureTunnel(session);
        if (opened) {
            session.output.note(
                `Opened the tunnel: ${describeTunnel(tunnel)}. It closes with: ./carbon tunnel --stop${session.stackFlag()}`,
            );
        }
    }
}

/** Programs of a Mac take each of these forms; elsewhere only a browser is sure to be there. */
function canOpen(url: string): boolean {
    const { DISPLAY, WAYLAND_DISPLAY, SSH_CONNECTION } = process.env;
    return process.platform === "darwin"
        ? !SSH_CONNECTION
        : Boolean(DISPLAY || WAYLAND_DISPLAY) && /^https?:/.test(url);
}

/** @param isFile True for a page on disk, which an editor may be the usual program for. */
async function openAddress(target: string, isFile: boolean): Promise<void> {
    const { default: openWith, apps } = await import("open");
    try {
        await openWith(target, isFile ? { app: { name: apps.browser } } : {});
    } catch {
        // The user's browser is one that the library has no name for.
        await openWith(target);
    }
}

/** What to do next. */
function advice(
    session: Session,
    name: string,
    url: string,
    { opens, logsIn }: { opens: boolean; logsIn: boolean },
): string[] {
    const flag = session.stackFlag();
    const credentials = `./carbon credentials${flag}`;
    if (opens && logsIn) {
        return [`It logs in by itself. Where it does not: ${credentials}`];
    }
    const { host, port } = hostAndPort(url);
    const lines = [`It asks for a login: ${credentials}`];
    if (/^https?:/.test(url) && process.env.SSH_CONNECTION) {
        return [
            `Open it from the machine that you sit at: ssh -L ${port}:${host}:${port} <this machine>`,
            ...lines,
        ];
    }
    const browser = `In the browser, on every machine: ./carbon open novnc${flag}`;
    switch (name) {
        case "rdp":
            return [`Windows App takes this address; other clients take ${host}:${port}.`, browser, ...lines];
        case "vnc":
            return [
                `TigerVNC Viewer takes ${host}::${port}, Apple's Screen Sharing this address.`,
                browser,
                ...lines,
            ];
        case "ssh":
            return [`ssh -p ${port} carbon@${host}`, ...lines];
        default:
            return lines;
    }
}
