import { attempt, attemptRemoval, unlessMissing } from "../docker/calls";
import { reveal, withoutBookkeeping } from "../values";
import { checkNamed, type Driver, fields, labelMap, replacingDiff, type Shape } from "./driver";

const TYPE = "docker:index/volume:Volume";
const SHAPE: Shape = { name: true, labels: [fields("label value")] };

/** A named volume. One that exists already is taken over, with its data, as the real provider does. */
export const volume: Driver = {
    check: (inputs) => checkNamed(TYPE, inputs, SHAPE, {}),
    diff: (old, news) => replacingDiff(old, news, true),
    async create(inputs, context) {
        const name = String(reveal(inputs.name ?? null));
        const found = await attempt(`The volume ${name} cannot be created`, async () => {
            await context.docker().createVolume({ Name: name, Labels: labelMap(reveal(inputs)) });
            return context.docker().getVolume(name).inspect();
        });
        const outputs = { driver: found.Driver, mountpoint: found.Mountpoint, name, id: name };
        return { id: name, outputs: { ...withoutBookkeeping(inputs), ...outputs } };
    },
    async read(old, context) {
        const found = await unlessMissing(() => context.docker().getVolume(String(old.id)).inspect());
        return (
            found && { ...old.outputs, name: found.Name, driver: found.Driver, mountpoint: found.Mountpoint }
        );
    },
    async delete(old, context) {
        await attemptRemoval(`The volume ${old.id} cannot be removed`, () =>
            context.docker().getVolume(String(old.id)).remove({ force: true }),
        );
    },
};
