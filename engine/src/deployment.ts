import { isDeepStrictEqual } from "node:util";
import { applyReplaceOnChanges, type Change, diffProps } from "./diff";
import { driverFor } from "./drivers";
import type { Diff } from "./drivers/driver";
import { EngineError } from "./engine-error";
import { inDeletionOrder, withNeeds } from "./graph";
import { type MonitorHandler, type Registered, type Registration, type Severity, Stopping } from "./monitor";
import type { OpenStack } from "./open-stack";
import type { Snapshot } from "./snapshot";
import type { ResourceState } from "./state";
import { Steps } from "./steps";
import {
    isDefaultProvider,
    isProviderType,
    makeUrn,
    nameOf,
    packageOf,
    providerUrn,
    STACK_TYPE,
} from "./urn";
import { mapProps, type Props, sameValue, UNKNOWN, withoutBookkeeping } from "./values";

/**
 * Turns the program's registrations into steps. Registrations arrive when what they depend on is done, so each is
 * worked on at once; what nobody registered is deleted at the end.
 */
export class Deployment implements MonitorHandler {
    private readonly steps: Steps;
    private readonly olds: Map<string, ResourceState>;
    private readonly seen = new Set<string>();
    /** Deleted before their replacement, because something they need was. */
    private readonly deletedFirst = new Map<string, ResourceState>();
    private readonly defaultProviders = new Map<string, Promise<string>>();
    private readonly running = new Set<Promise<unknown>>();
    private failure: unknown;
    /** Outputs of the root stack, once the program has given them. */
    outputs: Props = {};

    constructor(
        private readonly stack: OpenStack,
        private readonly snapshot: Snapshot,
        /** Names of resources that are replaced, whether anything of them has changed or not. */
        private readonly replaced: readonly string[] = [],
    ) {
        this.steps = new Steps(stack, snapshot);
        const olds = snapshot.resources().filter((resource) => !resource.delete);
        this.olds = new Map(olds.map((resource) => [resource.urn, resource]));
    }

    get counts() {
        return this.steps.counts;
    }

    private get isEnding(): boolean {
        return Boolean(this.failure) || this.stack.signal.aborted;
    }

    async registerResource(registration: Registration): Promise<Registered> {
        if (this.isEnding) {
            throw new Stopping("the deployment is ending");
        }
        const work = this.register(registration);
        this.running.add(work);
        try {
            return await work;
        } catch (error) {
            this.fail(error);
            throw new Stopping("the deployment is ending");
        } finally {
            this.running.delete(work);
        }
    }

    async registerOutputs(urn: string, outputs: Props): Promise<void> {
        const state = this.snapshot.resources().find((resource) => resource.urn === urn);
        if (!state) {
            return;
        }
        const changed = !isDeepStrictEqual(state.outputs, outputs);
        state.outputs = outputs;
        if (state.type === STACK_TYPE) {
            this.outputs = outputs;
        }
        if (changed) {
            await this.snapshot.save();
        }
    }

    log(severity: Severity, text: string): void {
        // Once the run is ending, the program's complaints are about that and nothing else.
        if (severity !== "debug" && !this.isEnding) {
            this.stack.display.show({ kind: "message", severity, text });
        }
    }

    fail(error: unknown): void {
        this.failure ??= error;
    }

    /** Waits for the steps that run. @throws the first failure. */
    async settled(): Promise<void> {
        while (this.running.size > 0) {
            await Promise.allSettled(this.running);
        }
        if (this.failure) {
            throw this.failure;
        }
    }

    /**
     * After the program: deletes what it did not register and what was replaced.
     * @param sparedTypes Resources of these types stay as they are, with everything that they need.
     */
    async deleteRest(sparedTypes: readonly string[] = []): Promise<void> {
        const all = this.snapshot.resources();
        const spared = withNeeds(all, ({ type, delete: old }) => !old && sparedTypes.includes(type));
        const rest = all.filter((r) => r.delete || !this.seen.has(r.urn));
        const [kept, doomed] = partition(rest, (r) => !r.delete && spared.has(r.urn));
        for (const resource of kept) {
            this.steps.count("same", resource);
        }
        await inDeletionOrder(doomed, (old) => this.steps.delete(old, old.delete ? undefined : "delete"));
    }

    private async register(registration: Registration): Promise<Registered> {
        const { type, name, parent, custom, aliases } = registration;
        const urn = makeUrn(this.stack.name, this.stack.project.name, parent, type, name);
        if (this.seen.has(urn)) {
            throw new EngineError(`Two resources have the same URN ${urn}: give one of them another name.`);
        }
        this.seen.add(urn);
        const old = this.findOld(urn, aliases);
        const state = custom
            ? await this.registerCustom(urn, registration, old)
            : await this.keepOrAdd(this.stateFor(urn, { ...registration, provider: undefined }, old), old);
        return { urn, id: state.id, outputs: custom ? state.outputs : {} };
    }

