import {
    chmodSync,
    existsSync,
    mkdirSync,
    readdirSync,
    readFileSync,
    rmSync,
    statSync,
    symlinkSync,
    writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import {
    container,
    healthyDocker,
    obedientPulumi,
    portOffset,
    type Rule,
    running,
    sandbox,
    stackOutputs,
} from "./harness";

describe("the engine", () => {
    it("uses pulumi when it is on PATH", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", obedientPulumi);
        const { exitCode, stdout } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(0);
        expect(stdout).toContain(`Engine: pulumi v3.260.0 (${join(box.bin, "pulumi")}), as it is on PATH.`);
        expect(box.commands("pulumi").slice(0, 6)).toEqual([
            "version",
            "stack select --stack dev --non-interactive",
            "stack export --stack dev --non-interactive",
            "stack select --create --stack dev --non-interactive",
            "stack export --stack dev --non-interactive",
            "up --stack dev --refresh --yes --skip-preview",
        ]);
        expect(box.calls("pulumi")[5]?.env).toEqual({
            PULUMI_BACKEND_URL: pathToFileURL(join(box.dir, ".carbon", "state")).href,
            PULUMI_CONFIG_PASSPHRASE_FILE: join(box.dir, ".carbon", "passphrase"),
            PULUMI_SKIP_UPDATE_CHECK: "true",
            BUILDX_NO_DEFAULT_ATTESTATIONS: "1",
        });
    });

    it("makes a passphrase of its own, once, for its owner's eyes only", async () => {
        const box = sandbox();
        box.install("pulumi", obedientPulumi);
        const file = join(box.dir, ".carbon", "passphrase");
        await box.carbon(["outputs"]);
        const passphrase = readFileSync(file, "utf8");
        expect(statSync(file).mode & 0o777).toBe(0o600);
        expect(passphrase).toMatch(/^[\w-]{32}\n$/);
        expect(readdirSync(join(box.dir, ".carbon")).filter((name) => name.endsWith(".tmp"))).toEqual([]);
        await box.carbon(["outputs"]);
        expect(readFileSync(file, "utf8")).toBe(passphrase);
    });

    it.each([[["status"]], [["outputs"]], [["down", "--yes"]]])(
        "keeps the folder of its state for its owner alone, also one that is wider: %j",
        async (args) => {
            const box = sandbox();
            box.install("docker", healthyDocker);
            box.install("pulumi", obedientPulumi);
            const own = join(box.dir, ".carbon");
            mkdirSync(own);
            chmodSync(own, 0o755);
            await box.carbon(args);
            expect(statSync(own).mode & 0o777).toBe(0o700);
        },
    );

    it("makes nothing that other users could read", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", obedientPulumi);
        await box.carbon(["up", "--yes"]);
        expect(statSync(join(box.dir, ".carbon")).mode & 0o077).toBe(0);
        expect(statSync(join(box.dir, ".carbon", "state")).mode & 0o077).toBe(0);
        // The Pulumi CLI writes its backups with the mode that it is left.
        expect(statSync(join(box.dir, "calls")).mode & 0o077).toBe(0);
    });

    it("leaves a link in place of that folder alone", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        const elsewhere = join(box.dir, "elsewhere");
        mkdirSync(elsewhere);
        chmodSync(elsewhere, 0o755);
        symlinkSync(elsewhere, join(box.dir, ".carbon"));
        await box.carbon(["status"]);
        expect(statSync(elsewhere).mode & 0o777).toBe(0o755);
    });

    it("takes no empty file for a passphrase, which a full disk leaves", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", obedientPulumi);
        const file = join(box.dir, ".carbon", "passphrase");
        mkdirSync(join(file, ".."));
        writeFileSync(file, "");
        const { exitCode, stderr } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain(`The passphrase file ${file} is empty`);
        expect(box.commands("pulumi").some((command) => command.startsWith("up "))).toBe(false);
    });

    it("leaves a backend and a passphrase of the user's alone", async () => {
        const box = sandbox();
        box.install("pulumi", obedientPulumi);
        const env = { PULUMI_BACKEND_URL: "s3://mine", PULUMI_CONFIG_PASSPHRASE: "" };
        await box.carbon(["outputs"], env);
        expect(box.calls("pulumi").at(-1)?.env).toMatchObject(env);
        expect(existsSync(join(box.dir, ".carbon", "passphrase"))).toBe(false);
    });

    it("keeps attestations on images that are pushed", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", obedientPulumi);
        box.configure({ push: true, imagePrefix: "ghcr.io/me/carbon", portOffset });
        await box.carbon(["up", "--yes"]);
        const up = box.calls("pulumi").find(({ args }) => args[0] === "up");
        expect(up?.env).not.toHaveProperty("BUILDX_NO_DEFAULT_ATTESTATIONS");
    });

    it("uses the pulumi that the set-up installed for the project", async () => {
        const box = sandbox();
        const folder = join(box.dir, ".carbon", "tools", "pulumi", "bin");
        box.install("pulumi", obedientPulumi, folder);
        box.install("docker", healthyDocker);
        const { stdout } = await box.carbon(["preview"]);
        expect(stdout).toContain(`(${join(folder, "pulumi")}), as it is among the project's tools.`);
    });

    it("falls back to the embedded engine, and says why", async () => {
        const box = sandbox();
        const { stdout } = await box.carbon(["doctor"]);
        expect(stdout).toContain("deployment engine: embedded, as there is no pulumi on PATH.");
    });

    it("does not take a folder or a text file for the Pulumi CLI", async () => {
        const box = sandbox();
        mkdirSync(join(box.bin, "pulumi"));
        expect((await box.carbon(["doctor"])).stdout).toContain("deployment engine: embedded");
        rmSync(join(box.bin, "pulumi"), { recursive: true });
        writeFileSync(join(box.bin, "pulumi"), "");
        chmodSync(join(box.bin, "pulumi"), 0o644);
        expect((await box.carbon(["doctor"])).stdout).toContain("deployment engine: embedded");
    });
});

