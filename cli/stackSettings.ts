import { readStackFile } from "../engine/src/project";
import { thisMachine } from "../settings/machine";
import { parseSettings, type Settings } from "../settings/parse";
import { UserError } from "./errors";
import type { Project } from "./project";

const namespace = "carbon:";

/**
 * The stack's settings as the program will see them, without running it. The engines stop at the first value of
 * a wrong type; here every problem of the configuration is reported at once.
 *
 * @param overrides Values, as text, that take the place of the stack's own.
 * @throws SettingsError naming every problem; EngineError for a file that cannot be read.
 */
export function readSettings(
    project: Project,
    stack: string,
    overrides: Record<string, string> = {},
): Settings {
    const { config } = readStackFile(project.dir, stack);
    const raw = Object.entries(config)
        .map(([key, value]) => [key.includes(":") ? key : `${namespace}${key}`, value] as const)
        .filter(([key]) => key.startsWith(namespace))
        .map(([key, value]) => [key.slice(namespace.length), asText(stack, key, value)]);
    return parseSettings(stack, { ...Object.fromEntries(raw), ...overrides }, thisMachine(project.dir));
}

/** Pulumi hands every value over as text: arrays and objects as JSON, the rest as it is written. */
function asText(stack: string, key: string, value: unknown): string {
    if (typeof value !== "object" || value === null) {
        return String(value);
    }
    if ("secure" in value) {
        throw new UserError(
            `${key} is encrypted in Pulumi.${stack}.yaml, but no setting is a secret: write it in plain text.`,
        );
    }
    return JSON.stringify(value);
}
