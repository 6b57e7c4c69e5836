import * as pulumi from "@pulumi/pulumi";
import { thisMachine } from "./machine";
import { parseSettings, type Settings, SettingsError } from "./parse";
import { type PullPlan, planPull } from "./pulled";
import { lookUp, lookUpHere } from "./registry";

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

/**
 * The images that are pulled for the stack; none where it builds them.
 *
 * @throws pulumi.RunError listing every reason why one cannot be.
 */
export function pulledImages(settings: Settings): PullPlan["images"] {
    if (settings.images === "build") {
        return {};
    }
    const { registries = { lookUp, lookUpHere } } = thisMachine(process.cwd());
    const { images, problems } = planPull(settings, registries);
    if (problems.length > 0) {
        throw new pulumi.RunError(problems.map(({ detail, advice }) => `${detail}. ${advice}.`).join("\n"));
    }
    return images;
}
