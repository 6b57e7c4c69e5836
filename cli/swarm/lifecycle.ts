import { expectedOf } from "../drift/expected";
import type { Session } from "../session";
import { ensureServicesRun, replicasOf, scale, stackSwarmServices, swarmServiceName } from "./services";

/**
 * Ends every container of the stack's services in a Swarm; the services stay.
 *
 * @returns names of the services that were running.
 */
export async function stopServices(session: Session): Promise<string[]> {
    const running = (await stackSwarmServices(session.stack)).filter((one) => replicasOf(one) > 0);
    for (const service of running) {
        session.output.note(`Stopping ${swarmServiceName(service)} on every node`);
        await scale(service, 0);
    }
    return running.map(({ Spec }) => Spec.Name);
}

/**
 * Starts as many containers again as the stack was deployed with, and waits until they run.
 *
 * @returns names of the services that were stopped.
 */
export async function startServices(session: Session): Promise<string[]> {
    const stopped = (await stackSwarmServices(session.stack)).filter((one) => replicasOf(one) === 0);
    if (stopped.length === 0) {
        return [];
    }
    const engine = await session.engine();
    const { services } = expectedOf(await engine.resources(session.request()));
    for (const service of stopped) {
        const replicas = services.find(({ id }) => id === service.ID)?.mode.replicated.replicas ?? 1;
        session.output.note(`Starting ${swarmServiceName(service)} on the nodes`);
        await scale(service, replicas);
    }
    await ensureServicesRun(session);
    return stopped.map(({ Spec }) => Spec.Name);
}
