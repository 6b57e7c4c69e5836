import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
    exec,
    hostPort,
    logs,
    makeVolume,
    remove,
    removeAll,
    run,
    secrets,
    ssh,
    untilHealthy,
} from "../image/base-container";
import { readImageJson } from "../image/base-image";
import { type ComputeWorkspace, computeImage, pythonChecks, startWorkspace } from "../image/compute-image";
import { executeNotebook, plainText } from "../image/jupyter";
import { makeWheel } from "../image/wheels";
import { makeVsix } from "../vsix";

const image = computeImage();
const { toolsets } = readImageJson(image);
const environment = "/home/carbon/.local/share/carbon/python";
const packages = `${environment}/lib/python3.13/site-packages`;

const folder = mkdtempSync(join(tmpdir(), "carbon-packages-"));
const offline = "--no-index --find-links /packages";
let home: string;
let lab: ComputeWorkspace;

beforeAll(async () => {
    chmodSync(folder, 0o755);
    makePackages();
    home = await makeVolume();
    lab = await start();
});
afterAll(async () => {
    await removeAll();
    rmSync(folder, { recursive: true });
});

/** A new workspace with the same home volume, as after a new image. */
function start(): Promise<ComputeWorkspace> {
    return startWorkspace({ image, binds: [`${home}:/home/carbon`, `${folder}:/packages:ro`] });
}

/** What `docker exec -u carbon` prints, without a shell that would set anything up. */
const carbon = (...command: string[]) => run(lab.container, command, "carbon");
const shell = (command: string) => carbon("sh", "-c", command);
const python = (code: string) => carbon("python", "-c", code);

function write(path: string, text: string): void {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
}

function makePackages(): void {
    for (const version of ["1.0", "2.0"]) {
        makeWheel(folder, {
            name: "carbon-cow",
            version,
            files: { "carbon_cow.py": `def main():\n    print("moo ${version}")\n` },
            programs: ["carbon-cow = carbon_cow:main"],
        });
    }
    // Another version of what the image has.
    makeWheel(folder, { name: "cycler", version: "99.0", files: { "cycler.py": "__version__ = '99.0'\n" } });
    // Of use only on top of the image's packages: the index here has none of them.
    makeWheel(folder, {
        name: "carbon-herd",
        version: "1.0",
        files: { "carbon_herd.py": "import numpy\n" },
        requires: ["numpy", "carbon-cow"],
    });
    makeWheel(folder, {
        name: "carbon-lab-extension",
        version: "1.0",
        files: {
            "carbon_lab_extension.py": `
from jupyter_server.base.handlers import JupyterHandler

class Moo(JupyterHandler):
    def get(self):
        self.finish("moo from the server")

def _jupyter_server_extension_points():
    return [{"module": "carbon_lab_extension"}]

def _load_jupyter_server_extension(server):
    server.web_app.add_handlers(".*$", [("/carbon-moo", Moo)])
`,
        },
        data: {
            "etc/jupyter/jupyter_server_config.d/carbon_lab_extension.json":
                '{"ServerApp": {"jpserver_extensions": {"carbon_lab_extension": true}}}',
            "share/jupyter/labextensions/carbon-lab-extension/package.json":
                '{"name": "carbon-lab-extension", "version": "1.0.0", "jupyterlab": {"_build": {"load": "static/remote.js"}}}',
        },
    });
    // JupyterLab and its kernels do not start with this one.
    makeWheel(folder, {
        name: "tornado",
        version: "4.0",
        files: { "tornado/__init__.py": "from collections import MutableMapping\n" },
    });
    write("project/pyproject.toml", '[project]\nname = "carbon-project"\nversion = "1.0"\n');
    write("project/carbon_project.py", "answer = 42\n");
    write("requirements.txt", "carbon-cow==1.0\nnumpy\n");
    write("npm/package.json", '{"name": "carbon-npm", "version": "1.0.0", "bin": {"carbon-npm": "run.js"}}');
    write("npm/run.js", '#!/usr/bin/env node\nconsole.log("moo from npm");\n');
    write(
        "pnpm/package.json",
        '{"name": "carbon-pnpm", "version": "1.0.0", "bin": {"carbon-pnpm": "run.js"}}',
    );
    write("pnpm/run.js", '#!/usr/bin/env node\nconsole.log("moo from pnpm");\n');
    write(
        "r/DESCRIPTION",
        "Package: carbontest\nVersion: 1.0\nTitle: T\nDescription: D.\nAuthor: A\nMaintainer: A <a@b.c>\nLicense: MIT\n",
    );
    write("r/NAMESPACE", "export(answer)\n");
    write("r/R/answer.R", "answer <- function() 42\n");
    write("cargo/Cargo.toml", '[package]\nname = "carbon-crab"\nversion = "0.1.0"\nedition = "2021"\n');
    write("cargo/src/main.rs", 'fn main() { println!("moo from cargo"); }\n');
    write("go/go.mod", "module carbongopher\ngo 1.24\n");
    write("go/main.go", 'package main\nimport "fmt"\nfunc main() { fmt.Println("moo from go") }\n');
    write("deno.ts", 'console.log("moo from deno");\n');
    write(
        "deb/DEBIAN/control",
        "Package: carbon-deb\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: D\n",
    );
    write("deb/usr/lib/python3/dist-packages/carbon_deb.py", "answer = 42\n");
    makeVsix(folder, "carbon-test.of-packages", "1.0.0", { "main.js": "exports.activate = () => {};\n" });
}

