import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { workspace } from "../../catalogue";
import { llm } from "../../catalogue/llm";
import { containerName, volumeName } from "../../catalogue/names";
import { type HostHome, hostHome, inHome, readConfig, readSecret } from "../../host/home";
import type { Settings } from "../../settings/parse";
import { reachable } from "../../settings/proxy";
import { hasImage, serviceLabel, stackContainers } from "../docker";
import { UserError } from "../errors";
import { programOf } from "../host/processes";
import { fetchModels } from "../llmServers";
import { run } from "../process";
import type { Session } from "../session";
import { suiteReferences } from "../suiteReferences";
import { served } from "./documents";
import { type CommandLine, inContainer, programSource } from "./helper";

/** Where models are kept: the volume that the service llm serves, or a folder of the user's machine. */
export const placeNames = ["volume", "host"] as const;
export type PlaceName = (typeof placeNames)[number];

/** A place with what works there. */
export interface ModelPlace {
    kind: PlaceName;
    /** To end a sentence with. */
    words: string;
    command: CommandLine;
    /** The folder, as the command sees it. */
    folder: string;
    /** An address as the command reaches it. */
    reachable(address: string): string;
    /** Names of the models that its server serves; undefined where none answers. */
    served(): Promise<string[] | undefined>;
}

/** The place that is asked for, or that the setting `llm` stands for. */
export function choosePlace(session: Session, settings: Settings, asked?: PlaceName): Promise<ModelPlace> {
    const chosen = asked ?? (settings.llm === "host" && !settings.llmUrl ? "host" : "volume");
    return chosen === "host" ? hostPlace(session) : volumePlace(session, settings);
}

async function volumePlace(session: Session, settings: Settings): Promise<ModelPlace> {
    const volume = volumeName(session.stack, llm.name);
    return {
        kind: "volume",
        words: `the volume ${volume}`,
        command: inContainer(await helperImage(session, settings), volume),
        folder: "/models",
        reachable,
        served: () => servedInContainer(session.stack),
    };
}

/**
 * The image that the hub's client is in: as the settings have it, else the one that the stack runs.
 *
 * @throws UserError where there is none.
 */
async function helperImage(session: Session, settings: Settings): Promise<string> {
    const wanted = suiteReferences(settings).compute;
    if (!wanted || !settings.toolsets.includes("llm")) {
        throw new UserError(
            "The hub's client is in the compute image with the toolset llm, which this stack leaves out. Set " +
                "carbon:compute to true, add llm to carbon:toolsets, and type: ./carbon build" +
                session.stackFlag(),
        );
    }
    if (await hasImage(wanted)) {
        return wanted;
    }
    const containers = await stackContainers(session.stack);
    const running = containers.find(({ Config }) =>
        [workspace.name, llm.name].includes(Config.Labels[serviceLabel] ?? ""),
    );
    if (!running) {
        throw new UserError(
            `The compute image, which the hub's client is in, is not here. Type: ./carbon build${session.stackFlag()}`,
        );
    }
    return running.Config.Image;
}

/** The service's own answer, as its health check asks for it: the key stays in the container. */
async function servedInContainer(stack: string): Promise<string[] | undefined> {
    const key = `printf 'Authorization: Bearer %s\\n' "$(< /run/carbon/secrets/llm)"`;
    const ask = `curl --silent --fail --max-time 5 --header @<(${key}) http://127.0.0.1:8001/v1/models`;
    const container = containerName(stack, llm.name);
    const answer = await run("docker", ["exec", "--user", "root", container, "bash", "-c", ask], {
        timeout: 15_000,
        maxBuffer: 1_000_000,
    });
    if (answer.exitCode !== 0) {
        return undefined;
    }
    try {
        return served.parse(JSON.parse(answer.stdout)).data.map(({ id }) => id);
    } catch {
        // Whatever answers there, it is no reason to fail.
        return undefined;
    }
}

/** The answer of the suite's own server on this machine. */
async function servedHere(home: HostHome): Promise<string[] | undefined> {
    const config = readConfig(home);
    const port = config?.programs.find(({ name }) => name === llm.name)?.port;
    try {
        const answer = await fetchModels(`http://${config?.address}:${port}/v1`, readSecret(home, "llm-key"));
        return served.parse(await answer.json()).data.map(({ id }) => id);
    } catch {
        // It does not run, has no model yet, or is somebody else's: no reason to fail.
        return undefined;
    }
}

async function hostPlace(session: Session): Promise<ModelPlace> {
    const home = hostHome();
    const python = programOf(home, llm.name);
    if (!existsSync(python)) {
        throw new UserError(
            `${python} is not there: the host's LLM server is not installed. Set carbon:llm to host in Pulumi.${session.stack}.yaml, without llmUrl, and type: ./carbon gpu install${session.stackFlag()}`,
        );
    }
    const folder = inHome(home, "models");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return {
        kind: "host",
        words: `the folder ${folder}`,
        command: [python, "-I", join(session.project.dir, programSource)],
        folder,
        reachable: (address) => address,
        served: () => servedHere(home),
    };
}
