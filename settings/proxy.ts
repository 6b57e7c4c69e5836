import { machineName } from "../catalogue/names";
import { dockerConfigFile } from "./dockerContext";
import type { Machine } from "./machine";

/** The proxy of a machine's network; what is absent is reached without one. */
export interface Proxy {
    http?: string;
    https?: string;
    /** For every protocol that has none of its own. */
    all?: string;
    /** Names and addresses that are reached without it, as users write them: separated by commas. */
    no?: string;
    /** True where `docker` itself hands it to builds: it comes from Docker's own configuration. */
    isDockers?: boolean;
}

/**
 * The proxy that the setting `proxy` stands for; undefined where there is none. What the machine says is reached
 * without a proxy is so with one of the setting's own, too.
 */
export function readProxy(setting: string, machine: Machine): Proxy | undefined {
    if (setting === "none") {
        return undefined;
    }
    const found = ofEnvironment(machine) ?? ofDocker(machine);
    if (setting === "auto") {
        return found?.http || found?.https || found?.all ? found : undefined;
    }
    return { http: setting, https: setting, no: found?.no };
}

function ofEnvironment({ env }: Machine): Proxy | undefined {
    // Programs look for the lower case first; curl takes no other for HTTP.
    const value = (name: string) => env[name] || env[name.toUpperCase()] || undefined;
    const proxy = {
        http: value("http_proxy"),
        https: value("https_proxy"),
        all: value("all_proxy"),
        no: value("no_proxy"),
    };
    return Object.values(proxy).some(Boolean) ? proxy : undefined;
}

/** https://docs.docker.com/engine/cli/proxy/ */
function ofDocker(machine: Machine): Proxy | undefined {
    const file = dockerConfigFile(machine);
    try {
        const { httpProxy, httpsProxy, allProxy, noProxy } = JSON.parse(machine.readFile(file) ?? "").proxies
            .default;
        const text = (value: unknown) => (typeof value === "string" && value ? value : undefined);
        return {
            http: text(httpProxy),
            https: text(httpsProxy),
            all: text(allProxy),
            no: text(noProxy),
            isDockers: true,
        };
    } catch {
        return undefined;
    }
}

/**
 * The proxy's variables for containers, in both cases, as programs look for one or the other.
 *
 * @param direct Names that are reached without it besides those that the proxy names.
 */
export function proxyVariables(proxy: Proxy | undefined, direct: readonly string[]): Record<string, string> {
    if (!proxy) {
        return {};
    }
    const { http, https, all, no } = proxy;
    const given = no?.split(/[\s,]+/).filter(Boolean) ?? [];
    const variables = {
        http_proxy: http && reachable(http),
        https_proxy: https && reachable(https),
        all_proxy: all && reachable(all),
        // The one word for everything counts where it stands alone.
        no_proxy: given.includes("*") ? "*" : [...new Set([...given, ...direct])].join(","),
    };
    return Object.fromEntries(
        Object.entries(variables).flatMap(([name, value]) =>
            value
                ? [
                      [name.toUpperCase(), value],
                      [name, value],
                  ]
                : [],
        ),
    );
}

/**
 * The same for builds, as build arguments that every Dockerfile knows and that no image keeps. A proxy with a password
 * is left out, as they stand on a command line; so is one that lies on this machine, which a build has no name for, and
 * what Docker hands over itself.
 */
export function buildProxy(proxy: Proxy | undefined): Record<string, string> {
    if (!proxy || proxy.isDockers) {
        return {};
    }
    const open = (text?: string) =>
        text && !credentials.test(text) && reachable(text) === text ? text : undefined;
    const { no, http, https, all } = proxy;
    const found = { HTTP_PROXY: open(http), HTTPS_PROXY: open(https), ALL_PROXY: open(all) };
    const given = Object.entries(found).filter((entry): entry is [string, string] => entry[1] !== undefined);
    return given.length > 0 ? Object.fromEntries([...given, ...(no ? [["NO_PROXY", no]] : [])]) : {};
}

const credentials = /^(?:[a-z0-9+.-]+:\/\/)?[^/]*@/i;

/** An address as containers reach it: their loopback is another than the machine's, which has a name there. */
export function reachable(address: string): string {
    return address.replace(
        /^((?:[a-z0-9+.-]+:\/\/)?(?:[^/@]*@)?)(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?=[:/]|$)/i,
        `$1${machineName}`,
    );
}