describe("up", () => {
    it("ends with the check's table, the addresses, and where the passwords are", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", obedientPulumi);
        const { stdout } = await box.carbon(["up", "--yes"]);
        expect(stdout).toMatch(/ssh +PASS +SSH-2\.0/);
        expect(stdout).toMatch(/JupyterLab +http:\/\/127\.0\.0\.1:8888\/lab +token/);
        expect(stdout).toContain("Show passwords: ./carbon credentials");
        expect(stdout).not.toContain("to other machines");
        expect(stdout).toMatch(
            /Up in .*: 20 created\.\nOpen http:\/\/127\.0\.0\.1:8888\/lab, or type \.\/carbon open: it logs in\.$/,
        );
    });

    it("answers with one document with --json, and nothing else on standard output", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", obedientPulumi);
        const { stdout, stderr } = await box.carbon(["up", "--yes", "--json"]);
        expect(JSON.parse(stdout)).toMatchObject({
            stack: "dev",
            engine: "pulumi",
            changes: { create: 20 },
            urls: stackOutputs.urls,
            verification: stackOutputs.verification,
        });
        expect(stderr).toContain("Updating (dev)");
    });

    it("says what it opens to other machines before it acts, also with --yes", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", [{ match: "^up ", code: 255 }, ...obedientPulumi]);
        box.configure({ bindAddress: "0.0.0.0", portOffset, toolsets: ["databases"], compute: false });
        const { stdout } = await box.carbon(["up", "--yes"]);
        const [ssh, postgres, redis, mqtt] = [2222, 5432, 6379, 1883].map((port) => port + portOffset);
        expect(stdout).toContain(
            `! carbon:bindAddress 0.0.0.0 opens 4 ports to other machines: ${ssh} (ssh), ${postgres} (postgres), ` +
                `${redis} (redis), ${mqtt} (mqtt). TLS is on, and the passwords are all that stands between them and this stack.`,
        );
    });

    it("makes the workspace's folder before Docker would", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", obedientPulumi);
        const { uid } = statSync(box.dir);
        box.configure({
            portOffset,
            uid: 1234,
            gid: 1234,
            workspaceDir: "mine/here",
            compute: false,
            toolsets: ["databases"],
        });
        await box.carbon(["up", "--yes"]);
        expect(statSync(join(box.dir, "mine", "here")).uid).toBe(uid === 0 ? 1234 : uid);
    });

    it("shows the check's table and one sentence when the check fails", async () => {
        const box = sandbox();
        const failed = {
            ...stackOutputs.verification,
            checks: [
                {
                    id: "redis",
                    status: "FAIL",
                    expected: "PONG",
                    observed: "connection refused",
                    seconds: 1,
                    hint: "see the log of redis",
                },
            ],
            summary: { pass: 0, fail: 1, skip: 0, unsupported: 0 },
        };
        box.install("docker", [
            {
                match: "^exec carbon-dev-workspace carbon-verify --json$",
                code: 1,
                stdout: JSON.stringify(failed),
            },
            ...healthyDocker,
        ]);
        box.install("pulumi", [{ match: "^up ", code: 255 }, ...obedientPulumi]);
        const { exitCode, stdout, stderr } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stdout).toMatch(
            /redis +FAIL +connection refused\n +expected: PONG\n +hint: see the log of redis/,
        );
        expect(stderr).toMatch(/^error: 1 check failed \(redis\), so the deployment counts as failed\. .*$/);
    });

    it("says no more than the engine when it fails for another reason", async () => {
        const box = sandbox();
        box.install("docker", [{ match: "^exec ", code: 1, stderr: "No such container" }, ...healthyDocker]);
        box.install("pulumi", [
            { match: "^up ", code: 255, stderr: "no space left on device\n" },
            ...obedientPulumi,
        ]);
        const { exitCode, stderr } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toBe("no space left on device\nerror: pulumi up failed; what went wrong is above.");
    });

    it("passes Ctrl-C on, waits for the engine to tidy up, and exits with 130", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", [
            { match: "^up ", stdout: "busy\n", untilInterrupted: true, code: 1 },
            ...obedientPulumi,
        ]);
        const child = box.start(["up", "--yes"]);
        for await (const line of child.iterable()) {
            if (line === "busy") {
                child.kill("SIGINT");
            }
        }
        const { exitCode, stderr } = await child;
        expect(exitCode).toBe(130);
        expect(stderr).toMatch(/^\nStopping\. .*\nInterrupted\.$/);
    });
});

