import { readFileSync } from "node:fs";
import type Docker from "dockerode";
import { execaSync } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CUDA_LOCK, inputFile, LLAMA_LOCK, lockFile, parseLock, TOOLSETS } from "../../scripts/lock";
import { exec, logs, removeAll, run, secrets, untilHealthy } from "./base-container";
import { baseImage, readImageJson } from "./base-image";
import {
    type ComputeWorkspace,
    computeImage,
    type PythonCheck,
    pythonChecks,
    startWorkspace,
} from "./compute-image";
import { executeNotebook, plainText } from "./jupyter";

const PYTHON = "/opt/carbon/venv/bin/python";
const USERS_ENVIRONMENT = "/home/carbon/.local/share/carbon/python";

const image = computeImage();
const imageJson = readImageJson(image);
const { toolsets } = imageJson;
const [hasTorch, hasTensorflow, hasSpark, hasCodeServer, hasR] = [
    "torch",
    "tensorflow",
    "spark",
    "codeServer",
    "r",
].map((name) => toolsets.includes(name));
const torchIndex = hasTorch ? readFromImage("/etc/carbon/torch-index") : undefined;
const machine = imageJson.platform === "linux/arm64" ? "aarch64" : "x86_64";

let lab: ComputeWorkspace;
let workspace: Docker.Container;
let jupyter: string;

beforeAll(async () => {
    lab = await startWorkspace({ image });
    workspace = lab.container;
    jupyter = lab.address;
});
afterAll(removeAll);

function readFromImage(path: string): string {
    return execaSync("docker", ["run", "--rm", image, "cat", path]).stdout.trim();
}

/** Runs one of the Python checks as the user, and returns the JSON that it ended with. */
async function ask(check: PythonCheck, input: unknown = null): Promise<unknown> {
    const output = await run(workspace, [PYTHON, "-c", pythonChecks[check], JSON.stringify(input)], "carbon");
    return JSON.parse(output.split("\n").at(-1) ?? "");
}

/** The toolsets whose locks make up this image's environment. */
function toolsetLocks(): string[] {
    return TOOLSETS.filter((name) => name === "core" || toolsets.includes(name));
}

/** {name: version} of what the locks put into this image. */
function lockedVersions(): Record<string, string> {
    const pins = (lock: string) => parseLock(readFileSync(lockFile(lock), "utf8"));
    const fromCpuIndex = ["torch", "torchvision"];
    const cuda = pins(CUDA_LOCK).filter(({ name }) => torchIndex !== "cpu" || fromCpuIndex.includes(name));
    const llama = toolsets.includes("llm") ? pins(LLAMA_LOCK) : [];
    const all = [...toolsetLocks().flatMap(pins), ...(hasTorch ? cuda : []), ...llama];
    const here = all.filter((pin) => !pin.machine || pin.machine === machine);
    return Object.fromEntries(here.map(({ name, version }) => [name, version]));
}

describe("the image", () => {
    it("says in image.json that it is compute, with the base's toolsets among its own", () => {
        expect(imageJson.image).toBe("compute");
        expect(new Set(toolsets).size).toBe(toolsets.length);
        if (!process.env.CARBON_TEST_COMPUTE_IMAGE) {
            expect(toolsets).toEqual(readImageJson(baseImage()).toolsets);
        }
    });

    it("has the packages of its locks in the locked versions, and no others", async () => {
        const installed = (await ask("installed")) as Record<string, string>;
        // PyTorch's CPU index marks its builds: 2.15.0+cpu.
        const versions = Object.entries(installed).map(([name, version]) => [
            name,
            version.replace(/\+cpu$/, ""),
        ]);
        expect(Object.fromEntries(versions)).toEqual(lockedVersions());
    });

    it("has every package that its packages require", async () => {
        await run(workspace, [PYTHON, "-m", "pip", "check"], "carbon");
    });

    it("imports every package that the toolsets ask for", async () => {
        const inputs = toolsetLocks().map((name) => readFileSync(inputFile(name), "utf8"));
        const asked = inputs.flatMap((text) => text.match(/^[a-z0-9][\w.-]*/gim) ?? []);
        const installed = (await ask("installed")) as Record<string, string>;
        // Their parts for the browser are all they have (tests/image/notebooks.test.ts); as packages they are broken.
        const forBrowser = ["jupyterlab-execute-time", "jupyterlab-horizon-theme", "jupyterlab-unfold"];
        const here = asked.filter((name) => name in installed && !forBrowser.includes(name));
        expect(here.length).toBeGreaterThan(10);
        expect(await ask("importAll", here)).toEqual({});
    });

    it("leaves a toolset that is off out", async () => {
        const exists = async (path: string) => (await exec(workspace, ["test", "-e", path])).code === 0;
        expect(await exists("/opt/carbon/code-server")).toBe(hasCodeServer);
        expect(await exists("/etc/carbon/services/code-server")).toBe(hasCodeServer);
        expect(await exists("/etc/carbon/torch-index")).toBe(hasTorch);
    });

    it("keeps the environment the image's, and what carbon installs in the home volume", async () => {
        await run(workspace, ["mkdir", "-p", "/tmp/wheels"], "carbon");
        const wheel = (await ask("makeWheel", "/tmp/wheels")) as string;
        await run(workspace, ["/opt/carbon/venv/bin/pip", "install", "--no-index", wheel], "carbon");
        const find = "import carbon_test_package as package; print(package.answer, package.__file__)";
        const found = await run(workspace, [PYTHON, "-c", find], "carbon");
        expect(found).toBe(`42 ${USERS_ENVIRONMENT}/lib/python3.13/site-packages/carbon_test_package.py`);
    });
});

