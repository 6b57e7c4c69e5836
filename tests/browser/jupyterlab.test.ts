import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exec, logs, removeAll, run, until, untilHealthy } from "../image/base-container";
import { readImageJson } from "../image/base-image";
import { type ComputeWorkspace, computeImage, startWorkspace } from "../image/compute-image";
import { openPage, takePicture } from "../image/jupyter";
import { launchBrowser } from "./desktop-clients";

const image = computeImage();
const { toolsets } = readImageJson(image);
const memory = 3 * 2 ** 30;

describe.runIf(toolsets.includes("notebooks"))("JupyterLab, as people work with it", () => {
    let jupyter: ComputeWorkspace;
    let browser: Browser;
    const errors: string[] = [];

    beforeAll(async () => {
        [jupyter, browser] = await Promise.all([startWorkspace({ image, memory }), launchBrowser()]);
    });
    afterAll(async () => {
        await browser?.close();
        await removeAll();
    });

    const asCarbon = (script: string) => run(jupyter.container, ["bash", "-ec", script], "carbon");
    const api = (path: string, init: RequestInit = {}) =>
        fetch(`${jupyter.address}${path}`, { ...init, headers: { Authorization: `token ${jupyter.token}` } });

    /** Saves a notebook as no tool of today would: without the ids of cells, and untrusted. */
    async function save(name: string, cells: string[]): Promise<void> {
        const content = {
            cells: cells.map((source) => ({
                cell_type: "code",
                source,
                metadata: {},
                outputs: [],
                execution_count: null,
            })),
            metadata: {
                kernelspec: { name: "python3", display_name: "Python 3 (Carbon)", language: "python" },
                language_info: { name: "python", file_extension: ".py" },
            },
            nbformat: 4,
            nbformat_minor: 5,
        };
        const saved = await api(`/api/contents/${name}`, {
            method: "PUT",
            body: JSON.stringify({ type: "notebook", content }),
        });
        expect(saved.ok).toBe(true);
    }

    const shown = ".jp-NotebookPanel:not(.lm-mod-hidden)";

    async function openNotebook(name: string): Promise<Page> {
        const page = await openPage(browser, jupyter, `/lab/tree/${name}`, errors);
        // JupyterLab opens again what was open before, behind it.
        await page
            .locator("#jp-main-dock-panel .lm-TabBar-tab.lm-mod-current", { hasText: name })
            .waitFor({ timeout: 120_000 });
        await page.locator(`${shown} .jp-Cell`).first().waitFor({ timeout: 120_000 });
        await page
            .locator(`${shown} .jp-Notebook-ExecutionIndicator[data-status=idle]`)
            .waitFor({ timeout: 120_000 });
        return page;
    }

    /** Runs the cell of that number and returns what it shows. */
    async function runCell(page: Page, number: number): Promise<string> {
        const cell = page.locator(`${shown} .jp-CodeCell`).nth(number);
        await cell.locator(".cm-content").click();
        await page.keyboard.press("Control+Enter");
        const output = cell.locator(".jp-OutputArea-output").first();
        await output.waitFor({ timeout: 120_000 });
        return (await output.textContent()) ?? "";
    }

    async function choose(page: Page, menu: string, item: string): Promise<void> {
        await page.locator(".lm-MenuBar-itemLabel", { hasText: new RegExp(`^${menu}$`) }).click();
        await page.locator(".lm-Menu-itemLabel", { hasText: item }).first().click();
    }

    const listed = (page: Page, name: string) =>
        page.locator(".jp-DirListing-itemName", { hasText: new RegExp(`^${name.replaceAll(".", "\\.")}$`) });

    it("opens a notebook once, whatever was open before, and leaves nothing else in the project", async () => {
        await asCarbon("rm -r /workspace/*");
        await save("once.ipynb", [
            "x = 1\nimport sys\n[name for name in ('torch', 'pandas', 'numpy') if name in sys.modules]",
            "import os, sys\n\n\n\ndef f( a,b ):\n    return a+b\nundefined_name",
            "",
        ]);
        for (const _ of ["first", "second"]) {
            const page = await openNotebook("once.ipynb");
            await page.locator(".cm-lintRange-error").waitFor({ timeout: 120_000 });
            // What somebody opens a second time is restored, and must not be opened as well.
            await page.waitForTimeout(2000);
            expect(await page.locator("#jp-main-dock-panel .lm-TabBar-tabLabel").allInnerTexts()).toEqual([
                "once.ipynb",
            ]);
            // The Variables panel looks at the kernel after each cell, and imports nothing to do so.
            expect(await runCell(page, 0)).toBe("[]");
            expect(await runCell(page, 0)).toBe("[]");
            // Real mistakes are shown, taste is not: neither blanks and blank lines nor the empty cell.
            // By line, as a word that is marked for another reason, too, divides a mark.
            const marked = await page.locator(".cm-line:has(.cm-lintRange)").evaluateAll((lines) =>
                lines.map((line) => {
                    const marks = [...line.querySelectorAll(".cm-lintRange")];
                    const outer = marks.filter((mark) => !mark.parentElement?.closest(".cm-lintRange"));
                    return outer.map((mark) => mark.textContent).join("");
                }),
            );
            expect([...new Set(marked)].sort()).toEqual(["import os, sys", "undefined_name"]);
            await page.keyboard.press("Control+s");
            await page.waitForTimeout(1000);
            await takePicture(page, "jupyterlab-notebook");
            await page.close();
        }
        expect(await asCarbon("find /workspace -mindepth 1")).toBe("/workspace/once.ipynb");
        const list = await api("/api/contents/once.ipynb/checkpoints");
        expect(await list.json()).toEqual([expect.objectContaining({ id: "checkpoint" })]);
    });

    it("keeps one checkpoint for each file, follows names and folders, and goes back to it", async () => {
        const put = (path: string, content: string) =>
            api(`/api/contents/${path}`, {
                method: "PUT",
                body: JSON.stringify({ type: "file", format: "text", content }),
            });
        await asCarbon("mkdir -p /workspace/a /workspace/b");
        for (const folder of ["a", "b"]) {
            await put(`${folder}/notes.txt`, folder);
            await api(`/api/contents/${folder}/notes.txt/checkpoints`, { method: "POST" });
            await put(`${folder}/notes.txt`, "later");
        }
        await api("/api/contents/a", { method: "PATCH", body: JSON.stringify({ path: "c" }) });
        for (const [folder, text] of Object.entries({ b: "b", c: "a" })) {
            await api(`/api/contents/${folder}/notes.txt/checkpoints/checkpoint`, { method: "POST" });
            expect(await asCarbon(`cat /workspace/${folder}/notes.txt`)).toBe(text);
        }
    });

    it("knows a tensor and a table among the variables once the notebook has imported their libraries", async () => {
        const kinds = `
import pandas, numpy
from variable_explorer.kernel.introspection import get_variable_list
found = {"frame": pandas.DataFrame({"a": [1]}), "array": numpy.zeros((2, 3)), "number": numpy.float64(1), "x": 1}
print([(v["name"], v["tabularKind"], v["shape"]) for v in get_variable_list(found)])`;
        expect(await run(jupyter.container, ["/opt/carbon/venv/bin/python", "-c", kinds], "carbon")).toBe(
            "[('frame', 'dataframe', [1, 1]), ('array', 'ndarray', [2, 3]), ('number', 'scalar', []), ('x', 'scalar', [])]",
        );
        if (toolsets.includes("torch")) {
            const tensor = `
import torch
from variable_explorer.kernel.introspection import get_variable_list
print([(v["tabularKind"], v["memoryBytes"]) for v in get_variable_list({"t": torch.zeros(2, 3)})])`;
            expect(
                await run(jupyter.container, ["/opt/carbon/venv/bin/python", "-c", tensor], "carbon"),
            ).toBe("[('tensor', 24)]");
        }
    });

    it("deletes a folder with what is in it", async () => {
        await asCarbon(
            "mkdir -p /workspace/full/deep; touch /workspace/full/deep/file /workspace/full/.hidden",
        );
        expect((await api("/api/contents/full", { method: "DELETE" })).status).toBe(204);
        expect(await asCarbon("ls /workspace")).not.toContain("full");
    });

    it("shows hidden files to whoever asks for them, and to nobody else", async () => {
        await asCarbon("mkdir -p /workspace/.venv; touch /workspace/.env /workspace/seen.txt");
        const page = await openPage(browser, jupyter, "/lab", errors);
        await listed(page, "seen.txt").waitFor({ timeout: 120_000 });
        expect(await listed(page, ".env").count()).toBe(0);
        await choose(page, "View", "Show Hidden Files");
        await listed(page, ".env").waitFor({ timeout: 60_000 });
        await listed(page, ".venv").waitFor();
        await takePicture(page, "jupyterlab-hidden");
        await choose(page, "View", "Show Hidden Files");
        await listed(page, ".env").waitFor({ state: "detached", timeout: 60_000 });
        await page.close();
        await asCarbon("rm -r /workspace/.venv /workspace/.env /workspace/seen.txt");
    });

    it("offers exports that work, PDF among them where there is a browser", async () => {
        await save("export.ipynb", ["print('Grüße, 日本')"]);
        const formats = Object.keys((await (await api("/api/nbconvert")).json()) as object);
        const hasBrowser = (await exec(jupyter.container, ["which", "chromium"])).code === 0;
        expect(formats).toEqual([
            ...["html", "markdown", "notebook"],
            ...(hasBrowser ? ["pdf"] : []),
            ...["python", "script", "slides"],
        ]);
        for (const format of formats) {
            const file = await api(`/nbconvert/${format}/export.ipynb?download=true`);
            expect([format, file.status]).toEqual([format, 200]);
            if (format === "pdf") {
                expect((await file.text()).slice(0, 5)).toBe("%PDF-");
            }
        }
        if (hasBrowser) {
            await asCarbon(
                "cd /tmp && /opt/carbon/venv/bin/jupyter nbconvert --to pdf /workspace/export.ipynb --output-dir=/tmp/pdf",
            );
            expect(await asCarbon("head -c 5 /tmp/pdf/export.pdf; rm -r /tmp/pdf")).toBe("%PDF-");
        }
    });

    it("clones a repository with its .git, and downloads one without", async () => {
        await asCarbon(`
            git init --quiet --bare --initial-branch=main /home/carbon/origin.git
            git clone --quiet /home/carbon/origin.git /home/carbon/first && cd /home/carbon/first && touch file && git add file
            git -c user.name=A -c user.email=a@b commit --quiet --message=first && git push --quiet`);
        const page = await openPage(browser, jupyter, "/lab", errors);
        for (const [download, expected] of [
            [false, ".git\nfile"],
            [true, "file"],
        ] as const) {
            await choose(page, "Git", "Clone a Repository");
            await page.locator("#input-link").fill("/home/carbon/origin.git");
            await page.locator("#download").setChecked(download);
            await takePicture(page, "jupyterlab-clone");
            await page.locator(".jp-Dialog button", { hasText: "Clone" }).click();
            await listed(page, "origin").waitFor({ timeout: 60_000 });
            await until(
                "cloned",
                30,
                async () => (await asCarbon("LC_ALL=C ls -A /workspace/origin")) === expected,
            );
            expect((await api("/api/contents/origin", { method: "DELETE" })).status).toBe(204);
            await listed(page, "origin").waitFor({ state: "detached", timeout: 60_000 });
        }
        await page.close();
    });

    it("says in the cell that a kernel died of memory, and the limit in the status bar", async () => {
        await save("memory.ipynb", ["kept = []\nwhile True:\n    kept.append(bytearray(64 << 20))", "6 * 7"]);
        const page = await openNotebook("memory.ipynb");
        await page
            .locator("#jp-main-statusbar", { hasText: /Mem:\s+[\d.]+ \/ (3072\.00 MB|3\.00 GB)/ })
            .waitFor({ timeout: 60_000 });
        const said = await runCell(page, 0);
        await takePicture(page, "jupyterlab-memory");
        expect(said).toContain(
            "Linux ended this kernel: it was out of memory, as the whole workspace, which has 3.0 GB.",
        );
        expect(said).toContain("carbon:memory");
        await page.locator(".jp-Dialog button", { hasText: "Ok" }).click();
        expect(await runCell(page, 1)).toBe("42");
        // Who ends a kernel otherwise is not told of memory.
        await asCarbon("pkill -9 -f python_kernel.py");
        await page.locator(".jp-Dialog").waitFor({ timeout: 60_000 });
        expect(await page.locator(`${shown} .jp-OutputArea-output`).allTextContents()).toEqual([said, "42"]);
        await page.close();
    });

    it("says nothing in the log but that", async () => {
        const lines = (await logs(jupyter.container))
            .split("\n")
            .filter((line) => line.startsWith("jupyter: "));
        const allowed =
            /A kernel died: Linux ended this kernel|kernel [0-9a-f-]+ restarted|Linux ended this kernel|^jupyter: +(Shut down|Pulumi\.)/;
        expect(lines.filter((line) => line.trim() !== "jupyter:" && !allowed.test(line))).toEqual([]);
        // What JupyterLab says of a request that it was waiting for when a kernel ended: these tests end kernels.
        const cut = /Canceled future for \w+ message before replies were done/;
        expect(errors.filter((error) => !cut.test(error))).toEqual([]);
    });

    it("stays well whatever people configure in their own files, and leaves nothing in /tmp from start to start", async () => {
        await asCarbon(ownFiles);
        const left = async () =>
            asCarbon(
                "find /tmp -mindepth 1 -maxdepth 1 -name 'dbus-*'; ls ~/.local/share/jupyter/runtime",
            ).then((files) => files.split("\n").length);
        await asCarbon("touch ~/.local/share/jupyter/runtime/kernel-of-a-former-run.json");
        const before = await left();
        for (const _ of ["first", "second"]) {
            await jupyter.container.restart({ t: 30 });
            await untilHealthy(jupyter.container, 120);
        }
        expect(await left()).toBeLessThanOrEqual(before);
        const only = ["platform", "jupyter", "code-server", "novnc", "vnc", "ssh"];
        const { code, output } = await exec(jupyter.container, ["carbon-verify", `--only=${only.join(",")}`]);
        expect([code, output]).toEqual([0, expect.stringContaining('"jupyter"')]);
    });
});

