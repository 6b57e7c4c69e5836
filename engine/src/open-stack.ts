import { Contexts } from "./contexts";
import { Crypter } from "./crypto";
import { EngineError } from "./engine-error";
import type { Display } from "./events";
import { Limiter } from "./limiter";
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
    display: Display;
    signal: AbortSignal;
    /** Aborts `signal`. */
    stop(): void;
    contexts: Contexts;
    limiter: Limiter;
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

/** Steps at a time. */
const PARALLEL = 16;

/**
 * Opens a stack. Only what writes takes the lock.
 * @throws EngineError when the project cannot be read or the stack is locked.
 */
export function openStack(
    { display, signal, ...location }: StackLocation & { display: Display; signal?: AbortSignal },
    mode: "read" | "write",
): OpenStack {
    const { projectDir, stateDir, stack: name } = location;
    const project = readProject(projectDir);
    const stackFile = readStackFile(projectDir, name);
    const release = mode === "write" ? lockStack(stateDir, project.name, name) : () => {};
    const stopping = new AbortController();
    const stop = () => stopping.abort();
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) {
        stop();
    }
    const state = openState(location, project, stackFile, mode);
    // Whoever needs the state awaits it and meets the error there.
    state.catch(() => {});
    return {
        name,
        project,
        stackFile,
        display,
        signal: stopping.signal,
        stop,
        contexts: new Contexts({ projectDir, signal: stopping.signal, display }),
        limiter: new Limiter(PARALLEL),
        state,
        close() {
            signal?.removeEventListener("abort", stop);
            release();
        },
    };
}

async function openState(
    { stateDir, stack, passphrase }: StackLocation,
    project: Project,
    stackFile: StackFile,
    mode: "read" | "write",
): Promise<StackState> {
    const path = checkpointPath(stateDir, project.name, stack);
    if (mode === "write") {
        prepareState(stateDir, project.name, stack);
    }
    const file = new CheckpointFile(path);
    const { reader, writer } = await openCrypters(passphrase, file.salt, stackFile.encryptionsalt);
    const target = { path, stack: `organization/${project.name}/${stack}`, crypter: writer };
    const snapshot = new Snapshot(file.resources(reader), mode === "write" ? target : undefined);
    const interrupted = file.pending(reader).filter((operation) => operation.type === "creating");
    for (const operation of interrupted) {
        snapshot.remember(operation);
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

/** What to tell a user whose run was stopped. */
export function interruptedError(): EngineError {
    return new EngineError("Interrupted; run the same command again to continue.");
}
