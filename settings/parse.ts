import { crossCheck } from "./checks";
import { decode } from "./decode";
import type { Machine } from "./machine";
import { problem, SettingsError } from "./problems";
import { ask, resolve, type Settings } from "./resolve";

export { SettingsError } from "./problems";
export type { Settings } from "./resolve";

/**
 * Turns a stack's configuration into settings.
 *
 * @param config Values by key, as Pulumi hands them over: arrays and objects as JSON, the rest as plain text. Keys are
 * `carbon:<key>` or `<key>`; those of other namespaces are none of the suite's. A key that is missing has its default.
 * @throws SettingsError naming every problem at once.
 */
export function parseSettings(stack: string, config: Record<string, string>, machine: Machine): Settings {
    const texts = ownTexts(config);
    const { values, problems } = decode(texts);
    const choices = resolve(stack, values, machine);
    // Of a key that is wrong by itself the default stands in, which is none of the user's.
    const isWrong = new Set(problems.map(({ key }) => key));
    const refusals = crossCheck(values, choices, machine).filter(([key]) => !isWrong.has(key));
    const all = [...problems, ...refusals.map(([key, reason]) => problem(key, texts[key], reason))];
    if (all.length > 0) {
        throw new SettingsError(stack, all);
    }
    return { ...choices, ...ask(values, choices, machine) };
}

function ownTexts(config: Record<string, string>): Record<string, string> {
    return Object.fromEntries(
        Object.entries(config)
            .map(([key, text]) => [key.replace(/^carbon:/, ""), text] as const)
            .filter(([key]) => !key.includes(":")),
    );
}