/** Everything of a user's own that a service or a client of the suite might read, and none of it of use. */
const ownFiles = `
cd ~
mkdir -p .jupyter/jupyter_server_config.d .jupyter/lab/user-settings/@jupyterlab/apputils-extension .config/pip \
    .config/code-server .ipython/profile_default/startup .ssh .local/lib/python3.13/site-packages/tornado .vnc
cat > .jupyter/jupyter_server_config.py << 'END'
c = get_config()
c.ServerApp.port = 9998
c.ServerApp.ip = "127.0.0.2"
c.ServerApp.base_url = "/mine/"
c.ServerApp.sock = "/tmp/mine.sock"
c.ServerApp.certfile = "/nowhere.pem"
c.ServerApp.keyfile = "/nowhere.key"
c.ServerApp.client_ca = "/nowhere.pem"
c.ServerApp.root_dir = "/home/carbon"
c.ServerApp.identity_provider_class = "jupyter_server.auth.identity.LegacyIdentityProvider"
c.IdentityProvider.token = "mine"
raise RuntimeError("mine")
END
cp .jupyter/jupyter_server_config.py .jupyter/jupyter_config.py
cp .jupyter/jupyter_server_config.py .jupyter/jupyter_lab_config.py
echo '{"ServerApp": {"port": 9998, "base_url": "/mine/"}}' > .jupyter/jupyter_server_config.json
echo '{' > .jupyter/jupyter_server_config.d/broken.json
echo '{' > .jupyter/lab/user-settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings
printf '[global]\nindex-url = http://127.0.0.1:1/\nrequire-hashes = true\n' > .config/pip/pip.conf
for file in .bashrc .bash_profile .profile .zshrc .zshenv .zprofile .xsessionrc .xprofile; do
    printf 'echo noise\nexit 3\n' > $file
done
printf 'bind-addr: 127.0.0.1:7777\nauth: none\ncert: true\nbase-path: /mine\n' > .config/code-server/config.yaml
echo 'raise RuntimeError("mine")' > .ipython/profile_default/startup/00.py
echo 'raise RuntimeError("mine")' > .local/lib/python3.13/site-packages/sitecustomize.py
echo 'raise RuntimeError("mine")' > .local/lib/python3.13/site-packages/usercustomize.py
echo 'raise RuntimeError("mine")' > .local/lib/python3.13/site-packages/tornado/__init__.py
echo 'import nothing_of_that_name' > .local/lib/python3.13/site-packages/broken.pth
echo 'broken===' > .npmrc
echo 'channels: [' > .condarc
echo 'SELECT nonsense;' > .psqlrc
echo ':set nonsense' > .redisclirc
echo 'stop("mine")' > .Rprofile
echo 'R_HOME=/nowhere' > .Renviron
echo '[broken' > .gitconfig
printf 'Host *\n  Nonsense yes\n' > .ssh/config
echo 'exit 1' > .vnc/xstartup
`;
