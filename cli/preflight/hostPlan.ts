import { HostError } from "../../host/error";
import { UserError } from "../errors";
import { type HostPlan, type HostSettings, planHost } from "../host/control";
import { type Finding, failure } from "./finding";

/** By settings: kernels and LLM server have one plan, and two looks at a port at a time would be in each other's way. */
const plans = new WeakMap<HostSettings, Promise<HostPlan>>();

/** What the settings come to on this machine, or why it cannot be had. */
export async function planOrRefuse(title: string, settings: HostSettings): Promise<HostPlan | Finding> {
    const plan = plans.get(settings) ?? planHost(settings);
    plans.set(settings, plan);
    try {
        return await plan;
    } catch (error) {
        if (!(error instanceof UserError || error instanceof HostError)) {
            throw error;
        }
        return failure(title, error.message.replace(/\.$/, ""), "");
    }
}