/** What a program prints by every way into the workspace. */
async function everywhere(program: string): Promise<Record<string, string>> {
    const inNotebook = JSON.stringify(
        `import subprocess; print(subprocess.check_output("${program}", text=True))`,
    );
    const kernel = await carbon("/opt/carbon/venv/bin/python", "-c", pythonChecks.serverKernel, inNotebook);
    const port = await hostPort(lab.container, 2222);
    // What a terminal of code-server's starts with: its own environment, and zsh.
    const codeServer = `env -i $(tr '\\0' '\\n' < /proc/$(pgrep --full out/node/entry.js | head -1)/environ | grep '^PATH=') ${program}`;
    return {
        exec: await carbon(...program.split(" ")),
        login: await carbon("bash", "-lc", program),
        zsh: await carbon("zsh", "-ic", program),
        ssh: await ssh(port, "carbon", secrets.ssh, program),
        notebook: JSON.parse(kernel.split("\n").at(-1) ?? "").trim(),
        ...(toolsets.includes("codeServer") && { codeServer: await shell(codeServer) }),
    };
}

/** That a program prints `text`, whichever way it is started. */
async function expectEverywhere(program: string, text: string): Promise<void> {
    const printed = await everywhere(program);
    expect(printed).toEqual(Object.fromEntries(Object.keys(printed).map((way) => [way, text])));
}

