import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { readDocument } from "../read-document";
import { runProcess } from "../run-process";

/** What Docker's API takes as `X-Registry-Auth`. */
export interface RegistryLogin {
    serveraddress: string;
    username?: string;
    password?: string;
    identitytoken?: string;
}

const configuration = z.looseObject({
    auths: z
        .record(
            z.string(),
            z.looseObject({ auth: z.string().optional(), identitytoken: z.string().optional() }),
        )
        .optional(),
    credHelpers: z.record(z.string(), z.string().regex(/^[\w.-]+$/)).optional(),
    credsStore: z
        .string()
        .regex(/^[\w.-]*$/)
        .optional(),
});
const answer = z.object({ Username: z.string(), Secret: z.string() });
/** The name of a token in the place of a user's (docker/docker-credential-helpers). */
const TOKEN = "<token>";

/**
 * The user's login for the registry of an image, from where `docker login` has put it: Docker's configuration file, or the
 * credential helper that it names.
 * @param env Has DOCKER_CONFIG where the file lies elsewhere than in `~/.docker`.
 * @returns undefined where there is none, as for an image without a registry.
 * @throws EngineError where that file cannot be read.
 */
export async function registryLogin(
    image: string,
    env: NodeJS.ProcessEnv = process.env,
): Promise<RegistryLogin | undefined> {
    const serveraddress = registryOf(image);
    const file = join(env.DOCKER_CONFIG || join(homedir(), ".docker"), "config.json");
    const read = serveraddress && readDocument(file, configuration, `Docker's configuration file ${file}`);
    if (!read) {
        return undefined;
    }
    const { auths, credHelpers, credsStore } = read;
    const helper = credHelpers?.[serveraddress] ?? credsStore;
    if (helper) {
        return askHelper(helper, serveraddress, env);
    }
    const { auth, identitytoken } = auths?.[serveraddress] ?? {};
    if (identitytoken) {
        return { serveraddress, identitytoken };
    }
    const [, username, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(auth ?? "", "base64").toString()) ?? [];
    return username ? { serveraddress, username, password } : undefined;
}

/** Host and port, as Docker tells them from a folder of its Hub. */
function registryOf(image: string): string | undefined {
    const [host = "", ...rest] = image.split("/");
    return rest.length > 0 && /[.:]|^localhost$/.test(host) ? host : undefined;
}

/** One that has nothing for the registry, or is not there, ends with an error: then there is no login. */
async function askHelper(
    helper: string,
    serveraddress: string,
    env: NodeJS.ProcessEnv,
): Promise<RegistryLogin | undefined> {
    const { exitCode, stdout } = await runProcess(`docker-credential-${helper}`, ["get"], {
        env,
        input: serveraddress,
        timeout: 30_000,
    });
    const found = exitCode === 0 ? answer.safeParse(parsed(stdout)).data : undefined;
    if (!found) {
        return undefined;
    }
    const { Username, Secret } = found;
    return Username === TOKEN
        ? { serveraddress, identitytoken: Secret }
        : { serveraddress, username: Username, password: Secret };
}

function parsed(text: string): unknown {
    try {
        return JSON.parse(text);
    } catch {
        return undefined;
    }
}
