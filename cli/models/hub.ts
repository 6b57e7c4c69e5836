import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { Settings } from "../../settings/parse";
import { parseDocument } from "../documents";
import { UserError } from "../errors";
import type { Session } from "../session";

/** Where models come from, and what opens it. */
export interface HubAccess {
    endpoint: string;
    token?: string;
    /** Variables of a proxy. */
    environment: Record<string, string>;
    /** Authorities of the user's network, as PEM. */
    authorities?: string;
}

const official = "https://huggingface.co";
const longestToken = 1000;

/**
 * The hub that the setting `environment` names in HF_ENDPOINT, else that of this command's own environment, else Hugging
 * Face's; with the token of the same two places (HF_TOKEN), else the one of `hf auth login`, which is for Hugging Face's
 * own hub and goes to no other.
 *
 * @throws UserError where one of them cannot be right.
 */
export async function hubAccess(
    session: Session,
    settings: Settings,
    env: NodeJS.ProcessEnv = process.env,
): Promise<HubAccess> {
    const variables = await clearVariables(session, settings);
    const endpoint = checkEndpoint(variables.HF_ENDPOINT || env.HF_ENDPOINT || official);
    const token =
        variables.HF_TOKEN || env.HF_TOKEN || (endpoint === official ? tokenOfLogin(env) : undefined);
    const proxies = Object.entries(variables).filter(([name]) => /^(?:https?|all|no)_proxy$/i.test(name));
    return {
        endpoint,
        token: token ? checkToken(token.trim()) : undefined,
        environment: Object.fromEntries(proxies),
        authorities: settings.caCertificates,
    };
}

/** The setting `environment`. The settings have no value where the stack's file has it encrypted. */
async function clearVariables(session: Session, { environment }: Settings): Promise<Record<string, string>> {
    if (environment.HF_TOKEN !== "" && environment.HF_ENDPOINT !== "") {
        return environment;
    }
    const { "carbon:environment": text = "{}" } = await (await session.engine()).config(session.request());
    const advice = "Look at it: ./carbon pulumi config get carbon:environment";
    const clear = parseDocument("carbon:environment", z.record(z.string(), z.unknown()), text, advice);
    const value = (name: string) => (typeof clear[name] === "string" ? { [name]: clear[name] } : {});
    return { ...environment, ...value("HF_TOKEN"), ...value("HF_ENDPOINT") };
}

function checkEndpoint(text: string): string {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash) {
        throw new UserError(
            `HF_ENDPOINT is no address of a hub. Allowed: an http or https address, such as ${official}.`,
        );
    }
    if (url.username || url.password) {
        throw new UserError("HF_ENDPOINT holds a password. Take it out, and set HF_TOKEN.");
    }
    return url.href.replace(/\/+$/, "");
}

/** A line break in it, or another letter that no header takes, would be shown by the client that refuses it. */
function checkToken(token: string): string {
    if (token.length > longestToken || !/^[\x21-\x7e]+$/.test(token)) {
        throw new UserError(
            "HF_TOKEN is no token of Hugging Face's: it has blanks or other letters than those.",
        );
    }
    return token;
}

/** https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables */
function tokenOfLogin(env: NodeJS.ProcessEnv): string | undefined {
    const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
    try {
        return readFileSync(env.HF_TOKEN_PATH || join(home, "token"), "utf8").trim() || undefined;
    } catch {
        return undefined;
    }
}