describe("pip", () => {
    const version = `python -c 'import importlib.metadata; print(importlib.metadata.version("cycler"))'`;
    const records = (name: string) => shell(`ls -d ${packages}/${name}-*.dist-info | wc -l`);

    it("installs programs that are found by every way in, upgrades and removes them", async () => {
        await shell(`pip install ${offline} carbon-cow==1.0`);
        await expectEverywhere("carbon-cow", "moo 1.0");
        await shell(`pip install ${offline} --upgrade carbon-cow`);
        expect(await carbon("carbon-cow")).toBe("moo 2.0");
        expect(await records("carbon_cow")).toBe("1");
        // The last package in the environment, which stays where packages go.
        await shell("pip uninstall --yes carbon-cow");
        expect(await shell(`ls ${packages}`)).toBe("README");
        expect(await exec(lab.container, ["python", "-c", "import carbon_cow"], "carbon")).toMatchObject({
            code: 1,
            output: expect.stringContaining("No module named 'carbon_cow'"),
        });
    });

    it("installs another version than the image's, which wins, and whose removal shows the image's again", async () => {
        const before = await shell(version);
        await shell(`pip install ${offline} cycler==99.0`);
        expect(await shell(version)).toBe("99.0");
        // The image's programs see it as well.
        expect(await carbon("ipython", "-c", "import cycler; print(cycler.__version__)")).toBe("99.0");
        await shell("pip uninstall --yes cycler");
        expect(await shell(version)).toBe(before);
    });

    it.each([
        ["--user carbon-cow==1.0", "moo 1.0"],
        ["-r /packages/requirements.txt", "moo 1.0"],
    ])("takes %s", async (what, printed) => {
        await shell(`pip install ${offline} ${what}`);
        expect(await carbon("carbon-cow")).toBe(printed);
        await shell("pip uninstall --yes carbon-cow");
    });

    // setuptools, which builds it, comes with TensorFlow.
    it.runIf(toolsets.includes("tensorflow"))("takes a folder as it is worked on", async () => {
        await shell(
            "cp -r /packages/project /tmp/project && pip install --no-build-isolation -e /tmp/project",
        );
        expect(await shell("cd / && python -c 'import carbon_project; print(carbon_project.__file__)'")).toBe(
            "/tmp/project/carbon_project.py",
        );
        await shell("pip uninstall --yes carbon-project");
    });

    it("works in a notebook, by either sign", async () => {
        const outputs = await executeNotebook(lab, "python3", [
            `%pip install --quiet ${offline} carbon-cow==1.0`,
            "!carbon-cow",
            "!pip uninstall --quiet --yes carbon-cow; which carbon-cow || echo gone",
        ]);
        expect([1, 2].map((cell) => plainText(outputs[cell]))).toEqual(["moo 1.0", "gone"]);
    });

    it("finds what an older image's pip has put into the home", async () => {
        const old = "/home/carbon/.local/lib/python3.13/site-packages";
        await shell(`mkdir -p ${old} && echo 'answer = 42' > ${old}/carbon_older.py`);
        expect(await python("import carbon_older; print(carbon_older.answer)")).toBe("42");
    });

    it("as root neither runs nor changes what is carbon's", async () => {
        const seen = await run(lab.container, ["python", "-c", "import sys; print(sys.prefix, sys.path)"]);
        expect(seen).toContain("/opt/carbon/venv ");
        expect(seen).not.toContain("/home");
        const first = await run(lab.container, ["bash", "-lc", "echo $PATH"]);
        expect(first).toMatch(/^\/opt\/carbon\/bin:/);
        expect(first).not.toContain("/home/");
    });
});

describe.runIf(toolsets.includes("python"))("uv pip", () => {
    it("counts the image's packages as installed, and replaces or removes what is carbon's alone", async () => {
        const install = (what: string) => shell(`cd /tmp && uv pip install ${offline} ${what} 2>&1`);
        const printed = await install("carbon-herd");
        expect(printed).toContain("+ carbon-cow==2.0");
        expect(printed).not.toContain("numpy");
        await install("cycler==99.0");
        expect(await python("import cycler; print(cycler.__version__)")).toBe("99.0");
        // What it was lent is gone: pip still knows what is the image's.
        expect(await shell(`ls ${packages} | grep -c dist-info`)).toBe("3");
        await shell("cd /tmp && uv pip uninstall cycler carbon-herd carbon-cow");
        expect(await python("import cycler; print(cycler.__version__)")).not.toBe("99.0");
    });

    it("leaves a project's own environment to uv", async () => {
        await shell(
            "mkdir /tmp/uv && cd /tmp/uv && uv venv && uv pip install --no-index /packages/carbon_cow-1.0-py3-none-any.whl",
        );
        expect(await shell("/tmp/uv/.venv/bin/carbon-cow")).toBe("moo 1.0");
        expect((await exec(lab.container, ["carbon-cow"], "carbon")).code).not.toBe(0);
    });
});

