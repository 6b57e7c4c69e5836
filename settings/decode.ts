import { type Problem, problem } from "./problems";
import type { ConfigType } from "./rules";
import { type Setting, type SettingKey, type SettingValues, settingDefinitions } from "./schema";

/** What the texts of a configuration say, each key by itself. */
export interface Decoded {
    /** The value of every key; after a problem the default stands in, so that the remaining checks can still speak. */
    values: SettingValues;
    problems: Problem[];
}

/** @param texts By key, without the namespace. A key that is missing has its default. */
export function decode(texts: Record<string, string>): Decoded {
    const keys = Object.keys(settingDefinitions) as SettingKey[];
    const problems = Object.keys(texts)
        .filter((key) => !Object.hasOwn(settingDefinitions, key))
        .map((key) => problem(key, texts[key], `there is no such key. Allowed: ${keys.join(", ")}.`));
    const values = keys.map((key) => {
        const setting: Setting = settingDefinitions[key];
        const { value = setting.default, reason } = decodeOne(setting, texts[key]);
        if (reason) {
            problems.push(problem(key, texts[key], reason));
        }
        return [key, value];
    });
    return { values: Object.fromEntries(values), problems };
}

/** What a stack file holds in place of an encrypted value; the program gets the value itself. */
const encrypted = /^\{"secure":"[^"]*"\}$/;

/** The value, or why there is none; neither of a text that is missing. */
function decodeOne({ rule }: Setting, text: string | undefined): { value?: unknown; reason?: string } {
    if (text === undefined) {
        return {};
    }
    if (encrypted.test(text)) {
        return rule.secret ? {} : { reason: "it is no secret. Write it in plain text." };
    }
    const { success, data } = rule.schema.safeParse(fromText(text, rule.type));
    return success ? { value: data } : { reason: `not allowed. Allowed: ${rule.allowed}.` };
}

/** What cannot be decoded is left as text, for the rule to refuse. */
function fromText(text: string, type: ConfigType): unknown {
    if (type === "string") {
        return text;
    }
    try {
        return JSON.parse(text);
    } catch {
        return text;
    }
}
