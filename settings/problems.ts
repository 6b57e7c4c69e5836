import { type Setting, settingDefinitions } from "./schema";

/** What is wrong with one key. */
export interface Problem {
    key: string;
    /** The value as the user wrote it. */
    value: string;
    /** Why it is refused and what is allowed. */
    reason: string;
}

/** A problem of a key whose text is given; undefined is the default. */
export function problem(key: string, text: string | undefined, reason: string): Problem {
    const setting: Setting | undefined = Object.entries(settingDefinitions).find(
        ([name]) => name === key,
    )?.[1];
    return { key, value: text !== undefined && setting?.rule.secret ? "(hidden)" : shown(text), reason };
}

function shown(text: string | undefined): string {
    if (text === undefined) {
        return "(default)";
    }
    const quoted = JSON.stringify(text);
    return quoted.length > 80 ? `${quoted.slice(0, 77)}…` : quoted;
}

/** The configuration is not usable. Its message lists every problem; it is printed without a stack. */
export class SettingsError extends Error {
    override readonly name = "SettingsError";

    constructor(
        readonly stackName: string,
        readonly problems: readonly Problem[],
    ) {
        const count = problems.length === 1 ? "one problem" : `${problems.length} problems`;
        const lines = problems.map(({ key, value, reason }) => `  carbon:${key} = ${value}: ${reason}`);
        super(
            [
                `The configuration of stack "${stackName}" has ${count}:`,
                ...lines,
                `Change it in Pulumi.${stackName}.yaml; docs/reference.md describes every key.`,
            ].join("\n"),
        );
    }
}