it.runIf(toolsets.includes("python"))(
    "a project's own environment, on top of what `python` has",
    async () => {
        await shell(`pip install ${offline} cycler==99.0`);
        const project = "/tmp/on-top/.venv";
        await shell(
            `mkdir /tmp/on-top && cd /tmp/on-top && python -m venv --system-site-packages .venv && . .venv/bin/activate && pip install ${offline} -r /packages/requirements.txt`,
        );
        expect(await shell(`${project}/bin/carbon-cow`)).toBe("moo 1.0");
        const seen = "import cycler, numpy; print(cycler.__version__, numpy.__file__)";
        expect(await carbon(`${project}/bin/python`, "-c", seen)).toBe(
            "99.0 /opt/carbon/venv/lib/python3.13/site-packages/numpy/__init__.py",
        );
        await shell("pip uninstall --yes cycler");
    },
);

it("apt leaves Debian and Python whole, and python finds what it brings", async () => {
    await shell(
        "cp -r /packages/deb /tmp/deb && chmod -R u=rwX,go=rX /tmp/deb && dpkg-deb --root-owner-group --build /tmp/deb /tmp/carbon-deb.deb",
    );
    await shell(
        `echo ${secrets.ssh} | sudo --stdin --prompt= apt-get install --yes --no-install-recommends /tmp/carbon-deb.deb`,
    );
    expect(await python("import carbon_deb; print(carbon_deb.answer)")).toBe("42");
    expect(
        await run(lab.container, ["sh", "-c", "dpkg --audit; dpkg --verify; apt-get --quiet=2 check"]),
    ).toBe("");
});

/** Of each language's installer: what is typed, and the program that it brings. */
const installers = [
    {
        toolset: "node",
        install: "cd /tmp && npm pack /packages/npm && npm install --global ./carbon-npm-1.0.0.tgz",
        program: "carbon-npm",
        printed: "moo from npm",
    },
    {
        toolset: "node",
        install: "cd /tmp && npm pack /packages/pnpm && pnpm add --global /tmp/carbon-pnpm-1.0.0.tgz",
        program: "carbon-pnpm",
        printed: "moo from pnpm",
    },
    {
        toolset: "r",
        install: `Rscript -e 'install.packages("/packages/r", repos = NULL, type = "source")'`,
        program: "Rscript -e cat(carbontest::answer())",
        printed: "42",
    },
    {
        toolset: "rust",
        install: "cp -r /packages/cargo /tmp/cargo && cargo install --offline --path /tmp/cargo",
        program: "carbon-crab",
        printed: "moo from cargo",
    },
    {
        toolset: "go",
        install: "cd /packages/go && go install .",
        program: "carbongopher",
        printed: "moo from go",
    },
    {
        toolset: "notebooks",
        install: "deno install --global --name carbon-deno /packages/deno.ts",
        program: "carbon-deno",
        printed: "moo from deno",
    },
    {
        toolset: "python",
        install:
            "PIP_NO_INDEX=1 PIP_FIND_LINKS=/usr/share/python-wheels pipx install /packages/carbon_cow-1.0-py3-none-any.whl",
        program: "carbon-cow",
        printed: "moo 1.0",
    },
].filter(({ toolset }) => toolsets.includes(toolset));

