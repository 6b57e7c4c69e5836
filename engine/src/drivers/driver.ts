import type Docker from "dockerode";
import { type Change, diffProps } from "../diff";
import { EngineError } from "../engine-error";
import type { ResourceState } from "../state";
import { isObject, type Props, reveal, type Value, withoutBookkeeping } from "../values";

/** What a driver knows of the world around its resource. */
export interface Context {
    name: string;
    /** Relative paths in inputs start here. */
    projectDir: string;
    /** Leads the docker command to the Docker Engine of the resource's provider; added to this process's variables. */
    env: NodeJS.ProcessEnv;
    signal: AbortSignal;
    /** The Docker Engine of the resource's provider. */
    docker(): Docker;
    /** A line about what is going on, for whoever watches. */
    progress(line: string): void;
    /** A line that stays. */
    message(line: string): void;
}

/** What a driver makes of old state and new inputs. */
export interface Diff {
    changes: Change[];
    /** A replacement must take the old one away first: its name or ports are taken otherwise. */
    deleteBeforeReplace: boolean;
}

/** One resource type. Inputs reach a driver checked; outputs may carry secrets. */
export interface Driver {
    /** Refuses what is not supported, by name, and fills in the defaults that the real provider's Check does. */
    check(inputs: Props, context: Context): Props;
    diff(old: ResourceState, news: Props, context: Context): Diff | Promise<Diff>;
    create(inputs: Props, context: Context): Promise<Created>;
    /** @returns the outputs. */
    update?(old: ResourceState, news: Props, context: Context): Promise<Props>;
    /** Looks at the real thing. @returns its outputs now, or undefined when it is gone. */
    read?(old: ResourceState, context: Context): Promise<Props | undefined>;
    delete(old: ResourceState, context: Context): Promise<void>;
    /** Removes what an interrupted creation of a resource with these inputs left. */
    removeLeftover?(inputs: Props, context: Context): Promise<void>;
    /** The outputs of which only an update will tell the new value. */
    changingOutputs?: readonly string[];
}

export interface Created {
    id: string;
    outputs: Props;
    /** Set when the resource exists but is not as it should be. */
    failure?: string;
}

/** The inputs that a driver handles: `true` for any value, an object for fields, a list for a list of such. */
export type Shape = true | { [field: string]: Shape } | [Shape];

/** A shape of fields that may have any value, from their names with spaces between. */
export function fields(names: string): { [field: string]: Shape } {
    return Object.fromEntries(names.split(" ").map((name) => [name, true]));
}

/** @throws EngineError naming the first input that `shape` does not list. */
export function refuseUnhandled(type: string, inputs: Value, shape: Shape, path = ""): void {
    const plain = reveal(inputs);
    if (Array.isArray(shape)) {
        for (const item of Array.isArray(plain) ? plain : []) {
            refuseUnhandled(type, item, shape[0], `${path}[]`);
        }
    } else if (shape !== true && (isObject(plain) || Array.isArray(plain))) {
        for (const [key, value] of Object.entries(plain)) {
            const field = shape[key];
            const at = path ? `${path}.${key}` : key;
            if (!field) {
                throw new EngineError(
                    `The embedded engine does not support the input "${at}" of ${type}: leave it out, or install ` +
                        "the Pulumi CLI.",
                );
            }
            refuseUnhandled(type, value, field, at);
        }
    }
}

/** Fills in defaults and lists them under `__defaults`, as the bridged providers' Check does. */
export function withDefaults(props: Props, defaults: Props): Props {
    const missing = Object.keys(defaults).filter((key) => props[key] === undefined);
    const filled = Object.fromEntries(missing.map((key) => [key, defaults[key] as Value]));
    return { __defaults: missing.sort(), ...filled, ...props };
}

/**
 * The check of a Docker object with labels, which must have a name.
 * @throws EngineError naming what is not supported, or missing.
 */
export function checkNamed(type: string, inputs: Props, shape: Shape, defaults: Props): Props {
    refuseUnhandled(type, inputs, shape);
    if (inputs.name === undefined) {
        throw new EngineError(`${type} needs a "name": the embedded engine invents none.`);
    }
    const labels = inputs.labels && objects(inputs, "labels").map((label) => withDefaults(label, {}));
    return { ...withDefaults(inputs, defaults), ...(labels && { labels }) };
}

/** The diff of a resource of which every change makes a new one. */
export function replacingDiff(old: ResourceState, news: Props, deleteBeforeReplace: boolean): Diff {
    const changes = diffProps(withoutBookkeeping(old.inputs), withoutBookkeeping(news));
    return { changes: changes.map((change) => ({ ...change, replace: true })), deleteBeforeReplace };
}

/** A text input that may be missing. */
export function text(props: Props, key: string): string | undefined {
    const value = props[key];
    return typeof value === "string" ? value : undefined;
}

/** A list of texts that may be missing. */
export function texts(props: Props, key: string): string[] {
    const value = props[key];
    return Array.isArray(value) ? value.map(String) : [];
}

/** The labels of a container, a network or a volume as Docker takes them. */
export function labelMap(props: Props): Record<string, string> {
    return Object.fromEntries(objects(props, "labels").map((l) => [String(l.label), String(l.value)]));
}

/** A list of objects that may be missing. */
export function objects(props: Props, key: string): Props[] {
    const value = props[key];
    return Array.isArray(value) ? (value as Props[]) : [];
}
