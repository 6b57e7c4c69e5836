import { SettingsError } from "../../../settings/parse";

/** What a look at settings refuses, as `key: reason` each; nothing where it refuses nothing. */
export function problemsIn(look: () => unknown): string[] {
    try {
        look();
    } catch (error) {
        if (error instanceof SettingsError) {
            return error.problems.map(({ key, reason }) => `${key}: ${reason}`);
        }
        throw error;
    }
    return [];
}
