import { Contexts } from "./contexts";
import { Crypter } from "./crypto";
import { EngineError } from "./errors";
import type { Display } from "./events";
import { Limiter } from "./limiter";
import { lockStack } from "./lock";
import { type Project, readProject, readStackFile, type StackFile } from "./project";
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

export interface EngineOptions extends StackLocation {
    /** Steps at a time; default 16. */
    parallel?: number;
    /** Environment of the program and of what it runs; default this process's. */
    env?: NodeJS.ProcessEnv;
    display: Display;
    /**
     * Ends the run: running builds and commands and the program are stopped, the state is saved, and the call
     * rejects with an EngineError. To end at once, exit: the state on disk is whole at any moment.
     */
    signal?: AbortSignal;
}

/** An opened stack with all that an operation on it needs. */
export interface Session {
    project: Project;
    stackFile: StackFile;
    stack: string;
    env: NodeJS.ProcessEnv;
    parallel: number;
    display: Display;
    signal: AbortSignal;
    /** Aborts `signal`. */
    stop(): void;
    contexts: Contexts;
    limiter: Limiter;
    /** The stack's resources, once the passphrase has opened them. */
    state: Promise<SessionState>;
    close(): void;
}

export interface SessionState {
    crypter: Crypter;
    snapshot: Snapshot;
    /** Creations that an interrupted run began and never recorded. */
    interrupted: PendingOperation[];
}

const DEFAULT_PARALLEL = 16;

/**
 * Opens a stack. Only what writes takes the lock.
 * @throws EngineError when the project cannot be read or the stack is locked.
 */
export function openSession(options: EngineOptions, mode: "read" | "write"): Session {
    const project = readProject(options.projectDir);
    const stackFile = readStackFile(options.projectDir, options.stack);
    const release = mode === "write" ? lockStack(options.stateDir, project.name, options.stack) : () => {};
    const stopping = new AbortController();
    const stop = () => stopping.abort();
    options.signal?.addEventListener("abort", stop);
    if (options.signal?.aborted) {
        stop();
    }
    const { display, env = process.env, parallel = DEFAULT_PARALLEL } = options;
    const state = openState(options, project, stackFile, mode);
    // Whoever needs the state awaits it and meets the error there.
    state.catch(() => {});
    return {
        project,
        stackFile,
        stack: options.stack,
        env,
        parallel,
        display,
        signal: stopping.signal,
        stop,
        contexts: new Contexts({ projectDir: project.dir, env, signal: stopping.signal, display }),
        limiter: new Limiter(parallel),
        state,
        close() {
            options.signal?.removeEventListener("abort", stop);
            release();
        },
    };
}

async function openState(
    options: StackLocation,
    project: Project,
    stackFile: StackFile,
    mode: "read" | "write",
): Promise<SessionState> {
    const { stateDir, stack, passphrase } = options;
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