/** A container of a stack that was made from an image; Docker's list may know the image by its id alone. */
function madeFrom(image: string, stack: string) {
    const made = container("postgres");
    return { ...made, Config: { Image: image, Labels: { ...made.Config.Labels, "carbon.stack": stack } } };
}

describe("the images of former deployments", () => {
    const up = async (state: Record<string, string[]>, ...rules: Rule[]) => {
        const box = sandbox();
        for (const [stack, tags] of Object.entries(state)) {
            box.saveState(stack, tags);
        }
        box.install("docker", [...rules, ...healthyDocker]);
        // The deployment leaves a state with the image that it made.
        box.install("pulumi", [
            { match: "^up ", writes: [box.stateFile("dev"), box.state(["localhost/carbon/base:new"])] },
            ...obedientPulumi,
        ]);
        const { exitCode, stdout } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(0);
        const removals = box.commands("docker").filter((command) => command.startsWith("image rm "));
        return { removals, stdout };
    };
    const remove = { match: "^image rm " };
    // The first is the one of the last deployment.
    const before = { dev: ["localhost/carbon/base:old", "localhost/carbon/base:older"] };

    it("are removed after an up, with a word, but for the one to go back to", async () => {
        const { removals, stdout } = await up(before, remove);
        expect(removals).toEqual(["image rm localhost/carbon/base:older"]);
        expect(stdout).toContain("Removed what this stack no longer needs: localhost/carbon/base:older\n");
    });

    it("stay where another stack holds them, in its state or in a container", async () => {
        const shared = await up({ ...before, other: ["localhost/carbon/base:older"] }, remove);
        expect(shared.removals).toEqual([]);
        const user = madeFrom("localhost/carbon/base:older", "other");
        expect((await up(before, ...running(user), remove)).removals).toEqual([]);
    });

    it("stay without a word where Docker will not remove them", async () => {
        const { removals, stdout } = await up(before, { ...remove, code: 1, stderr: "conflict" });
        expect(removals).toHaveLength(1);
        expect(stdout).not.toContain("no longer needs");
    });
});

