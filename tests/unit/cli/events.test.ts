import { describe, expect, it } from "vitest";
import { dockerEvent, happening, type Watched } from "../../../cli/events";

const own = { "carbon.stack": "dev", "carbon.service": "postgres", name: "carbon-dev-postgres" };

function watched(): Watched {
    return {
        stack: "dev",
        services: new Map([["id-of-postgres", "postgres"]]),
        images: new Set(["localhost/carbon/base:1"]),
    };
}

function text(Type: string, Action: string, Attributes: Record<string, string>, ID = "id-of-postgres") {
    const event = dockerEvent.parse({ Type, Action, Actor: { ID, Attributes }, time: 1_767_225_600 });
    const found = happening(event, watched());
    return found && `${found.service}: ${found.text}`;
}

describe("carbon watch says in plain words", () => {
    it.each([
        ["container", "die", { ...own, exitCode: "137" }, "postgres: ended with exit code 137"],
        ["container", "oom", own, "postgres: Linux killed it, or a program in it, for want of memory"],
        ["container", "health_status: unhealthy", own, "postgres: unhealthy"],
        ["container", "health_status: healthy", own, "postgres: healthy"],
        ["container", "pause", own, "postgres: paused"],
        ["container", "stop", own, "postgres: stopped"],
        ["container", "destroy", own, "postgres: container removed"],
        ["container", "update", own, "postgres: limits changed"],
        [
            "container",
            "rename",
            { ...own, name: "x", oldName: "/carbon-dev-postgres" },
            "postgres: renamed from carbon-dev-postgres to x",
        ],
        [
            "network",
            "connect",
            { container: "id-of-postgres", name: "other" },
            "postgres: joined the network other",
        ],
        [
            "network",
            "disconnect",
            { container: "id-of-postgres", name: "carbon-dev" },
            "postgres: left the network carbon-dev",
        ],
        ["network", "destroy", { name: "carbon-dev" }, "network: carbon-dev removed"],
        ["network", "create", { name: "carbon-dev" }, "network: carbon-dev made"],
        [
            "container",
            "create",
            { name: "carbon-dev-postgres" },
            "postgres: carbon-dev-postgres is now a container that is not the stack's",
        ],
        [
            "container",
            "rename",
            { name: "carbon-dev-spark-worker-2", oldName: "/x" },
            "spark-worker-2: carbon-dev-spark-worker-2 is now a container that is not the stack's",
        ],
        [
            "image",
            "untag",
            { name: "localhost/carbon/base:1" },
            "image: localhost/carbon/base:1: tag taken away",
        ],
        [
            "image",
            "tag",
            { name: "localhost/carbon/base:1" },
            "image: localhost/carbon/base:1: tag given to an image",
        ],
    ])("%s %s", (type, action, attributes, words) => {
        expect(text(type, action, attributes)).toBe(words);
    });

    it("a volume that is gone", () => {
        expect(text("volume", "destroy", {}, "carbon-dev-home")).toBe("volume: carbon-dev-home removed");
    });

    it.each([
        ["container", "die", { ...own, "carbon.stack": "other" }],
        ["container", "die", {}],
        ["container", "create", own],
        ["container", "create", { name: "carbon-dev-mine" }],
        ["container", "create", { name: "carbon-develop-postgres" }],
        ["network", "create", { name: "carbon-develop" }],
        ["container", "exec_start: carbon-health", own],
        ["network", "connect", { container: "a stranger's", name: "carbon-dev" }],
        ["network", "destroy", { name: "bridge" }],
        ["image", "delete", { name: "localhost/carbon/base:2" }],
    ])("nothing of what is none of the stack's: %s %s", (type, action, attributes) => {
        expect(text(type, action, attributes)).toBeUndefined();
    });
});
