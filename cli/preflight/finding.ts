/** What a look at the machine found. */
export interface Finding {
    /** What was looked at, in a few words. */
    title: string;
    /** `warning`: it works, but a user should know. `failure`: a deployment cannot work. */
    status: "ok" | "warning" | "failure";
    /** What is there, or what is wrong. */
    detail: string;
    /** What to type or do next; absent when all is well. */
    advice?: string;
}

export function ok(title: string, detail: string): Finding {
    return { title, status: "ok", detail };
}

export function warning(title: string, detail: string, advice: string): Finding {
    return { title, status: "warning", detail, advice };
}

export function failure(title: string, detail: string, advice: string): Finding {
    return { title, status: "failure", detail, advice };
}