describe("after a new container with the same home", () => {
    const kernels = { mine: "--user", prefixed: "--sys-prefix", placed: `--prefix ${environment}` };

    beforeAll(async () => {
        for (const { install } of installers) {
            await shell(install);
        }
        await shell(`pip install ${offline} carbon-lab-extension`);
        for (const [name, where] of Object.entries(kernels)) {
            await shell(`python -m ipykernel install --name ${name} ${where}`);
        }
        if (toolsets.includes("codeServer")) {
            await shell("code-server --install-extension /packages/carbon-test.of-packages-1.0.0.vsix");
        }
        await remove(lab.container);
        lab = await start();
    }, 300_000);

    it.each(installers)("`$install` is still there", async ({ program, printed }) => {
        expect(await carbon(...program.split(" "))).toBe(printed);
    });

    it.runIf(installers.length > 0)("so are its programs by every other way in", async () => {
        const plain = installers.filter(({ program }) => !program.includes(" "));
        const script = plain.map(({ program }) => program).join("\n");
        await shell(`cd ~/.local/bin && echo '#!/bin/sh\n${script}' > carbon-all && chmod +x carbon-all`);
        const printed = await everywhere("carbon-all");
        const { exec: _, notebook: __, ...rest } = printed;
        for (const way of Object.values(rest)) {
            expect(way.split("\n")).toEqual(plain.map(({ printed }) => printed));
        }
    });

    it("JupyterLab has the extension, server half and all, and the kernels", async () => {
        const token = { Authorization: `token ${lab.token}` };
        const moo = await fetch(`${lab.address}/carbon-moo`, { headers: token });
        expect([moo.status, await moo.text()]).toEqual([200, "moo from the server"]);
        const page = await (await fetch(`${lab.address}/lab`, { headers: token })).text();
        expect(page).toContain("carbon-lab-extension");
        const { kernelspecs } = await (
            await fetch(`${lab.address}/api/kernelspecs`, { headers: token })
        ).json();
        expect(Object.keys(kernelspecs)).toEqual(expect.arrayContaining(Object.keys(kernels)));
        const [output] = await executeNotebook(lab, "prefixed", ["import sys; print(sys.prefix)"]);
        expect(plainText(output)).toBe(environment);
    });

    it.runIf(toolsets.includes("codeServer"))("code-server has its extension", async () => {
        expect(await shell("code-server --list-extensions")).toContain("carbon-test.of-packages");
    });
});

describe("what a user breaks", () => {
    const restart = async () => {
        await lab.container.restart({ t: 10 });
        await untilHealthy(lab.container, 120);
    };
    const verify = () => exec(lab.container, ["carbon-verify", "--only", "platform,jupyter"]);

    it("JupyterLab and its kernels run with the image's packages where they do not start with the user's", async () => {
        await shell(`pip install ${offline} tornado==4.0`);
        await restart();
        expect(await logs(lab.container)).toContain(
            "JupyterLab did not start with the packages that you installed",
        );
        const kernel = [
            "-s",
            "-c",
            pythonChecks.serverKernel,
            JSON.stringify("import tornado; print(tornado.version)"),
        ];
        expect(await carbon("/opt/carbon/venv/bin/python", ...kernel)).not.toContain("4.0");
        expect(await logs(lab.container)).toContain(
            "The Python kernel does not start with your packages (ImportError",
        );
        expect(await verify()).toMatchObject({ code: 0 });
        await shell("pip uninstall --yes tornado");
    });

    it("an environment that does not start is laid aside, with a list of what was in it", async () => {
        await shell(
            `pip install ${offline} carbon-cow==1.0 && echo 'import os; os._exit(3)' > ${packages}/broken.pth`,
        );
        await restart();
        expect(await logs(lab.container)).toContain(
            `carbon: your Python environment ${environment} does not start`,
        );
        expect(await verify()).toMatchObject({ code: 0 });
        await shell(`pip install ${offline} -r ${environment}-*/requirements.txt`);
        expect(await carbon("carbon-cow")).toBe("moo 1.0");
    });

    it("one that is gone, or half made, is made anew", async () => {
        await shell(`rm -rf ${environment} ${environment}-*`);
        // Until then there is the image's.
        expect(await python("import sys; print(sys.prefix)")).toBe("/opt/carbon/venv");
        await shell(`mkdir -p ${environment}/bin && echo 'home = /usr/bin' > ${environment}/pyvenv.cfg`);
        await restart();
        expect(await python("import sys; print(sys.prefix)")).toBe(environment);
        expect(await shell(`ls -d ${environment}*`)).toBe(environment);
    });
});
