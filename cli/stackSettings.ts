import { readStackFile } from "@carbon/engine";
import { thisMachine } from "../settings/machine";
import { parseSettings, type Settings } from "../settings/parse";
import type { Project } from "./project";

/**
 * The stack's settings as the program will see them, without running it. The engines stop at the first value of
 * a wrong type; here every problem of the configuration is reported at once.
 *
 * @param overrides Values, as text and by key without namespace, that take the place of the stack's own.
 * @throws SettingsError naming every problem; EngineError for a file that cannot be read.
 */
export function readSettings(
    project: Project,
    stack: string,
    overrides: Record<string, string> = {},
): Settings {
    const { config } = readStackFile(project.dir, stack);
    const texts = Object.entries(config).map(([key, value]) => [key, asText(value)] as const);
    return parseSettings(stack, { ...Object.fromEntries(texts), ...overrides }, thisMachine(project.dir));
}

/** As Pulumi hands it over: arrays and objects as JSON, nothing as the empty text, the rest as it is written. */
function asText(value: unknown): string {
    return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value ?? "");
}