describe.runIf(hasTorch)("torch", () => {
    it("multiplies as NumPy does", async () => {
        expect(await ask("torchError")).toBeLessThan(1e-3);
    });

    it("has the CUDA libraries if, and only if, torch-index says that it comes from PyPI", async () => {
        const installed = Object.keys((await ask("installed")) as Record<string, string>);
        expect(["cpu", "pypi-cuda", "cuda"]).toContain(torchIndex);
        expect(installed.some((name) => name.startsWith("nvidia-"))).toBe(torchIndex !== "cpu");
        expect(installed).not.toContain("triton");
    });
});

it.runIf(hasTensorflow)("TensorFlow multiplies as NumPy does", async () => {
    expect(await ask("tensorflowError")).toBeLessThan(1e-3);
});

it.runIf(hasSpark)("a Spark job runs in the container, and pandas reads its result", async () => {
    expect(await ask("sparkRows")).toEqual([34, 33, 33]);
});

describe("JupyterLab", () => {
    const token = { Authorization: `token ${secrets.jupyter}` };

    it("opens with the token in the address, and not with another", async () => {
        const status = async (value: string) =>
            (await fetch(`${jupyter}/api/contents?token=${value}`)).status;
        expect(await status(secrets.jupyter)).toBe(200);
        expect(await status("WrongTokenWrongTokenWr24")).toBe(403);
        expect((await fetch(`${jupyter}/api/contents`)).status).toBe(403);
    });

    it("opens with the token typed into the login form, and not with another", async () => {
        expect(await logIn(secrets.jupyter)).toBe(302);
        expect(await logIn("WrongTokenWrongTokenWr24")).toBe(401);
    });

    async function logIn(password: string): Promise<number> {
        const form = await fetch(`${jupyter}/login`);
        const cookies = form.headers.getSetCookie().map((cookie) => cookie.split(";")[0] ?? "");
        const xsrf = cookies.find((cookie) => cookie.startsWith("_xsrf="))?.slice("_xsrf=".length) ?? "";
        const answer = await fetch(`${jupyter}/login`, {
            method: "POST",
            redirect: "manual",
            headers: { Cookie: cookies.join("; ") },
            body: new URLSearchParams({ _xsrf: xsrf, password }),
        });
        return answer.status;
    }

    it("works on /workspace, where what it saves is the user's", async () => {
        const body = JSON.stringify({ type: "file", format: "text", content: "saved\n" });
        const saved = await fetch(`${jupyter}/api/contents/saved.txt`, {
            method: "PUT",
            headers: token,
            body,
        });
        expect(saved.status).toBe(201);
        expect(await run(workspace, ["stat", "--format=%U", "/workspace/saved.txt"])).toBe("carbon");
        expect(await run(workspace, ["cat", "/workspace/saved.txt"])).toBe("saved");
    });

    it("offers the environment's Python, and R where the base has it", async () => {
        const response = await fetch(`${jupyter}/api/kernelspecs`, { headers: token });
        const { default: first, kernelspecs } = await response.json();
        expect(first).toBe("python3");
        expect(kernelspecs.python3.spec.display_name).toBe("Python 3 (Carbon)");
        expect("ir" in kernelspecs).toBe(hasR);
    });

    it("runs a cell in a kernel of its own", async () => {
        expect(await ask("serverKernel", "import sys; print(sys.prefix)")).toBe(`${USERS_ENVIRONMENT}\n`);
    });

    it("runs a notebook, plot and all", async () => {
        const outputs = await executeNotebook(lab, "python3", [
            "import sys; print(sys.prefix)",
            "%matplotlib inline\nimport matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()",
        ]);
        expect(plainText(outputs[0])).toBe(USERS_ENVIRONMENT);
        expect(outputs[1]?.data?.["image/png"]).toBeTruthy();
    });

    it.runIf(hasR)("runs an R notebook", async () => {
        const [output] = await executeNotebook(lab, "ir", ["cat(sum(1:10))"]);
        expect(plainText(output)).toBe("55");
    });

    it("is healthy as long as it answers, and named when it does not", async () => {
        const server = ["pgrep", "--full", "/opt/carbon/venv/bin/jupyter-lab"];
        const pid = await run(workspace, server);
        await run(workspace, ["kill", "-STOP", pid]);
        const ill = await exec(workspace, ["carbon-health"]);
        await run(workspace, ["kill", "-CONT", pid]);
        expect(ill).toMatchObject({ code: 1, output: expect.stringContaining("jupyter is ill") });
        await untilHealthy(workspace);
    });
});

