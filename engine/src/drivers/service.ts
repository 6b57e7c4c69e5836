import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import { type Change, diffProps } from "../diff";
import { attempt, attemptRemoval, CONFLICT, unless, unlessMissing } from "../docker/calls";
import { type RegistryLogin, registryLogin } from "../docker/registry-login";
import { EngineError, messageOf } from "../engine-error";
import type { ResourceState } from "../state";
import { hasUnknown, isObject, type Props, reveal, withoutBookkeeping } from "../values";
import { nanoseconds } from "./container-spec";
import { type Context, type Created, checkNamed, type Driver } from "./driver";
import { comparableSpec, SERVICE_SHAPE, type ServiceSpec, serviceSpec } from "./service-spec";

const TYPE = "docker:index/service:Service";
const POLL_MS = 500;
/** Before Docker has begun an update it says nothing of one. The real provider waits as long. */
const UPDATE_DELAY_MS = 7000;
/** For its tasks' containers to end where they run, past the time that they are given. */
const LEAVE_MS = 15_000;
/** The output with what was last read of the service; the real provider has it under the inputs' own names. */
const SEEN = "seen";

/** What the API tells of a service. */
interface Found {
    ID: string;
    Version: { Index: number };
    Spec: ServiceSpec;
    UpdateStatus?: { State?: string; Message?: string };
}

/** What it tells of a task. */
interface Task {
    ServiceID?: string;
    NodeID?: string;
    DesiredState?: string;
    Spec?: { ForceUpdate?: number };
    Status?: { State?: string; Err?: string; Message?: string };
}

/**
 * A service of a Swarm, with as many replicas as it says. It is there once all of them run, and are healthy where it has
 * a health check. A change of its name or its networks makes a new one; all else is a rolling update.
 */
export const service: Driver = {
    check: (inputs) => checkNamed(TYPE, inputs, SERVICE_SHAPE, {}),
    diff: (old, news) => ({ changes: differences(old, news), deleteBeforeReplace: true }),
    create,
    update,
    async read(old, context) {
        const found = await find(String(old.id), context);
        return found && { ...old.outputs, [SEEN]: comparableSpec(found.Spec) };
    },
    delete: (old, context) => remove(String(old.id), old.inputs, context),
    async removeLeftover(inputs, context) {
        const found = await find(String(reveal(inputs.name ?? null)), context);
        if (found) {
            await remove(found.ID, inputs, context);
        }
    },
};

function differences(old: ResourceState, news: Props): Change[] {
    const isReplacing = ({ path }: Change) =>
        path[0] === "name" || (path[0] === "taskSpec" && path[1] === "networksAdvanceds");
    const byInputs = diffProps(withoutBookkeeping(old.inputs), withoutBookkeeping(news));
    const seen = old.outputs[SEEN];
    const drift =
        byInputs.length === 0 && isObject(seen) && !hasUnknown(news)
            ? diffProps(seen, comparableSpec(serviceSpec(withoutBookkeeping(reveal(news)))))
            : [];
    return [...byInputs, ...drift].map((change) => ({ ...change, replace: isReplacing(change) }));
}

async function create(inputs: Props, context: Context): Promise<Created> {
    const plain = withoutBookkeeping(reveal(inputs));
    const name = String(plain.name);
    const spec = serviceSpec(plain);
    const login = await loginFor(spec);
    const made = await attempt(`The service ${name} cannot be created`, () =>
        unless(CONFLICT, () =>
            context.docker().createService(login as Docker.AuthConfig, spec as Docker.ServiceSpec),
        ),
    );
    if (!made) {
        throw new EngineError(
            `There is a service ${name} already that is not part of this stack: remove it with ` +
                `"docker service rm ${name}".`,
        );
    }
    // Of another shape than dockerode's types say: what the API answers.
    const answer = made as unknown as { ID?: string; id?: string };
    const id = String(answer.ID ?? answer.id);
    try {
        return { id, outputs: await converged(id, inputs, context) };
    } catch (error) {
        return { id, outputs: { ...withoutBookkeeping(inputs), id }, failure: messageOf(error) };
    }
}

