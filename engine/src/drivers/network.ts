import { setTimeout as sleep } from "node:timers/promises";
import { attempt, attemptRemoval, unlessMissing } from "../docker/calls";
import { EngineError, messageOf } from "../engine-error";
import { isObject, mapProps, type Props, reveal, withoutBookkeeping } from "../values";
import {
    type Context,
    checkNamed,
    type Driver,
    fields,
    labelMap,
    objects,
    replacingDiff,
    type Shape,
    text,
} from "./driver";

const TYPE = "docker:index/network:Network";
const POLL_MS = 500;
const PATIENCE_MS = 30_000;
const SHAPE: Shape = {
    ...fields("name driver attachable"),
    options: fields("encrypted"),
    labels: [fields("label value")],
    ipamConfigs: [fields("subnet gateway")],
};

/** A user-defined network. Every change makes a new one; its name must be free first. */
export const network: Driver = {
    check: (inputs) => checkNamed(TYPE, inputs, SHAPE, { ipamDriver: "default" }),
    diff: (old, news) => replacingDiff(old, news, true),
    async create(inputs, context) {
        const plain = reveal(inputs);
        const name = String(plain.name);
        // Docker allows two networks of one name, which no container could tell apart.
        if ((await named(name, context)).length > 0) {
            throw new EngineError(
                `There is a network ${name} already that is not part of this stack: remove it with ` +
                    `"docker network rm ${name}".`,
            );
        }
        const created = await attempt(`The network ${name} cannot be created`, () =>
            context.docker().createNetwork({
                Name: name,
                ...(plain.driver ? { Driver: String(plain.driver) } : {}),
                ...(plain.attachable === true ? { Attachable: true } : {}),
                ...(isObject(plain.options)
                    ? { Options: mapProps(plain.options, String) as Record<string, string> }
                    : {}),
                IPAM: { Driver: String(plain.ipamDriver), ...addresses(plain) },
                Labels: labelMap(plain),
            }),
        );
        const outputs = { id: created.id, driver: text(plain, "driver") ?? "bridge" };
        return { id: created.id, outputs: { ...withoutBookkeeping(inputs), ...outputs } };
    },
    async read(old, context) {
        const found = await unlessMissing(() => context.docker().getNetwork(String(old.id)).inspect());
        return found && { ...old.outputs, name: found.Name, driver: found.Driver };
    },
    async delete(old, context) {
        await remove(String(old.id), context);
    },
    async removeLeftover(inputs, context) {
        for (const found of await named(String(reveal(inputs.name ?? null)), context)) {
            await remove(found.Id, context);
        }
    },
};

/** The address range; Docker chooses one where none is given. */
function addresses(inputs: Props): { Config?: Record<string, string>[] } {
    const configs = objects(inputs, "ipamConfigs").map(({ subnet, gateway }) => ({
        ...(subnet !== undefined && { Subnet: String(subnet) }),
        ...(gateway !== undefined && { Gateway: String(gateway) }),
    }));
    return configs.length > 0 ? { Config: configs } : {};
}

async function named(name: string, context: Context) {
    const found = await attempt("Networks cannot be listed", () =>
        context.docker().listNetworks({ filters: { name: [name] } }),
    );
    // The filter matches parts of names, too.
    return found.filter((candidate) => candidate.Name === name);
}

/** One of a Swarm's is in use for some moments more where a task has just ended; the real provider waits, too. */
async function remove(id: string, context: Context): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
        try {
            await attemptRemoval(`The network ${id.slice(0, 12)} cannot be removed`, () =>
                context.docker().getNetwork(id).remove(),
            );
            return;
        } catch (error) {
            if (!/in use by (task|service)/.test(messageOf(error)) || Date.now() > deadline) {
                throw error;
            }
            await sleep(POLL_MS);
        }
    }
}
