import { Contexts } from "./contexts";
import { Crypter } from "./crypto";
import type { Display } from "./events";
import { lockStack } from "./lock";
import { type Project, readProject, readStackFile, type StackFile } from "./pulumi-files";
import { Snapshot } from "./snapshot";
import { CheckpointFile, checkpointPath, type PendingOperation, prepareState } from "./state";

/** Where a stack is and how to open it. */
export interface StackLocation {
    /** Folder of Pulumi.yaml. */
    projectDir: string;
    stack: string;
    /** Root of the file backend: the folder that contains `.pulumi/`. */
    stateDir: string;
    passphrase: string;
}

/** A stack with all that an operation on it needs. */
export interface OpenStack {
    name: string;
    project: Project;
    stackFile: StackFile;
    /** Tell what would be done, and do nothing. */
    preview: boolean;
    display: Display;
    signal: AbortSignal;
    /** Aborts `signal`. */
    stop(): void;
    contexts: Contexts;
    /** The stack's resources, once the passphrase has opened them. */
    state: Promise<StackState>;
    close(): void;
}

interface StackState {
    crypter: Crypter;
    snapshot: Snapshot;
    /** Creations that an interrupted run began and never recorded. */
    interrupted: PendingOperation[];
}

/**
 * Opens a stack. Only what writes takes the lock, unless the caller holds it already.
 * @throws EngineError when the project cannot be read or the stack is locked.
 */
export function openStack(
    {
        display,
        signal: given,
        locked = false,
        ...location
    }: StackLocation & { display: Display; signal?: AbortSignal; locked?: boolean },
    mode: "read" | "write",
): OpenStack {
    const { projectDir, stateDir, stack: name } = location;
    const project = readProject(projectDir);
    const stackFile = readStackFile(projectDir, name);
    const close = mode === "write" && !locked ? lockStack(stateDir, project.name, name) : () => {};
    const stopping = new AbortController();
    const signal = AbortSignal.any([stopping.signal, ...(given ? [given] : [])]);
    const contexts = new Contexts({ projectDir, signal, display });
    const state = openState(location, { project, stackFile, contexts }, mode);
    // Whoever needs the state awaits it and meets the error there.
    state.catch(() => {});
    const stop = () => stopping.abort();
    const preview = mode === "read";
    return { name, project, stackFile, preview, display, signal, stop, contexts, state, close };
}

async function openState(
    { stateDir, stack, passphrase }: StackLocation,
    { project, stackFile, contexts }: Pick<OpenStack, "project" | "stackFile" | "contexts">,
    mode: "read" | "write",
): Promise<StackState> {
    const path = checkpointPath(stateDir, project.name, stack);
    if (mode === "write") {
        prepareState(stateDir, project.name, stack);
    }
    const file = new CheckpointFile(path);
    const { reader, writer } = await openCrypters(passphrase, file.salt, stackFile.encryptionsalt);
    const target = { path, stack: `organization/${project.name}/${stack}`, crypter: writer };
    const { resources, interrupted } = file.open(reader);
    const snapshot = new Snapshot(resources, interrupted, mode === "write" ? target : undefined);
    for (const resource of resources) {
        contexts.addProvider(resource);
    }
    return { crypter: writer, snapshot, interrupted };
}

/** The stack file's salt rules where there is one; the checkpoint may still be written with another. */
async function openCrypters(
    passphrase: string,
    inState: string | undefined,
    inStackFile: string | undefined,
): Promise<{ reader: Crypter; writer: Crypter }> {
    const wanted = inStackFile ?? inState;
    const writer = wanted ? await Crypter.open(passphrase, wanted) : await Crypter.create(passphrase);
    const reader = inState && inState !== wanted ? await Crypter.open(passphrase, inState) : writer;
    return { reader, writer };
}
