import { diffProps } from "../diff";
import { attempt, isNotFound, unlessMissing } from "../docker/errors";
import { EngineError } from "../errors";
import { type Props, reveal, withoutBookkeeping } from "../values";
import { type Driver, fields, labelMap, objects, refuseUnhandled, withDefaults } from "./driver";

const TYPE = "docker:index/volume:Volume";

/** A named volume. One that exists already is taken over, with its data, as the real provider does. */
export const volume: Driver = {
    check(inputs) {
        refuseUnhandled(TYPE, inputs, { name: true, labels: [fields("label value")] });
        if (inputs.name === undefined) {
            throw new EngineError(`${TYPE} needs a "name": the embedded engine invents none.`);
        }
        const checked = withDefaults(inputs, {});
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
        const name = String(reveal(inputs.name ?? null));
        const found = await attempt(`The volume ${name} cannot be created`, async () => {
            await context.docker().createVolume({ Name: name, Labels: labelMap(reveal(inputs) as Props) });
            return context.docker().getVolume(name).inspect();
        });
        const outputs = { driver: found.Driver, mountpoint: found.Mountpoint };
        return {
            id: name,
            outputs: { ...(withoutBookkeeping(inputs) as Props), ...outputs, name, id: name },
        };
    },
    async read(old, context) {
        const found = await unlessMissing(() => context.docker().getVolume(String(old.id)).inspect());
        return (
            found && { ...old.outputs, name: found.Name, driver: found.Driver, mountpoint: found.Mountpoint }
        );
    },
    async delete(old, context) {
        await attempt(`The volume ${old.id} cannot be removed`, async () => {
            try {
                await context.docker().getVolume(String(old.id)).remove({ force: true });
            } catch (error) {
                if (!isNotFound(error)) {
                    throw error;
                }
            }
        });
    },
};
