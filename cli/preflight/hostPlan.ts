import { HostError } from "../../host/error";
import { UserError } from "../errors";
import { type HostPlan, type HostSettings, planHost } from "../host/control";
import { type Finding, failure } from "./finding";

/** What the settings come to on this machine, or why it cannot be had. */
export async function planOrRefuse(title: string, settings: HostSettings): Promise<HostPlan | Finding> {
    try {
        return await planHost(settings);
    } catch (error) {
        if (!(error instanceof UserError || error instanceof HostError)) {
            throw error;
        }
        return failure(title, error.message.replace(/\.$/, ""), "");
    }
}
