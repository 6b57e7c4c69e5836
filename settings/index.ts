import * as pulumi from "@pulumi/pulumi";
import { thisMachine } from "./machine";
import { parseSettings, type Settings, SettingsError } from "./parse";
import { type PullPlan, planPull, type Registries } from "./pulled";
import { lookUp, lookUpHere } from "./registry";

export type { Settings } from "./parse";

/**
 * Settings of the stack that is being deployed, with the images that are pulled for it.
 *
 * @throws pulumi.RunError listing every problem; Pulumi prints it without a stack trace.
 */
export function loadSettings(): Settings & { pulled: PullPlan["images"] } {
    try {
        const machine = thisMachine(process.cwd());
        const settings = parseSettings(pulumi.getStack(), pulumi.runtime.allConfig(), machine);
        return { ...settings, pulled: pulledImages(settings, machine.registries) };
    } catch (error) {
        throw error instanceof SettingsError ? new pulumi.RunError(error.message) : error;
    }
}

function pulledImages(
    settings: Settings,
    registries: Registries = { lookUp, lookUpHere },
): PullPlan["images"] {
    if (settings.images === "build") {
        return {};
    }
    const { images, problems } = planPull(settings, registries);
    if (problems.length > 0) {
        throw new pulumi.RunError(problems.map(({ detail, advice }) => `${detail}. ${advice}.`).join("\n"));
    }
    return images;
}
