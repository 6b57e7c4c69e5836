import { diffProps } from "../diff";
import { attempt, isNotFound, unlessMissing } from "../docker/errors";
import { EngineError } from "../errors";
import { type Props, reveal, withoutBookkeeping } from "../values";
import {
    type Context,
    type Driver,
    fields,
    labelMap,
    objects,
    refuseUnhandled,
    type Shape,
    text,
    withDefaults,
} from "./driver";

const TYPE = "docker:index/network:Network";
const SHAPE: Shape = { ...fields("name driver"), labels: [fields("label value")] };

/** A user-defined network. Every change makes a new one; its name must be free first. */
export const network: Driver = {
    check(inputs) {
        refuseUnhandled(TYPE, inputs, SHAPE);
        if (inputs.name === undefined) {
            throw new EngineError(`${TYPE} needs a "name": the embedded engine invents none.`);
        }
        const checked = withDefaults(inputs, { ipamDriver: "default" });
        if (inputs.labels) {
            checked.labels = objects(inputs, "labels").map((label) => withDefaults(label, {}));
        }
        return checked;
    },
    diff: (old, news) => {
        const changes = diffProps(withoutBookkeeping(old.inputs) as Props, withoutBookkeeping(news) as Props);
        return {
            changes: changes.map((change) => ({ ...change, replace: true })),
            deleteBeforeReplace: true,
        };
    },
    async create(inputs, context) {
        const plain = reveal(inputs) as Props;
        const name = String(plain.name);
        await refuseTaken(name, context);
        const created = await attempt(`The network ${name} cannot be created`, () =>
            context.docker().createNetwork({
                Name: name,
                ...(plain.driver ? { Driver: String(plain.driver) } : {}),
                IPAM: { Driver: String(plain.ipamDriver) },
                Labels: labelMap(plain),
            }),
        );
        return { id: created.id, outputs: outputsOf(inputs, created.id, text(plain, "driver") ?? "bridge") };
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

function outputsOf(inputs: Props, id: string, driver: string): Props {
    return { ...(withoutBookkeeping(inputs) as Props), id, driver };
}

async function named(name: string, context: Context) {
    const found = await attempt("Networks cannot be listed", () =>
        context.docker().listNetworks({ filters: { name: [name] } }),
    );
    // The filter matches parts of names, too.
    return found.filter((candidate) => candidate.Name === name);
}

/** Docker allows two networks of one name, which no container could tell apart. */
async function refuseTaken(name: string, context: Context): Promise<void> {
    for (const found of await named(name, context)) {
        if (!context.interrupted) {
            throw new EngineError(
                `There is a network ${name} already that is not part of this stack: remove it with ` +
                    `"docker network rm ${name}".`,
            );
        }
        await remove(found.Id, context);
    }
}

async function remove(id: string, context: Context): Promise<void> {
    await attempt(`The network ${id.slice(0, 12)} cannot be removed`, async () => {
        try {
            await context.docker().getNetwork(id).remove();
        } catch (error) {
            if (!isNotFound(error)) {
                throw error;
            }
        }
    });
}
