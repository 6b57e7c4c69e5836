import { isDeepStrictEqual } from "node:util";
import { applyReplaceOnChanges, type Change, diffProps } from "./diff";
import { driverFor } from "./drivers";
import { EngineError } from "./engine-error";
import { dependentsOf, inDeletionOrder } from "./graph";
import { type MonitorHandler, type Registered, type Registration, type Severity, Stopping } from "./monitor";
import type { PendingOperation, ResourceState } from "./state";
import { type StepEnvironment, Steps } from "./steps";
import { isDefaultProvider, isProviderType, makeUrn, packageOf, providerUrn, STACK_TYPE } from "./urn";
import { type Props, UNKNOWN, withoutBookkeeping } from "./values";

/** What the resource's old and new inputs call for. */
interface Plan {
    operation: "same" | "update" | "replace";
    changes: Change[];
    deleteBeforeReplace: boolean;
}

export interface DeploymentOptions extends StepEnvironment {
    project: string;
    stack: string;
    /** Creations that an interrupted run began and never recorded. */
    interrupted: PendingOperation[];
}

/**
 * Turns the program's registrations into steps. Registrations arrive when what they depend on is done, so each is
 * worked on at once; what nobody registered is deleted at the end.
 */
export class Deployment implements MonitorHandler {
    private readonly steps: Steps;
    private readonly olds: Map<string, ResourceState>;
    private readonly registered = new Map<string, ResourceState>();
    private readonly seen = new Set<string>();
    /** Deleted before their replacement, because something they need was. */
    private readonly deletedFirst = new Map<string, ResourceState>();
    private readonly defaultProviders = new Map<string, Promise<string>>();
    private readonly interrupted: Map<string, PendingOperation>;
    private readonly running = new Set<Promise<unknown>>();
    private failure: unknown;
    /** Outputs of the root stack, once the program has given them. */
    outputs: Props = {};

    constructor(private readonly options: DeploymentOptions) {
        const resources = options.snapshot.resources();
        this.steps = new Steps(options);
        this.olds = new Map(resources.filter((r) => !r.delete).map((r) => [r.urn, r]));
        this.interrupted = new Map(
            options.interrupted.map((operation) => [operation.resource.urn, operation]),
        );
        for (const resource of resources) {
            options.contexts.addProvider(resource);
        }
    }

    get counts() {
        return this.steps.counts;
    }

