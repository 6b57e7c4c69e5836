import type Docker from "dockerode";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exec, hostPort, removeAll, run, secrets, startHealthy, until } from "../image/base-container";
import { baseImage, readImageJson } from "../image/base-image";
import { takePicture } from "../image/jupyter";
import { launchBrowser } from "./desktop-clients";

// What a person does on the desktop all day, in the browser.

const image = baseImage();
const { toolsets } = readImageJson(image);

/** Of each script a few letters, which are boxes where no font has them. */
const scripts = {
    Chinese: "中文简体繁體",
    Japanese: "日本語かなカナ",
    Korean: "한국어",
    Hindi: "हिन्दी",
    Thai: "ภาษาไทย",
    Arabic: "العربية",
    Hebrew: "עברית",
    Bengali: "বাংলা",
    Tamil: "தமிழ்",
    Telugu: "తెలుగు",
    Gujarati: "ગુજરાતી",
    Georgian: "ქართული",
    Armenian: "Հայերեն",
    Ethiopic: "አማርኛ",
    Khmer: "ខ្មែរ",
    Burmese: "မြန်မာ",
    Sinhala: "සිංහල",
    Greek: "Ελληνικά",
    Cyrillic: "Русский",
};

afterAll(removeAll);

describe.runIf(toolsets.includes("desktop"))("the desktop", () => {
    let container: Docker.Container;
    let browser: Browser;
    let context: BrowserContext;
    let page: Page;
    let address: string;

    beforeAll(async () => {
        container = await startHealthy({ image, role: "workspace", ports: [6900] });
        browser = await launchBrowser();
        address = `http://127.0.0.1:${await hostPort(container, 6900)}`;
        context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
        await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: address });
        page = await context.newPage();
        await page.goto(`${address}/#password=${secrets.vnc}`);
        await page.locator("html.noVNC_connected").waitFor({ timeout: 60_000 });
        await until("icons on the desktop", 60, async () => (await windowsOf("nemo-desktop")) > 0);
    });

    afterAll(() => browser?.close());

    const asCarbon = (script: string) => run(container, ["bash", "-c", script], "carbon");

    /** How many windows of a program there are. */
    async function windowsOf(program: string): Promise<number> {
        const { output } = await exec(container, ["xwininfo", "-root", "-tree"], "carbon");
        return output.split("\n").filter((line) => line.toLowerCase().includes(`("${program}"`)).length;
    }

    /** Presses keys as a keyboard that has them does. Playwright's own knows no keys but the American ones. */
    async function typeKeys(text: string): Promise<void> {
        await page.locator("#noVNC_container canvas").evaluate(
            (canvas, keys) => {
                for (const [index, key] of keys.entries()) {
                    const code = `Key${String.fromCharCode(65 + index)}`;
                    for (const type of ["keydown", "keyup"]) {
                        canvas.dispatchEvent(
                            new KeyboardEvent(type, { key, code, bubbles: true, cancelable: true }),
                        );
                    }
                }
            },
            [...text],
        );
    }

    /** Text that a program of the desktop finds in the clipboard. */
    const inClipboard = () => asCarbon(python("print(clipboard.wait_for_text())"));

    /** What arrives at a program in the terminal, byte by byte, from what `act` types into it. */
    async function intoTerminal(act: () => Promise<void>): Promise<string> {
        await asCarbon("rm --force /tmp/typed");
        await page.keyboard.type("stty -icanon; cat > /tmp/typed; stty sane; touch /tmp/typed-all", {
            delay: 10,
        });
        await page.keyboard.press("Enter");
        await until("cat", 30, async () => (await exec(container, ["pgrep", "-x", "cat"])).code === 0);
        await act();
        // A terminal asks for what it pastes, which takes as long as it takes.
        let typed = "";
        await until("what is typed", 30, async () => {
            const before = typed;
            typed = await asCarbon("cat /tmp/typed");
            return typed !== "" && typed === before;
        });
        await asCarbon("pkill -x cat");
        await until("its end", 30, async () => (await exec(container, ["rm", "/tmp/typed-all"])).code === 0);
        return typed;
    }

    it("opens to a link's password, which leaves the address bar and the history", async () => {
        expect(page.url()).toMatch(/\/vnc\.html\?[^#]*$/);
        await page.goBack().catch(() => undefined);
        expect(page.url()).not.toContain(secrets.vnc);
        await page.goto(`${address}/#password=${secrets.vnc}`);
        await page.locator("html.noVNC_connected").waitFor({ timeout: 60_000 });
    });

    it.each(Object.entries(scripts))("has letters for %s", async (_, text) => {
        for (const letter of new Set(text)) {
            const code = letter.codePointAt(0)?.toString(16);
            expect(await asCarbon(`fc-list ":charset=${code}" family`), letter).not.toBe("");
        }
    });

    it("leads to /workspace: an icon, a bookmark, dialogs, Files", async () => {
        expect(await asCarbon("readlink ~/Desktop/Workspace; cat ~/.config/gtk-3.0/bookmarks")).toBe(
            "/workspace\nfile:///workspace Workspace",
        );
        expect(await asCarbon("gsettings get org.gtk.Settings.FileChooser startup-mode")).toBe("'cwd'");
        expect(await asCarbon("readlink /proc/$(pgrep -x plank)/cwd")).toBe("/workspace");
        await asCarbon("(setsid gio launch /usr/share/applications/nemo.desktop > /dev/null 2>&1 &)");
        await until("a window of Files", 60, async () =>
            /"workspace".*"nemo"/i.test(
                (await exec(container, ["xwininfo", "-root", "-tree"], "carbon")).output,
            ),
        );
        await asCarbon("nemo --quit");
    });

    it("shows those ways once, in a home of an older image too, and gives none back that was removed", async () => {
        const seed =
            "bash -c 'sed -n \"/^lead_to_workspace/,/^}/p\" /etc/carbon/services/desktop/run > /tmp/lead; . /tmp/lead; lead_to_workspace'";
        const ways = "cat ~/.config/gtk-3.0/bookmarks; ls ~/Desktop";
        await asCarbon("rm ~/Desktop/Workspace; echo file:///opt > ~/.config/gtk-3.0/bookmarks");
        expect(await asCarbon(`${seed}; ${ways}`)).toBe("file:///opt");
        await asCarbon("rm ~/.local/state/carbon/desktop");
        expect(await asCarbon(`${seed}; ${ways}`)).toBe(
            "file:///opt\nfile:///workspace Workspace\nWorkspace",
        );
    });

    it("opens terminals in /workspace", async () => {
        await page.locator("#noVNC_container canvas").click({ position: { x: 640, y: 300 } });
        await page.keyboard.press("Control+Alt+t");
        await until("its shell", 60, async () => (await exec(container, ["pgrep", "-x", "zsh"])).code === 0);
        await page.keyboard.type("pwd > /tmp/pwd", { delay: 20 });
        await page.keyboard.press("Enter");
        await until(
            "the folder",
            20,
            async () => (await exec(container, ["cat", "/tmp/pwd"])).output === "/workspace\n",
        );
    });

    it("takes letters that an American keyboard has not", async () => {
        expect(await intoTerminal(() => typeKeys("éüßñ€中한я"))).toBe("éüßñ€中한я");
    });

    it("types Chinese by an input method, after Ctrl+Shift+Space, and goes back", async () => {
        const toggle = () => page.keyboard.press("Control+Shift+Space");
        const typed = await intoTerminal(async () => {
            await toggle();
            await page.keyboard.type("nihao", { delay: 100 });
            await takePicture(page, "input-method");
            await page.keyboard.press("Space");
            await toggle();
            await page.keyboard.type("ok", { delay: 50 });
        });
        expect(typed).toBe("你好ok");
    });

    it("offers methods for Japanese, Korean, Hindi, Thai and others, and each is there", async () => {
        const offered = (await asCarbon("sed -n 's/^Name=//p' /etc/carbon/xdg/fcitx5/profile"))
            .split("\n")
            .slice(1);
        const display =
            "DBUS_SESSION_BUS_ADDRESS=$(tr '\\0' '\\n' < /proc/$(pgrep -x cinnamon)/environ | sed -n 's/^DBUS_SESSION_BUS_ADDRESS=//p')";
        for (const method of offered) {
            const set = `export ${display}; fcitx5-remote -o; fcitx5-remote -s ${method}; fcitx5-remote -n`;
            expect(await asCarbon(set)).toBe(method);
        }
        await asCarbon(`export ${display}; fcitx5-remote -c`);
    });

    it("has what this machine copied, at once, and hands back what the desktop copies", async () => {
        const text = "é, 中文 and 😀 from here";
        await page.evaluate((copied) => navigator.clipboard.writeText(copied), text);
        await page.evaluate(() => dispatchEvent(new Event("focus")));
        await until("the text", 30, async () => (await inClipboard()) === text);
        expect(await intoTerminal(() => page.keyboard.press("Control+Shift+V"))).toBe(text);
        const copy = asCarbon(
            python(
                "clipboard.set_text('ü, 한국어 and 🎉 from there', -1)",
                "GLib.timeout_add_seconds(10, Gtk.main_quit)",
                "Gtk.main()",
            ),
        );
        await expect
            .poll(() => page.evaluate(() => navigator.clipboard.readText()), { timeout: 10_000 })
            .toBe("ü, 한국어 and 🎉 from there");
        await copy;
    });

    it("pastes without the right to read the clipboard, and by a Mac's ⌘V in a terminal", async () => {
        await context.clearPermissions();
        // Playwright's keys paste nothing on Linux, so what a browser does at this key is done here: the key, and the event.
        const paste = () =>
            page.locator("#noVNC_container canvas").evaluate((canvas) => {
                const clipboardData = new DataTransfer();
                clipboardData.setData("text/plain", "pasted without asking");
                const key = { key: "V", code: "KeyV", ctrlKey: true, shiftKey: true, bubbles: true };
                canvas.dispatchEvent(new KeyboardEvent("keydown", key));
                canvas.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
            });
        const typed = await intoTerminal(async () => {
            await page.keyboard.down("Control");
            await page.keyboard.down("Shift");
            await paste();
            await page.keyboard.up("Shift");
            await page.keyboard.up("Control");
        });
        expect(typed).toBe("pasted without asking");
        await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: address });
        await page.close();
        page = await context.newPage();
        await page.addInitScript(() => Object.defineProperty(navigator, "platform", { value: "MacIntel" }));
        await page.goto(`${address}/#password=${secrets.vnc}`);
        await page.locator("html.noVNC_connected").waitFor({ timeout: 60_000 });
        await page.evaluate(() => navigator.clipboard.writeText("from a Mac"));
        await page.evaluate(() => dispatchEvent(new Event("focus")));
        await until("the text", 30, async () => (await inClipboard()) === "from a Mac");
        await page.locator("#noVNC_container canvas").click({ position: { x: 640, y: 300 } });
        expect(await intoTerminal(() => page.keyboard.press("Meta+v"))).toBe("from a Mac");
    });
});

/** A shell command: a program of the desktop that has the clipboard. */
function python(...statements: string[]): string {
    const lines = [
        "import gi",
        'gi.require_version("Gdk", "3.0")',
        'gi.require_version("Gtk", "3.0")',
        "from gi.repository import Gdk, GLib, Gtk",
        "clipboard = Gtk.Clipboard.get(Gdk.SELECTION_CLIPBOARD)",
        ...statements.map((statement) => statement.replaceAll("'", '"')),
    ];
    return `/usr/bin/python3 -c '${lines.join("\n")}'`;
}