    private findOld(urn: string, aliases: string[]): ResourceState | undefined {
        const known = [urn, ...aliases].find((candidate) => this.olds.has(candidate)) ?? urn;
        this.seen.add(known);
        return this.olds.get(known);
    }

    /** Records a resource about which nothing has to be done. */
    private async keepOrAdd(state: ResourceState, old: ResourceState | undefined): Promise<ResourceState> {
        if (old && isDeepStrictEqual(record(old), record(state))) {
            this.snapshot.keep(state, old);
        } else {
            await this.snapshot.settle(state, old);
        }
        this.steps.count("same", state);
        return state;
    }

    private async registerCustom(
        urn: string,
        registration: Registration,
        known: ResourceState | undefined,
    ): Promise<ResourceState> {
        const { type, version } = registration;
        const { contexts } = this.stack;
        const provider = isProviderType(type) ? undefined : await this.providerOf(registration);
        const asked =
            isProviderType(type) && version ? { ...registration.inputs, version } : registration.inputs;
        const given = keepIgnored(asked, known, registration.ignoreChanges);
        const inputs = driverFor(type).check(given, contexts.for({ urn, type, provider }));
        const deleted = this.deletedFirst.get(urn);
        const old = deleted ? undefined : known;
        const state = this.stateFor(urn, { ...registration, provider, inputs }, old);
        const done = old
            ? await this.change(state, old, registration.deleteBeforeReplace)
            : await this.steps.create(
                  state,
                  deleted ? "replace" : "create",
                  diffProps(withoutBookkeeping(deleted?.inputs ?? {}), withoutBookkeeping(inputs)),
              );
        contexts.addProvider(done);
        return done;
    }

    /** What sets the resource apart from its old state, `replaceOnChanges` counted in. */
    private async diff(old: ResourceState, now: ResourceState): Promise<Diff> {
        const diff = await driverFor(now.type).diff(old, now.inputs, this.stack.contexts.for(now));
        return { ...diff, changes: applyReplaceOnChanges(diff.changes, now.replaceOnChanges ?? []) };
    }

    private async change(
        state: ResourceState,
        old: ResourceState,
        deleteBeforeReplace: boolean | undefined,
    ): Promise<ResourceState> {
        const diff = await this.diff(old, state);
        const asked = this.replaced.includes(nameOf(state.urn));
        const changes = [...diff.changes, ...otherReasons(old, state, asked)];
        if (changes.some((change) => change.replace)) {
            return this.replace(state, old, changes, deleteBeforeReplace ?? diff.deleteBeforeReplace);
        }
        if (changes.length > 0) {
            this.forgetChanging(state);
            return this.steps.update(state, old, changes);
        }
        return this.keepOrAdd(state, old);
    }

    /** In a preview, the outputs that an update will change are not known. */
    private forgetChanging(state: ResourceState): void {
        if (this.stack.preview) {
            const changing = driverFor(state.type).changingOutputs ?? [];
            const unknown = Object.fromEntries(changing.map((key) => [key, UNKNOWN]));
            state.outputs = { ...state.outputs, ...state.inputs, ...unknown };
        }
    }

    private async replace(
        state: ResourceState,
        old: ResourceState,
        changes: Change[],
        deleteBeforeReplace: boolean,
    ): Promise<ResourceState> {
        if (old.protect) {
            throw new EngineError(
                `${nameOf(state.urn)} is protected and would have to be replaced: take "protect" away first.`,
            );
        }
        if (deleteBeforeReplace) {
            await this.deleteFirst(old);
        }
        const fresh = { ...state, id: undefined, outputs: this.stack.preview ? state.inputs : {} };
        return this.steps.create(fresh, "replace", changes, deleteBeforeReplace ? undefined : old);
    }

    /** Deletes the resource, but before it all that could not outlive it and is yet to be registered. */
    private async deleteFirst(old: ResourceState): Promise<void> {
        const doomed = new Map([[old.urn, old]]);
        for (const resource of this.snapshot.resources().filter((r) => r.custom && !r.delete)) {
            const isSettled = this.seen.has(resource.urn) || this.deletedFirst.has(resource.urn);
            if (!isSettled && (await this.mustFollow(resource, doomed))) {
                doomed.set(resource.urn, resource);
                this.deletedFirst.set(resource.urn, resource);
            }
        }
        await inDeletionOrder([...doomed.values()], (resource) => this.steps.delete(resource, undefined));
    }

