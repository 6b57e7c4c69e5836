import type { Command } from "commander";
import { isIncluded, workspace } from "../../catalogue";
import { passwordName } from "../../catalogue/names";
import type { Settings } from "../../settings/parse";
import { action, type Handler } from "../action";
import { ensureAnswerable } from "../confirm";
import { stackContainers } from "../docker";
import { exitCodes, UserError } from "../errors";
import { findName } from "../names";
import { bringUp, type Password } from "./up";

/** `carbon credentials rotate`. */
export function addRotate(credentials: Command): void {
    credentials
        .command("rotate")
        .argument("[what]", "a service, or a login as `carbon credentials --json` names it (default: all)")
        .description("change passwords, and deploy them")
        .action(action(rotate));
}

const rotate: Handler<unknown> = async (session, _options, [what]) => {
    ensureAnswerable(session, "credentials rotate");
    const chosen = choose(session.settings(), what);
    if ((await stackContainers(session.stack)).length === 0) {
        throw new UserError(await session.whyNothingRuns());
    }
    const keys = [...new Set(chosen.map(({ key }) => key))];
    session.output.note(
        `New passwords for ${keys.join(", ")}: what knows the old ones, such as keychains, scripts and open sessions, has to learn them.`,
    );
    await bringUp(session, { changing: chosen });
};

/** @throws UserError listing what there is. */
function choose(settings: Settings, what: string | undefined): Password[] {
    const all = [workspace, ...settings.services].flatMap(({ name: service, secrets }) =>
        secrets
            .filter((secret) => isIncluded(secret, settings))
            .map(({ name, key }) => ({ service, key, resource: passwordName(service, name) })),
    );
    if (what === undefined) {
        return all;
    }
    const names = [...new Set(all.flatMap(({ service, key }) => [key, service]))].sort();
    const name = findName(names, what);
    if (!name) {
        throw new UserError(
            `The stack has no password named ${what}. It has: ${names.join(", ")}.`,
            exitCodes.usage,
        );
    }
    // A service's own name means all of its passwords.
    return all.filter(({ service, key }) => service === name || key === name);
}
