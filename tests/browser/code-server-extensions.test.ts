import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type Docker from "dockerode";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { extensions } from "../../scripts/extensions";
import { exec, removeAll, run, secrets, until } from "../image/base-container";
import { readImageJson } from "../image/base-image";
import { computeImage, startWorkspace } from "../image/compute-image";
import { makeVsix } from "../vsix";
import { launchBrowser } from "./desktop-clients";

const image = computeImage();
const { platform, toolsets, unavailable } = readImageJson(image);
const arch = platform.split("/")[1] as string;
const build = resolve(__dirname, "../../dockerfiles/compute/build/extensions");
const imageFolder = "/opt/carbon/code-server-extensions";
const userFolder = "/home/carbon/.local/share/code-server/extensions";

/** Writes where it lies to a file, as soon as an editor runs it. */
function activates(file: string) {
    return { "main.js": `exports.activate = () => require("node:fs").writeFileSync("${file}", __dirname);` };
}

describe.runIf(toolsets.includes("codeServer"))("code-server's extensions", () => {
    const folder = mkdtempSync(join(tmpdir(), "carbon-vsix-"));
    let workspace: Docker.Container;
    let address: string;
    let browser: Browser;

    beforeAll(async () => {
        writeRegistry();
        ({ container: workspace, codeServer: address } = await startWorkspace({
            image,
            binds: [`${build}:/build:ro`, `${folder}:/registry:ro`],
        }));
        browser = await launchBrowser();
    });

    afterAll(async () => {
        await browser?.close();
        await removeAll();
        rmSync(folder, { recursive: true });
    });

    /** A registry of one extension, as files; and beside it an extension that a user has as a file. */
    function writeRegistry(): void {
        chmodSync(folder, 0o755); // The container's user reads it.
        const vsix = makeVsix(folder, "carbon-test.of-image", "1.2.3", activates("/tmp/of-image"));
        const path = join(folder, "api/carbon-test/of-image/1.2.3/file/carbon-test.of-image-1.2.3.vsix");
        mkdirSync(dirname(path), { recursive: true });
        copyFileSync(vsix.path, path);
        const list = [{ id: "carbon-test.of-image", version: "1.2.3", sha256: { universal: vsix.sha256 } }];
        writeFileSync(join(folder, "list.json"), JSON.stringify({ extensions: list }));
        makeVsix(folder, "carbon-test.of-user", "4.5.6", activates("/tmp/of-user"));
    }

    it("are all of the list, or none where the registry could not be reached", async () => {
        const { output } = await exec(workspace, ["ls", imageFolder]);
        const installed = output.split("\n").filter((name) => extensions.some(({ id }) => id === name));
        const has = unavailable.includes("codeServerExtensions") ? 0 : extensions.length;
        expect(installed.length).toBeLessThanOrEqual(has);
        expect(installed.length).toBeGreaterThanOrEqual(has * 0.9);
    });

    it("run in the editor: those that a build installs and those of the user's own", async () => {
        const server = [
            "python3",
            "-m",
            "http.server",
            "8123",
            "--bind",
            "127.0.0.1",
            "--directory",
            "/registry",
        ];
        const serve = await workspace.exec({ Cmd: server, User: "carbon" });
        await serve.start({ Detach: true });
        const list = [
            "/build/install_extensions.py",
            "/registry/list.json",
            "http://127.0.0.1:8123",
            arch,
            "/",
        ];
        await until("the registry answers", 10, async () => {
            const ask = ["curl", "--silent", "--fail", "http://127.0.0.1:8123/list.json"];
            return (await exec(workspace, ask)).code === 0;
        });
        expect(await run(workspace, ["python3", ...list])).toContain("1 of 1 extensions");
        await run(
            workspace,
            ["code-server", "--install-extension", "/registry/carbon-test.of-user-4.5.6.vsix"],
            "carbon",
        );
        // The command lists what is the user's, in the folder that the service uses, too.
        const listed = await run(
            workspace,
            ["code-server", "--list-extensions", "--show-versions"],
            "carbon",
        );
        expect(listed.split("\n")).toContain("carbon-test.of-user@4.5.6");

        await openEditor();
        const ran = async (file: string) => (await exec(workspace, ["cat", file])).output.trim();
        await until("both extensions run", 60, async () => {
            const { code } = await exec(workspace, [
                "test",
                "-e",
                "/tmp/of-image",
                "-a",
                "-e",
                "/tmp/of-user",
            ]);
            return code === 0;
        });
        expect(await ran("/tmp/of-image")).toBe(`${imageFolder}/carbon-test.of-image`);
        expect(await ran("/tmp/of-user")).toBe(`${userFolder}/carbon-test.of-user-4.5.6`);
        // Those of the image take no room in the home volume.
        expect(await run(workspace, ["ls", userFolder])).not.toContain("of-image");
    });

    it("find an editor whose native modules load", async () => {
        const modules = [
            "@vscode/native-watchdog",
            "@vscode/spdlog",
            "@vscode/sqlite3",
            "kerberos",
            "node-pty",
        ];
        const load = `for (const name of ${JSON.stringify(modules)}) require(name)`;
        const editor = "/opt/carbon/code-server/node_modules/code-server/lib/vscode";
        await run(workspace, ["sh", "-c", `cd ${editor} && ../node -e '${load}'`], "carbon");
    });

    /** Logs in to the running service with a browser. */
    async function openEditor(): Promise<void> {
        const page = await browser.newPage();
        await page.goto(`${address}/?folder=/workspace`);
        await page.locator("input.password").fill(secrets["code-server"]);
        await page.locator("input.submit").click();
        await page.locator(".monaco-workbench").waitFor({ timeout: 60_000 });
    }
});