    async registerResource(registration: Registration): Promise<Registered> {
        if (this.failure || this.options.signal.aborted) {
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
        const state = this.registered.get(urn);
        if (!state) {
            return;
        }
        const changed = !isDeepStrictEqual(state.outputs, outputs);
        state.outputs = outputs;
        if (state.type === STACK_TYPE) {
            this.outputs = outputs;
        }
        if (changed) {
            await this.options.snapshot.save();
        }
    }

    log(severity: Severity, text: string): void {
        // Once the run is ending, the program's complaints are about that and nothing else.
        if (severity !== "debug" && !this.failure && !this.options.signal.aborted) {
            this.options.display.show({ kind: "message", severity, text });
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

    /** After the program: deletes what it did not register and what was replaced. */
    async deleteRest(): Promise<void> {
        const doomed = this.options.snapshot.resources().filter((r) => r.delete || !this.seen.has(r.urn));
        await inDeletionOrder(doomed, (old) => this.steps.delete(old, old.delete ? undefined : "delete"));
        await this.removeLeftovers();
    }

    /** Removes what interrupted creations left and nobody wants any more. */
    private async removeLeftovers(): Promise<void> {
        const { snapshot, contexts, preview } = this.options;
        const living = new Set(snapshot.resources().map((resource) => resource.urn));
        for (const operation of preview ? [] : this.interrupted.values()) {
            const { resource } = operation;
            if (!living.has(resource.urn)) {
                const context = contexts.for(resource);
                await driverFor(resource.type).removeLeftover?.(resource.inputs, context);
            }
            await snapshot.settle(undefined, undefined, operation);
        }
    }

    private async register(registration: Registration): Promise<Registered> {
        const { type, name, parent } = registration;
        const urn = makeUrn(this.options.stack, this.options.project, parent, type, name);
        if (this.seen.has(urn)) {
            throw new EngineError(`Two resources have the same URN ${urn}: give one of them another name.`);
        }
        this.seen.add(urn);
        const old = this.findOld(urn, registration.aliases);
        const state = registration.custom
            ? await this.registerCustom(urn, registration, old)
            : await this.keepOrAdd(
                  this.stateFor(urn, registration, registration.inputs, undefined, old),
                  old,
              );
        this.registered.set(urn, state);
        return { urn, id: state.id, outputs: registration.custom ? state.outputs : {} };
    }

    private findOld(urn: string, aliases: string[]): ResourceState | undefined {
        const known = [urn, ...aliases].find((candidate) => this.olds.has(candidate));
        const old = known === undefined ? undefined : this.olds.get(known);
        if (known !== undefined && known !== urn) {
            this.seen.add(known);
        }
        return old;
    }

    /** Records a resource about which nothing has to be done. */
    private async keepOrAdd(state: ResourceState, old: ResourceState | undefined): Promise<ResourceState> {
        if (old && isDeepStrictEqual(record(old), record(state))) {
            this.options.snapshot.keep(state, old);
        } else {
            await this.options.snapshot.settle(state, old);
        }
        this.steps.count("same", state);
        return state;
    }

    private async registerCustom(
        urn: string,
        registration: Registration,
        known: ResourceState | undefined,
    ): Promise<ResourceState> {
        const { type } = registration;
        const driver = driverFor(type);
        const provider = isProviderType(type) ? undefined : await this.providerOf(registration);
        const context = this.options.contexts.for({ urn, type, provider });
        const given = isProviderType(type) ? withVersion(registration) : registration.inputs;
        const old = this.deletedFirst.has(urn) ? undefined : known;
        const state = this.stateFor(urn, registration, driver.check(given, context), provider, old);
        const done = old
            ? await this.change(state, old, await this.plan(registration, state, old), registration)
            : await this.makeNew(state, this.deletedFirst.get(urn));
        this.options.contexts.addProvider(done);
        return done;
    }

    private async makeNew(state: ResourceState, replaced: ResourceState | undefined): Promise<ResourceState> {
        const changes = diffProps(visible(replaced?.inputs ?? {}), visible(state.inputs));
        const interrupted = this.takeInterrupted(state.urn);
        return this.steps.create(state, replaced ? "replace" : "create", changes, interrupted);
    }

    private takeInterrupted(urn: string): PendingOperation | undefined {
        const operation = this.interrupted.get(urn);
        this.interrupted.delete(urn);
        return operation;
    }

    private async plan(registration: Registration, state: ResourceState, old: ResourceState): Promise<Plan> {
        const context = this.options.contexts.for(state);
        const diff = await driverFor(state.type).diff(old, state.inputs, context);
        const changes = applyReplaceOnChanges(diff.changes, registration.replaceOnChanges ?? []);
        const replacing = { kind: "update", replace: true } as const;
        if (old.initErrors?.length) {
            changes.push({ ...replacing, path: ["(unfinished)"], old: old.initErrors[0], new: null });
        }
        if (providerChanged(old.provider, state.provider)) {
            changes.push({ ...replacing, path: ["provider"], old: old.provider, new: state.provider });
        }
        const replace = changes.some((change) => change.replace);
        return {
            operation: replace ? "replace" : changes.length > 0 ? "update" : "same",
            changes,
            deleteBeforeReplace: registration.deleteBeforeReplace ?? diff.deleteBeforeReplace,
        };
    }

    private async change(
        state: ResourceState,
        old: ResourceState,
        plan: Plan,
        registration: Registration,
    ): Promise<ResourceState> {
        switch (plan.operation) {
            case "same":
                return this.keepOrAdd(state, old);
            case "update":
                this.forgetChanging(state);
                return this.steps.update(state, old, plan.changes);
            case "replace":
                return this.replace(state, old, plan, registration.name);
        }
    }

    /** In a preview, the outputs that an update will change are not known. */
    private forgetChanging(state: ResourceState): void {
        if (this.options.preview) {
            const changing = driverFor(state.type).changingOutputs ?? [];
            const unknown = Object.fromEntries(changing.map((key) => [key, UNKNOWN]));
            state.outputs = { ...state.outputs, ...state.inputs, ...unknown };
        }
    }

    private async replace(
        state: ResourceState,
        old: ResourceState,
        plan: Plan,
        name: string,
    ): Promise<ResourceState> {
        if (old.protect) {
            throw new EngineError(
                `${name} is protected and would have to be replaced: take "protect" away first.`,
            );
        }
        const fresh = { ...state, id: undefined, outputs: this.options.preview ? state.inputs : {} };
        if (plan.deleteBeforeReplace) {
            await this.deleteFirst(old);
        }
        const staying = plan.deleteBeforeReplace ? undefined : old;
        return this.steps.create(fresh, "replace", plan.changes, this.takeInterrupted(state.urn), staying);
    }

    /** Deletes the resource, but before it all that could not outlive it and is yet to be registered. */
    private async deleteFirst(old: ResourceState): Promise<void> {
        const doomed = await this.dependentsToReplace(old);
        for (const dependent of doomed) {
            this.deletedFirst.set(dependent.urn, dependent);
        }
        await inDeletionOrder([old, ...doomed], (resource) => this.steps.delete(resource, undefined));
    }

    /** Those of the dependents whose diff, with the properties that came from it unknown, asks for a replacement. */
    private async dependentsToReplace(root: ResourceState): Promise<ResourceState[]> {
        const replaced = new Set([root.urn]);
        const found: ResourceState[] = [];
        for (const resource of dependentsOf(root.urn, this.options.snapshot.resources())) {
            const settled = this.seen.has(resource.urn) || this.deletedFirst.has(resource.urn);
            if (
                resource.custom &&
                !resource.delete &&
                !settled &&
                (await this.mustFollow(resource, replaced))
            ) {
                replaced.add(resource.urn);
                found.push(resource);
            }
        }
        return found;
    }

    private async mustFollow(resource: ResourceState, replaced: Set<string>): Promise<boolean> {
        if (resource.provider && replaced.has(providerUrn(resource.provider))) {
            return true;
        }
        const touched = Object.entries(resource.propertyDependencies)
            .filter(([, urns]) => urns.some((urn) => replaced.has(urn)))
            .map(([key]) => key)
            .filter((key) => key in resource.inputs);
        if (touched.length === 0) {
            return false;
        }
        const unknown = Object.fromEntries(touched.map((key) => [key, UNKNOWN]));
        const context = this.options.contexts.for(resource);
        const { changes } = await driverFor(resource.type).diff(
            resource,
            { ...resource.inputs, ...unknown },
            context,
        );
        return applyReplaceOnChanges(changes, resource.replaceOnChanges ?? []).some(
            (change) => change.replace,
        );
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
        registration: Registration,
        inputs: Props,
        provider: string | undefined,
        old: ResourceState | undefined,
    ): ResourceState {
        const preview = this.options.preview ? inputs : {};
        return {
            others: old?.others ?? {},
            urn,
            custom: registration.custom,
            type: registration.type,
            id: old?.id,
            inputs,
            outputs: old?.outputs ?? preview,
            parent: registration.parent,
            protect: registration.protect,
            dependencies: registration.dependencies,
            propertyDependencies: registration.propertyDependencies,
            provider,
            additionalSecretOutputs: registration.additionalSecretOutputs,
            retainOnDelete: registration.retainOnDelete,
            replaceOnChanges: registration.replaceOnChanges,
            created: old?.created ?? new Date().toISOString(),
            modified: old?.modified ?? new Date().toISOString(),
        };
    }
}

function withVersion({ inputs, version }: Registration): Props {
    return version ? { ...inputs, version } : inputs;
}

/** Default providers of different versions stand for the same; any other change of provider is another place. */
function providerChanged(old: string | undefined, now: string | undefined): boolean {
    const [before, after] = [old, now].map((reference) => (reference ? providerUrn(reference) : ""));
    return before !== after && !(isDefaultProvider(before ?? "") && isDefaultProvider(after ?? ""));
}

/** What of a resource would be worth a new checkpoint. */
function record({ created, modified, delete: _delete, initErrors, ...rest }: ResourceState): object {
    return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
}

/** Inputs as a user knows them. */
function visible(inputs: Props): Props {
    return withoutBookkeeping(inputs);
}
