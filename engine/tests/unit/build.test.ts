import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { BuildProgress } from "../../src/drivers/build-progress";
import { buildImage, buildxArguments } from "../../src/drivers/buildx";
import type { Context } from "../../src/drivers/driver";
import { generatePassword } from "../../src/drivers/random";

function read(lines: string[]): { told: string[]; failure: string } {
    const told: string[] = [];
    const progress = new BuildProgress((line) => told.push(line));
    for (const line of lines) {
        progress.read(line);
    }
    progress.close();
    return { told, failure: progress.failure() };
}

describe("a build's output", () => {
    it("becomes one line for each step that ended", () => {
        const { told } = read([
            "#0 building with default",
            "#1 [internal] load build definition",
            "#1 DONE 0.0s",
            "#5 [1/2] FROM docker.io/library/debian",
            "#5 CACHED",
            "#6 [2/2] RUN make",
            "#6 0.123 compiling",
            "#6 DONE 3.0s",
        ]);
        expect(told).toEqual(["[1/2] FROM docker.io/library/debian (cached)", "[2/2] RUN make 0s"]);
    });

    it("names a step by its instruction, in one line and without its mounts", () => {
        const { told } = read([
            "#7 [base  4/19] RUN --mount=type=bind,source=a,target=/b     --mount=type=secret,id=ca     /build/install desktop",
            "#7 CACHED",
            `#8 [base 5/19] RUN ${"x".repeat(200)}`,
            "#8 CACHED",
        ]);
        expect(told[0]).toBe("[base 4/19] RUN /build/install desktop (cached)");
        expect(told[1]).toHaveLength(90 + "… (cached)".length);
    });

    it("tells every ten seconds what a step said last, and nothing for one that is silent", () => {
        vi.useFakeTimers();
        const told: string[] = [];
        const progress = new BuildProgress((line) => told.push(line));
        const header = "#6 [2/3] RUN --mount=type=secret,id=ca make";
        // buildx turns to another step with dots, and back with the step's own instruction.
        for (const line of [header, "#6 ...", "#7 [3/3] RUN test", "#7 0.1 testing", "#7 ...", header]) {
            progress.read(line);
        }
        vi.advanceTimersByTime(10_000);
        progress.close();
        vi.useRealTimers();
        expect(told).toEqual([
            "[2/3] RUN make still running, 10s",
            "[3/3] RUN test still running, 10s: testing",
        ]);
    });

    it("of a failure is the step, the end of what it said, and its exit code", () => {
        const said = Array.from({ length: 40 }, (_, i) => `#6 0.1 line ${i}`);
        const { failure } = read([
            "#6 [2/2] RUN make",
            ...said,
            "#6 ERROR: process did not complete: exit code: 2",
        ]);
        const lines = failure.split("\n");
        expect(lines).toHaveLength(32);
        expect([lines[0], lines.at(-2), lines.at(-1)]).toEqual(["[2/2] RUN make", "line 39", "exit code: 2"]);
    });

    it("without a failed step is what buildx itself said", () => {
        expect(read(["ERROR: no builder"]).failure).toBe("ERROR: no builder");
    });
});

describe("the arguments of buildx", () => {
    it("carry everything that the inputs ask for, the context last", () => {
        const args = buildxArguments({
            context: { location: "." },
            dockerfile: { location: "d/Dockerfile" },
            builder: { name: "default" },
            buildArgs: { A: "1" },
            labels: { l: "v" },
            cacheFrom: [{ disabled: false, raw: "", registry: { ref: "host/cache:a" } }],
            cacheTo: [{ registry: { ref: "host/cache:a", mode: "max", ociMediaTypes: true } }],
            platforms: ["linux/amd64", "linux/arm64"],
            tags: ["host/name:tag"],
            target: "stage",
            network: "default",
            push: true,
            exports: [
                { cacheonly: {} },
                {
                    image: {
                        names: ["host/name:tag"],
                        compression: "zstd",
                        compressionLevel: 3,
                        forceCompression: false,
                        ociMediaTypes: true,
                        store: true,
                    },
                },
            ],
        });
        expect(args.join(" ")).toBe(
            "--builder default --build-arg A=1 --cache-from type=registry,ref=host/cache:a " +
                "--cache-to type=registry,mode=max,ref=host/cache:a --output type=cacheonly --output type=image,store=true,oci-mediatypes=true,compression=zstd," +
                "compression-level=3,force-compression=false,name=host/name:tag --output type=registry --label l=v " +
                "--network default --platform linux/amd64 --platform linux/arm64 --tag host/name:tag --target stage " +
                "--file d/Dockerfile .",
        );
    });
});

describe("a generated password", () => {
    it("has its length and only the classes that are on", () => {
        expect(generatePassword({ length: 200, special: false, upper: false })).toMatch(/^[a-z0-9]{200}$/);
    });

    it("is refused without any letters", () => {
        const none = { length: 8, lower: false, upper: false, numeric: false, special: false };
        expect(() => generatePassword(none)).toThrow("letters of one kind");
    });
});

describe("a build that BuildKit loses track of", () => {
    /** Builds with a docker that says `said` and ends with 1 the first `times` times, and then succeeds. */
    const build = async (said: string, times: number) => {
        const folder = mkdtempSync(join(tmpdir(), "engine-buildx-"));
        const script = `#!/bin/sh
echo run >>"${folder}/runs"
if [ "$(wc -l <"${folder}/runs")" -le ${times} ]; then
    echo '${said}' >&2
    exit 1
fi
while [ "$1" != --metadata-file ]; do shift; done
echo '{"containerimage.digest": "sha256:abc"}' >"$2"
`;
        writeFileSync(join(folder, "docker"), script, { mode: 0o755 });
        const told: string[] = [];
        const context = {
            name: "image",
            projectDir: folder,
            env: { PATH: `${folder}:${process.env.PATH}` },
            progress: (line: string) => told.push(line),
        } as Partial<Context> as Context;
        const result = await buildImage(inputs, context).catch((error: Error) => error.message);
        const runs = readFileSync(join(folder, "runs"), "utf8").trim().split("\n").length;
        rmSync(folder, { recursive: true });
        return { result, runs, told };
    };
    const inputs = { context: { location: "." }, dockerfile: { location: "Dockerfile" } };
    const lost = "ERROR: failed to solve: failed to get state for index 0 on [tools 3/3] COPY x";

    it("is run once more, and says so", async () => {
        const { result, runs, told } = await build(lost, 1);
        expect([result, runs]).toEqual(["sha256:abc", 2]);
        expect(told).toContain("BuildKit lost track of a step that two builds share; it goes on from there.");
    });

    it("is not run a third time, and one that fails otherwise not a second", async () => {
        expect(await build(lost, 2)).toMatchObject({ runs: 2, result: expect.stringContaining(lost) });
        expect(await build("ERROR: failed to solve: exit code: 1", 1)).toMatchObject({ runs: 1 });
    });
});
