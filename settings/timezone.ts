import type { Machine } from "./machine";

// As the tz database spells them: Europe/Isle_of_Man, Etc/GMT+5, US/Eastern, EST5EDT, NZ-CHAT, W-SU. A container looks
// the name up as a file, which Europe/BERLIN is not.
const word = /^(?:[A-Z][a-z][A-Za-z]*|[A-Z]{1,3}|[A-Z]{3}\+?\d{1,2}(?:[A-Z]{3})?|CHAT|of|es|au|\d{1,2})$/;

/** Abbreviations that are names of the tz database; ICU knows others, such as PST and SystemV/PST8, which are not. */
const short = "CET EET EST GB GMT HST MET MST NZ PRC ROC ROK UCT UTC WET".split(" ");

/** Whether it is a name of the tz database, old ones (US/Eastern, Asia/Calcutta) included. */
export function isTimezone(name: string): boolean {
    const isSpelled = name.split(/[/_-]/).every((part) => part === "" || word.test(part));
    const isAbbreviation = /^(?:[A-Z]{1,3}|SystemV\/.*)$/.test(name);
    return isSpelled && (!isAbbreviation || short.includes(name)) && isKnown(name);
}

function isKnown(name: string): boolean {
    try {
        return Boolean(new Intl.DateTimeFormat("en", { timeZone: name }));
    } catch {
        return false;
    }
}

/**
 * The machine's time zone: what TZ says, the link /etc/localtime (Linux, macOS), or /etc/timezone; UTC where none
 * holds a name.
 */
export function machineTimezone(machine: Machine): string {
    const candidates = [
        machine.env.TZ?.replace(/^:/, ""),
        machine.realpath("/etc/localtime"),
        machine.readFile("/etc/timezone")?.trim(),
    ];
    const names = candidates.map((text) => text?.replace(/^.*\/zoneinfo[^/]*\/(?:posix\/|right\/)?/, ""));
    return names.find((name) => name !== undefined && isTimezone(name)) ?? "UTC";
}