async function update(old: ResourceState, news: Props, context: Context): Promise<Props> {
    const plain = withoutBookkeeping(reveal(news));
    const id = String(old.id);
    const found = await find(id, context);
    if (!found) {
        throw new EngineError(`The service ${plain.name} is gone: refresh, then it is made anew.`);
    }
    const spec = serviceSpec(plain);
    // Docker counts how often its tasks were made anew by hand.
    const TaskTemplate = { ...spec.TaskTemplate, ForceUpdate: found.Spec.TaskTemplate?.ForceUpdate };
    const login = await loginFor(spec);
    // What dockerode's types leave out: the login comes first.
    const target = context.docker().getService(id) as unknown as {
        update(login: Partial<RegistryLogin>, options: object): Promise<void>;
    };
    await attempt(`The service ${plain.name} cannot be updated`, () =>
        target.update(login, { version: found.Version.Index, ...spec, TaskTemplate }),
    );
    return converged(id, news, context, UPDATE_DELAY_MS);
}

/** The user's, which the Swarm hands to the nodes that pull the image; the real provider sends an empty one, too. */
async function loginFor({ TaskTemplate }: ServiceSpec): Promise<Partial<RegistryLogin>> {
    return (await registryLogin(TaskTemplate?.ContainerSpec?.Image ?? "")) ?? {};
}

async function find(id: string, context: Context): Promise<Found | undefined> {
    return unlessMissing(() => context.docker().getService(id).inspect()) as Promise<Found | undefined>;
}

/**
 * Waits until every replica runs and an update is through.
 * @param delay Milliseconds in which an update that nothing is said of may not have begun.
 * @throws EngineError where that takes longer than `convergeConfig.timeout`, saying what Docker says of the tasks.
 */
async function converged(id: string, inputs: Props, context: Context, delay = 0): Promise<Props> {
    const { name, convergeConfig } = reveal(inputs);
    const timeout = isObject(convergeConfig) ? String(convergeConfig.timeout ?? "3m") : "0s";
    const begun = Date.now() + delay;
    const deadline = Date.now() + nanoseconds(timeout) / 1e6;
    for (;;) {
        const found = await find(id, context);
        if (!found) {
            throw new EngineError(`The service ${name} was removed while it was waited for.`);
        }
        const { tasks, running, replicas } = await count(found, context);
        const state = found.UpdateStatus?.State;
        const isThrough = state === undefined ? Date.now() >= begun : state === "completed";
        if (running === replicas && isThrough) {
            return { ...withoutBookkeeping(inputs), id, [SEEN]: comparableSpec(found.Spec) };
        }
        const why = troubleOf(tasks) ?? found.UpdateStatus?.Message;
        const said = `${running} of ${replicas} replicas of the service ${name} run${why ? `: ${why}` : ""}`;
        if (state === "paused" || Date.now() > deadline) {
            throw new EngineError(
                state === "paused"
                    ? `The update of the service ${name} has stopped. ${said}`
                    : `After ${timeout}, ${said}`,
            );
        }
        if (context.signal.aborted) {
            throw new EngineError(`Waiting for the service ${name} was interrupted.`);
        }
        context.progress(said);
        await sleep(POLL_MS);
    }
}

async function count(found: Found, context: Context) {
    const tasks = await tasksOf(found.ID, context);
    const replicas = found.Spec.Mode?.Replicated?.Replicas ?? 1;
    const running = tasks.filter(
        ({ DesiredState, Status }) => DesiredState === "running" && Status?.State === "running",
    ).length;
    return { tasks, replicas, running };
}

/** Of a service that is gone, too, by which Docker filters none. */
async function tasksOf(id: string, context: Context): Promise<Task[]> {
    const all: Task[] = await attempt("The tasks of the Swarm cannot be listed", () =>
        context.docker().listTasks(),
    );
    return all.filter(({ ServiceID }) => ServiceID === id);
}

/** The last that Docker says of a task that does not run. */
function troubleOf(tasks: readonly Task[]): string | undefined {
    return tasks.flatMap(({ Status }) => (Status?.Err ? [Status.Err] : [])).at(0);
}

/** Until its tasks are gone, too: a network cannot go before them. A node that does not answer keeps its own. */
async function remove(id: string, inputs: Props, context: Context): Promise<void> {
    await attemptRemoval(`The service ${String(inputs.name)} cannot be removed`, () =>
        context.docker().getService(id).remove(),
    );
    const deadline = Date.now() + grace(reveal(inputs)) + LEAVE_MS;
    while ((await tasksOf(id, context)).length > 0 && Date.now() < deadline) {
        context.progress("waiting for its containers to end");
        await sleep(POLL_MS);
    }
}

function grace({ taskSpec }: Props): number {
    const container = isObject(taskSpec) ? taskSpec.containerSpec : undefined;
    const period = isObject(container) ? container.stopGracePeriod : undefined;
    return period === undefined ? 0 : nanoseconds(period) / 1e6;
}