describe("drift", () => {
    const all = ["workspace", "postgres", "redis", "mosquitto"].map((name) => container(name));
    const drift = async (answer: Omit<Rule, "match">, args: string[] = []) => {
        const box = sandbox();
        box.install("docker", [...running(...all), ...healthyDocker]);
        box.install("pulumi", [{ match: "^preview ", ...answer }, ...obedientPulumi]);
        return { ...(await box.carbon(["drift", ...args])), commands: box.commands("pulumi") };
    };
    const memory = { memory: { kind: "UPDATE", inputDiff: false } };
    const plan = {
        steps: [
            { op: "same", urn: "urn:a" },
            { op: "refresh", urn: "urn:a" },
            {
                op: "update",
                urn: "urn:pulumi:dev::carbon::docker:index/container:Container::redis-container",
                detailedDiff: { ...memory, "envs[0]": {} },
                oldState: { outputs: { memory: 256 } },
                newState: {
                    inputs: {
                        memory: 512,
                        envs: { "4dabf18193072939515e22adb298388d": "1", ciphertext: "v1" },
                    },
                },
            },
            { op: "delete", urn: "urn:pulumi:dev::carbon::docker:index/volume:Volume::old-volume" },
        ],
        changeSummary: { same: 1, update: 1, delete: 1 },
    };

    it("is none where neither Docker nor the engine sees any", async () => {
        const { exitCode, stdout, commands } = await drift({ stdout: JSON.stringify({ steps: [] }) });
        expect(exitCode).toBe(0);
        expect(stdout).toContain("No drift: the stack dev is what it was deployed as.");
        expect(commands).toContain("preview --json --refresh --stack dev --non-interactive");
    });

    it("is a table of what the engine would change, secrets by name", async () => {
        const { exitCode, stdout } = await drift({ stdout: JSON.stringify(plan) });
        expect(exitCode).toBe(3);
        expect(stdout).toMatch(/What +Property +Expected +Found/);
        expect(stdout).toMatch(/redis-container +memory +512 +256/);
        expect(stdout).toMatch(/redis-container +envs +\[secret\] +-/);
        expect(stdout).toMatch(/old-volume +resource +as deployed +up would delete it/);
        expect(stdout).toContain("Drift: `./carbon up` puts it right.");
    });

    it("is no failure of the engine's", async () => {
        expect(await drift({ code: 255, stderr: "no such thing" })).toMatchObject({
            exitCode: 1,
            stderr: expect.stringContaining("pulumi preview --json failed"),
        });
    });

    it("is a document with --json", async () => {
        const { exitCode, stdout } = await drift({ stdout: JSON.stringify(plan) }, ["--json"]);
        expect(exitCode).toBe(3);
        expect(JSON.parse(stdout)).toMatchObject({
            clean: false,
            changes: { delete: 1 },
            differences: [
                { what: "redis-container", property: "memory", operation: "update" },
                { what: "redis-container", property: "envs", operation: "update" },
                { what: "old-volume", property: "resource", operation: "delete" },
            ],
        });
    });
});

