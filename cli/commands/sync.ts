import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import pc from "picocolors";
import { workspace } from "../../catalogue";
import { serverName } from "../../settings/server";
import { action, type Handler } from "../action";
import { hasImage, serviceLabel, stackContainers } from "../docker";
import { exitCodes, messageOf, UserError } from "../errors";
import { plural } from "../output";
import { printableLine } from "../printable";
import { ensureServersFolder } from "../server/folder";
import { serverOf } from "../server/tunnel";
import type { Session } from "../session";
import { whileSyncing } from "../stackState";
import { suiteReferences } from "../suiteReferences";
import { ensureRsync, type Synced, sync } from "../sync";
import { WorkspaceHelper } from "../sync/helper";
import { shownPath } from "../sync/listing";

interface SyncFlags {
    watch: boolean;
    dryRun: boolean;
    delete: boolean;
}

/** Between two looks at both folders. */
const pauseMilliseconds = 3_000;
/** Names that are shown of a list. */
const mostShown = 20;

/** `carbon sync`. */
export function addSync(program: Command): void {
    program
        .command("sync")
        .description(
            "keep carbon:syncDir of this machine and the /workspace of a stack that lives on a server the same, both ways",
        )
        .option("-w, --watch", "go on until Ctrl-C", false)
        .option("-n, --dry-run", "show what would be done, and do nothing", false)
        .option(
            "--delete",
            "what was deleted on one side since the last time, delete on the other, too",
            false,
        )
        .action(action(syncFolders));
}

const syncFolders: Handler<SyncFlags> = async (session, flags) => {
    serverOf(session, "carbon sync");
    await ensureRsync();
    const work = () => (flags.watch ? watch(session, flags) : once(session, flags));
    return flags.dryRun ? work() : whileSyncing(session, work);
};

async function watch(session: Session, flags: SyncFlags): Promise<number> {
    session.output.note("Watching both folders. Ctrl-C ends it.");
    let last = "";
    while (!session.signal.aborted) {
        last = await watchOnce(session, flags, last);
    }
    return 0;
}

async function once(session: Session, flags: SyncFlags): Promise<number> {
    const helper = await startHelper(session, flags);
    try {
        const done = await sync(
            { project: session.project, settings: session.settings(), helper, signal: session.signal },
            { dryRun: flags.dryRun, remove: flags.delete },
        );
        session.output.result(describe(done, flags), documentOf(session, done, flags));
        return done.conflicts.length > 0 ? exitCodes.failure : 0;
    } finally {
        await helper.stop();
    }
}

/** With one helper as long as the connection holds. @returns what was said last, which is not said twice. */
async function watchOnce(session: Session, flags: SyncFlags, before: string): Promise<string> {
    let last = before;
    let helper: WorkspaceHelper | undefined;
    try {
        helper = await startHelper(session, flags);
        const of = { project: session.project, settings: session.settings(), helper, signal: session.signal };
        while (!session.signal.aborted && helper.isThere) {
            const done = await sync(of, { dryRun: flags.dryRun, remove: flags.delete });
            const words = describe(done, flags);
            if (words !== last && (words !== nothing || last === "")) {
                session.output.line(words, documentOf(session, done, flags));
            }
            last = words;
            await sleep(pauseMilliseconds, undefined, { signal: session.signal }).catch(() => {});
        }
    } catch (error) {
        if (!session.signal.aborted && messageOf(error) !== last) {
            session.output.warn(`${messageOf(error).replace(/\.?$/, ".")} It is tried again.`);
            last = messageOf(error);
        }
        await sleep(pauseMilliseconds, undefined, { signal: session.signal }).catch(() => {});
    } finally {
        await helper?.stop();
    }
    return last;
}

/** Of the image that the workspace runs from, or is to. */
async function startHelper(session: Session, { dryRun }: SyncFlags): Promise<WorkspaceHelper> {
    const settings = session.settings();
    const containers = await stackContainers(session.stack);
    const running = containers.find(({ Config }) => Config.Labels[serviceLabel] === workspace.name);
    const { base, compute = base } = suiteReferences(settings);
    const image = running?.Config.Image ?? compute;
    if (!(await hasImage(image))) {
        throw new UserError(session.notDeployed());
    }
    const { server } = settings;
    if (server) {
        await ensureServersFolder(server, settings, !dryRun);
        session.output.note(`${settings.syncDir} and ${serverName(server)}:${settings.workspaceDir}`);
    }
    return WorkspaceHelper.start(settings, image, session.signal);
}

const nothing = "Both sides are the same.";

/** What was done, as it is shown. */
export function describe(done: Synced, { dryRun, delete: removes }: SyncFlags): string {
    const would = dryRun ? "Would go" : "Went";
    const remove = dryRun ? "Would be removed" : "Removed";
    const lists: [title: string, names: string[]][] = [
        [`${would} to the server`, done.push],
        [`${would} here`, done.pull],
        [`${remove} on the server, as it was here`, done.removedThere],
        [`${remove} here, as it was on the server`, done.removedHere],
        ["Deleted here, and kept on the server (--delete removes it there)", removes ? [] : done.goneHere],
        ["Deleted on the server, and kept here (--delete removes it here)", removes ? [] : done.goneThere],
        ["Left out, as the link leads out of the folder", done.leftOut],
    ];
    const lines = lists.filter(([, names]) => names.length > 0).map(([title, names]) => listed(title, names));
    const changed = done.conflicts.filter((name) => !done.clashes.includes(name));
    if (changed.length > 0) {
        lines.push(
            `${listed(pc.red("Changed on both sides, and left as it is on both"), changed)}\n` +
                "Remove or rename the one that you do not want; the next sync brings the other.",
        );
    }
    if (done.clashes.length > 0) {
        lines.push(
            `${listed(pc.red("Names that are one to this machine, and left as they are on both sides"), done.clashes)}\n` +
                "Rename one of them: to the other's spelling where it is the same file, to another name else.",
        );
    }
    return lines.length > 0 ? lines.join("\n") : nothing;
}

function listed(title: string, names: string[]): string {
    const shown = names.slice(0, mostShown).map((name) => `    ${printableLine(shownPath(name))}`);
    const more = names.length - shown.length;
    return [`${title}:`, ...shown, ...(more > 0 ? [`    and ${plural(more, "other")}`] : [])].join("\n");
}

function documentOf({ stack }: Session, done: Synced, { dryRun }: SyncFlags) {
    const lists = Object.entries(done).map(([key, names]) => [key, (names as string[]).map(shownPath)]);
    return { stack, dryRun, ...Object.fromEntries(lists) };
}
