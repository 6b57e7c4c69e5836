// The one entry: nothing outside this package imports anything else of it.

export { formatPath } from "./diff";
export { createDisplay } from "./display";
export { attestationEnvironment, buildxArguments } from "./drivers/buildx";
export { EngineError, messageOf } from "./engine-error";
export type { Counts, Display, EngineEvent } from "./events";
export {
    checkpointFault,
    checkpointTime,
    newestCheckpoint,
    opensCheckpoint,
    replaceCheckpoint,
    setAside,
} from "./inspect-state";
export { type LockedStack, lockStack, removeDeadLocks, removeLocks, type StackLock } from "./lock";
export type { StackLocation } from "./open-stack";
export {
    type DestroyOptions,
    destroy,
    preview,
    refresh,
    stackConfig,
    stackOutputs,
    stackResources,
    type UpdateOptions,
    type UpdateResult,
    up,
} from "./operations";
export { printable, unprintable } from "./printable";
export { readStackFile } from "./pulumi-files";
export { type ProcessResult, runProcess } from "./run-process";
export { editStackFile } from "./stack-file";
export { closedKeys, forgetSalt } from "./stack-file-salt";
export { backupPath, checkpointPath } from "./state";
export {
    type Carriage,
    type CarriedResources,
    checkResources,
    exportResources,
    importResources,
    openedStackFile,
    sealStackFile,
} from "./transfer";
export { nameOf as resourceName } from "./urn";
export { draftOf, writeWhole } from "./write-whole";
