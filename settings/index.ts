import * as pulumi from "@pulumi/pulumi";
import { thisMachine } from "./machine";
import { parseSettings, type Settings, SettingsError } from "./parse";

export type { Settings } from "./parse";

/**
 * Settings of the stack that is being deployed.
 *
 * @throws pulumi.RunError listing every problem; Pulumi prints it without a stack trace.
 */
export function loadSettings(): Settings {
    try {
        return parseSettings(pulumi.getStack(), pulumi.runtime.allConfig(), thisMachine(process.cwd()));
    } catch (error) {
        throw error instanceof SettingsError ? new pulumi.RunError(error.message) : error;
    }
}