    /** Whether the diff, with the properties that come from what is replaced unknown, asks for a replacement. */
    private async mustFollow(
        resource: ResourceState,
        replaced: ReadonlyMap<string, unknown>,
    ): Promise<boolean> {
        if (resource.provider && replaced.has(providerUrn(resource.provider))) {
            return true;
        }
        const isTouched = (key: string) =>
            resource.propertyDependencies[key]?.some((urn) => replaced.has(urn)) ?? false;
        if (!Object.keys(resource.inputs).some(isTouched)) {
            return false;
        }
        const inputs = mapProps(resource.inputs, (value, key) => (isTouched(key) ? UNKNOWN : value));
        const { changes } = await this.diff(resource, { ...resource, inputs });
        return changes.some((change) => change.replace);
    }

    /** The resource's own provider, or the default one of its package, registered when first needed. */
    private providerOf({ provider, type, version }: Registration): string | Promise<string> {
        if (provider) {
            return provider;
        }
        const name = `default${version ? `_${version.replace(/[.-]/g, "_")}` : ""}`;
        const key = `${packageOf(type)} ${name}`;
        const known = this.defaultProviders.get(key) ?? this.registerDefault(packageOf(type), name, version);
        this.defaultProviders.set(key, known);
        return known;
    }

    private async registerDefault(pkg: string, name: string, version: string | undefined): Promise<string> {
        const nothing = { inputs: {}, dependencies: [], propertyDependencies: {}, aliases: [] };
        const type = `pulumi:providers:${pkg}`;
        const { urn, id } = await this.register({ ...nothing, type, name, custom: true, version });
        return `${urn}::${id ?? ""}`;
    }

    private stateFor(
        urn: string,
        { name, version, aliases, deleteBeforeReplace, ignoreChanges, ...recorded }: Registration,
        old: ResourceState | undefined,
    ): ResourceState {
        const now = new Date().toISOString();
        return {
            ...recorded,
            urn,
            others: old?.others ?? {},
            id: old?.id,
            outputs: old?.outputs ?? (this.stack.preview ? recorded.inputs : {}),
            created: old?.created ?? now,
            modified: old?.modified ?? now,
        };
    }
}

/** Removes what interrupted creations left, unless it is what a resource in the state stands for. */
export async function removeLeftovers({ contexts, state }: OpenStack): Promise<void> {
    const { snapshot, interrupted } = await state;
    for (const operation of interrupted) {
        const { type, inputs } = operation.resource;
        const isSame = (other: ResourceState) =>
            other.type === type && sameValue(other.inputs.name ?? null, inputs.name ?? null);
        if (!snapshot.resources().some(isSame)) {
            await driverFor(type).removeLeftover?.(inputs, contexts.for(operation.resource));
        }
        await snapshot.settle(undefined, undefined, operation);
    }
}

/** The option `ignoreChanges`: the properties named keep the value that they had, or stay absent. */
function keepIgnored(inputs: Props, old: ResourceState | undefined, ignored: readonly string[] = []): Props {
    const kept = Object.entries(withoutBookkeeping(old?.inputs ?? {})).filter(([name]) =>
        ignored.includes(name),
    );
    const others = Object.entries(inputs).filter(([name]) => !old || !ignored.includes(name));
    return Object.fromEntries([...others, ...kept]);
}

/** What asks for a replacement beside the resource's own inputs. */
function otherReasons(old: ResourceState, now: ResourceState, asked: boolean): Change[] {
    const reasons: Change[] = [];
    const replacing = { kind: "update", replace: true } as const;
    if (asked) {
        reasons.push({ ...replacing, path: ["(as asked)"], old: null, new: null });
    }
    if (old.initErrors?.length) {
        reasons.push({ ...replacing, path: ["(unfinished)"], old: old.initErrors[0], new: null });
    }
    if (providerChanged(old.provider, now.provider)) {
        reasons.push({ ...replacing, path: ["provider"], old: old.provider, new: now.provider });
    }
    return reasons;
}

/** Default providers of different versions stand for the same; any other change of provider is another place. */
function providerChanged(old: string | undefined, now: string | undefined): boolean {
    const [before, after] = [old, now].map((reference) => (reference ? providerUrn(reference) : ""));
    return before !== after && !(isDefaultProvider(before ?? "") && isDefaultProvider(after ?? ""));
}

function partition<T>(items: readonly T[], isFirst: (item: T) => boolean): [T[], T[]] {
    return [items.filter(isFirst), items.filter((item) => !isFirst(item))];
}

/** What of a resource would be worth a new checkpoint. */
function record({ created, modified, delete: _delete, initErrors, ...rest }: ResourceState): object {
    return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
}
