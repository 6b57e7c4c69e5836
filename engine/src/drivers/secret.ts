import { attempt, attemptRemoval, CONFLICT, unless, unlessMissing } from "../docker/calls";
import { EngineError } from "../engine-error";
import { type Props, reveal, Secret, withoutBookkeeping } from "../values";
import { type Context, checkNamed, type Driver, fields, labelMap, replacingDiff, type Shape } from "./driver";

const TYPE = "docker:index/secret:Secret";
const SHAPE: Shape = { ...fields("name data"), labels: [fields("label value")] };

/** A secret of a Swarm. Docker tells nobody what it holds, and changes none: every change makes a new one. */
export const secret: Driver = {
    check(inputs) {
        const checked = checkNamed(TYPE, inputs, SHAPE, {});
        const { data } = checked;
        if (data === undefined) {
            throw new EngineError(`${TYPE} needs "data": what the secret holds, in base64.`);
        }
        // The real provider's schema calls it sensitive.
        return { ...checked, data: data instanceof Secret ? data : new Secret(data) };
    },
    diff: (old, news) => replacingDiff(old, news, false),
    async create(inputs, context) {
        const plain = reveal(inputs);
        const name = String(plain.name);
        const made = await attempt(`The secret ${name} cannot be created`, () =>
            unless(CONFLICT, () =>
                context
                    .docker()
                    .createSecret({ Name: name, Labels: labelMap(plain), Data: String(plain.data) }),
            ),
        );
        if (!made) {
            throw new EngineError(
                `There is a secret ${name} already that is not part of this stack: remove it with ` +
                    `"docker secret rm ${name}".`,
            );
        }
        // Of another shape than dockerode's types say: what the API answers.
        const { id } = made as unknown as { id: string };
        return { id, outputs: outputsOf(inputs, id) };
    },
    async read(old, context) {
        const found = await unlessMissing(() => context.docker().getSecret(String(old.id)).inspect());
        return found && { ...old.outputs, name: found.Spec?.Name ?? "" };
    },
    async delete(old, context) {
        await attemptRemoval(`The secret ${String(old.inputs.name)} cannot be removed`, () =>
            context.docker().getSecret(String(old.id)).remove(),
        );
    },
    async removeLeftover(inputs, context) {
        const name = String(reveal(inputs.name ?? null));
        await attemptRemoval(`The secret ${name} cannot be removed`, () => removeNamed(name, context));
    },
};

function outputsOf(inputs: Props, id: string): Props {
    return { ...withoutBookkeeping(inputs), id };
}

async function removeNamed(name: string, context: Context): Promise<void> {
    const found = await context.docker().listSecrets({ filters: { name: [name] } });
    // The filter matches the beginnings of names, too.
    for (const { ID } of found.filter((one) => one.Spec?.Name === name)) {
        await context.docker().getSecret(ID).remove();
    }
}
