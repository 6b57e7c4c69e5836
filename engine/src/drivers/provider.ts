import { randomUUID } from "node:crypto";
import { diffProps } from "../diff";
import { type Props, withoutBookkeeping } from "../values";
import { type Driver, fields, refuseUnhandled, type Shape } from "./driver";

/** What the real providers' CheckConfig adds to their inputs; without it the CLI would see a change. */
const ADDED: Record<string, Props> = {
    "docker-build": {
        "__pulumi-go-provider-infer": true,
        "__pulumi-go-provider-version": "(devel)",
        host: "",
    },
    command: { "__pulumi-go-provider-version": "(devel)" },
};

/** Settings of explicit providers that the drivers of their resources honour. */
const SETTINGS: Record<string, Record<string, Shape>> = {
    // For an address the provider reads Docker's configuration; so do the docker command, which pulls, and services.
    docker: { context: true, host: true, registryAuth: [fields("address")] },
    "docker-build": { host: true },
};

/** `pulumi:providers:<name>`: nothing to create, only settings to record. */
export function providerDriver(name: string): Driver {
    return {
        check(inputs) {
            const shape: Shape = { version: true, ...SETTINGS[name] };
            refuseUnhandled(`pulumi:providers:${name}`, decoded(inputs), shape);
            return { __internal: {}, ...ADDED[name], ...inputs };
        },
        diff: (old, news) => ({
            changes: diffProps(withoutBookkeeping(old.inputs), withoutBookkeeping(news)),
            deleteBeforeReplace: false,
        }),
        create: async (inputs) => ({ id: randomUUID(), outputs: outputsOf(inputs) }),
        update: async (_old, news) => outputsOf(news),
        delete: async () => {},
    };
}

/** The SDK hands over lists as JSON, as a provider's settings are texts. */
function decoded(inputs: Props): Props {
    const { registryAuth } = inputs;
    return typeof registryAuth === "string" ? { ...inputs, registryAuth: JSON.parse(registryAuth) } : inputs;
}

function outputsOf({ __internal, ...outputs }: Props): Props {
    return outputs;
}