describe.runIf(hasCodeServer)("code-server", () => {
    async function logIn(address: string, password: string): Promise<Response> {
        const body = new URLSearchParams({ password, base: ".", href: `${address}/login` });
        return fetch(`${address}/login`, { method: "POST", redirect: "manual", body });
    }

    it("opens with the password, and not with another", async () => {
        const address = lab.codeServer;
        const right = await logIn(address, secrets["code-server"]);
        expect(right.status).toBe(302);
        const cookie = right.headers.getSetCookie()[0]?.split(";")[0] ?? "";
        const page = await fetch(`${address}/?folder=/workspace`, { headers: { Cookie: cookie } });
        expect(await page.text()).toContain("vscode-workbench-web-configuration");

        const wrong = await logIn(address, "WrongPasswordWrongPass24");
        expect(wrong.status).toBe(200);
        expect(await wrong.text()).toContain("Incorrect password");
        expect((await fetch(`${address}/`, { redirect: "manual" })).status).toBe(302);
    });

    it("holds programs of this platform only, and nothing that a compiler left", async () => {
        expect(await ask("foreignBinaries")).toEqual([]);
    });

    it("loads its native modules", async () => {
        const root = "/opt/carbon/code-server/node_modules/code-server";
        const modules = ["@parcel/watcher", "@vscode/spdlog", "@vscode/sqlite3", "kerberos", "node-pty"];
        const load = modules.map((name) => `require("${root}/lib/vscode/node_modules/${name}")`).join(";");
        await run(workspace, [`${root}/lib/node`, "-e", `${load}; require("${root}/../argon2")`], "carbon");
    });
});

describe("secrets", () => {
    const values = Object.values(secrets);

    it("are in no process's arguments or environment", async () => {
        // A process's environment is readable to its own user alone: root lacks the capability in a container.
        const everything = "for f in /proc/[0-9]*/cmdline /proc/[0-9]*/environ; do cat $f 2>&1; done";
        for (const user of ["root", "carbon"]) {
            const { output } = await exec(workspace, ["sh", "-c", everything], user);
            expect(output).toContain("jupyter-lab");
            expect(values.filter((value) => output.includes(value))).toEqual([]);
        }
    });

    it("are in no log, nor is anything that needs attention", async () => {
        const { container: fresh } = await startWorkspace({ image });
        const hello = ["-c", pythonChecks.serverKernel, JSON.stringify("print('hello')")];
        expect(await run(fresh, [PYTHON, ...hello], "carbon")).toContain("hello");
        // Jupyter Server means milliseconds where Tornado reads seconds: said once, without effect.
        const text = (await logs(fresh)).replaceAll(/^.*websocket_ping_timeout.*$/gm, "");
        expect(values.filter((value) => text.includes(value))).toEqual([]);
        // "~/.xsession-errors" is the name of a file.
        expect(text).not.toMatch(/warn|(?<!xsession-)error|traceback|deprecat|\[[WEC] /i);
    });
});

describe("with TLS on", () => {
    it("Jupyter and code-server answer over TLS, and not without", async () => {
        const { address, codeServer } = await startWorkspace({ image, stack: { tls: true } });
        for (const url of [`${address}/api`, ...(hasCodeServer ? [`${codeServer}/healthz`] : [])]) {
            const status = (scheme: string) => {
                const args = [
                    "--insecure",
                    "--silent",
                    "--output",
                    "/dev/null",
                    "--write-out",
                    "%{http_code}",
                ];
                return execaSync("curl", [...args, url.replace(/^https/, scheme)], { reject: false }).stdout;
            };
            expect(status("https")).toBe("200");
            // code-server sends a plain request on to https; Jupyter does not answer it at all.
            expect(["000", "302", "307"]).toContain(status("http"));
        }
    });
});