describe("down", () => {
    const volumes = {
        match: "^volume ls ",
        stdout: "carbon-dev-home\ncarbon-dev-keys\ncarbon-dev-postgres\ncarbon-other-home\n",
    };

    it("keeps the volumes, and names them", async () => {
        const box = sandbox();
        box.install("docker", [volumes, ...healthyDocker]);
        box.install("pulumi", obedientPulumi);
        const { exitCode, stdout } = await box.carbon(["down", "--yes"]);
        expect(exitCode).toBe(0);
        expect(stdout).toContain(
            "Kept, with your data: carbon-dev-home, carbon-dev-postgres, carbon-dev-keys (--volumes deletes them)",
        );
        expect(box.commands("pulumi")).toContain(
            "destroy --stack dev --refresh --yes --skip-preview --exclude **random:index/randomPassword:RandomPassword::**",
        );
        expect(box.commands("docker").filter((command) => command.includes(" rm "))).toEqual([]);
    });

    it("deletes the stack's own volumes and images when asked, after the containers", async () => {
        const box = sandbox();
        box.install("docker", [volumes, { match: "^(volume|image) rm " }, ...healthyDocker]);
        box.install("pulumi", obedientPulumi);
        await box.carbon(["down", "--yes", "--volumes", "--images"]);
        const order = box.calls().map(({ args }) => args.join(" "));
        const removals = order.slice(order.findIndex((command) => command.startsWith("destroy ")));
        expect(removals.filter((command) => command.includes(" rm "))).toEqual([
            "volume rm carbon-dev-home carbon-dev-postgres carbon-dev-keys",
            expect.stringMatching(/^image rm localhost\/carbon\/base:[0-9a-f]{12}$/),
        ]);
    });

    it("deletes the images that it was deployed with, but none that another stack has", async () => {
        const box = sandbox();
        box.saveState("dev", [
            "localhost/carbon/base:dev",
            "localhost/carbon/base:0",
            "localhost/carbon/base:1",
        ]);
        box.saveState("other", ["localhost/carbon/base:0"]);
        box.install("docker", [
            { match: "^ps .*carbon.stack=dev" },
            ...running(
                madeFrom("localhost/carbon/base:1@sha256:1", "third"),
                madeFrom("localhost/carbon/base:dev", "dev"),
            ),
            { match: "^image rm " },
            { match: "^image inspect .*/base:[0-9a-f]{12}$", code: 1 },
            ...healthyDocker,
        ]);
        box.install("pulumi", obedientPulumi);
        await box.carbon(["down", "--yes", "--images"]);
        expect(box.commands("docker")).toContain("image rm localhost/carbon/base:dev");
    });

    it("removes what a lost state has left behind", async () => {
        const box = sandbox();
        box.install("docker", [
            ...running(container("redis")),
            { match: "^network ls ", stdout: "carbon-dev\n" },
            { match: "^(rm|network rm) " },
            ...healthyDocker,
        ]);
        box.install("pulumi", [
            { match: "^stack select ", code: 255, stderr: "no stack" },
            ...obedientPulumi,
        ]);
        const { exitCode, stdout } = await box.carbon(["down", "--yes"]);
        expect(exitCode).toBe(0);
        expect(stdout).toContain("Removed: carbon-dev-redis, carbon-dev");
        expect(box.commands("docker")).toEqual(
            expect.arrayContaining(["rm --force id-of-redis", "network rm carbon-dev"]),
        );
    });

    it("takes a Swarm's network that is going by itself for gone", async () => {
        const box = sandbox();
        const stderr = "Error response from daemon: network carbon-dev not found\nexit status 1\n";
        box.install("docker", [
            { match: "^network ls .*label=carbon.stack=dev$", stdout: "carbon-dev\n" },
            { match: "^network rm carbon-dev$", code: 1, stderr },
            ...healthyDocker,
        ]);
        box.install("pulumi", obedientPulumi);
        expect(await box.carbon(["down", "--yes"])).toMatchObject({ exitCode: 0 });
    });

    it("removes what a killed proof of a Swarm's nodes has left, and no other stack's network", async () => {
        const box = sandbox();
        box.install("docker", [
            // Of the stacks dev and dev-proof, and a helper's.
            {
                match: "^network ls .*label=carbon.helper=dev$",
                stdout: "proof-carbon-dev\ncarbon-dev-proof\n",
            },
            { match: "^(rm|service rm|network rm) " },
            ...healthyDocker,
        ]);
        box.install("pulumi", obedientPulumi);
        const { stdout } = await box.carbon(["down", "--yes"]);
        expect(stdout).toMatch(/^Removed: proof-carbon-dev$/m);
        expect(box.commands("docker").filter((command) => /\brm\b/.test(command))).toEqual([
            "service rm proof-carbon-dev",
            "rm --force proof-carbon-dev",
            "network rm proof-carbon-dev",
        ]);
    });

    it("works with settings that are broken", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", obedientPulumi);
        box.configure({ memory: 1 });
        expect(await box.carbon(["down", "--yes"])).toMatchObject({ exitCode: 0 });
    });
});
