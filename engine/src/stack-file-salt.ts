import { Crypter } from "./crypto";
import type { StackLocation } from "./open-stack";
import { readStackFile } from "./pulumi-files";
import { editStackFile } from "./stack-file";

type StackFileLocation = Pick<StackLocation, "projectDir" | "stack" | "passphrase">;

/**
 * Whether the passphrase opens a stack's file, which has a salt of its own once a value of it was encrypted.
 * @returns undefined where it does, or there is nothing to open; otherwise the keys with encrypted values, none where the
 * salt is all that is left of them.
 * @throws EngineError when the file cannot be read.
 */
export async function closedKeys({
    projectDir,
    stack,
    passphrase,
}: StackFileLocation): Promise<string[] | undefined> {
    const { config, encryptionsalt } = readStackFile(projectDir, stack);
    if (encryptionsalt === undefined) {
        return undefined;
    }
    try {
        await Crypter.open(passphrase, encryptionsalt);
        return undefined;
    } catch {
        return Object.keys(config).filter((key) => JSON.stringify(config[key]).includes('"secure":'));
    }
}

/** Takes the salt out of a stack's file. Only where no value needs it. */
export async function forgetSalt({ projectDir, stack }: StackFileLocation): Promise<void> {
    await editStackFile(projectDir, stack, (document) => document.delete("encryptionsalt"));
}
