import type Docker from "dockerode";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exec, hostPort, removeAll, run, secrets, startHealthy, until, untilHealthy } from "./base-container";
import { baseImage, readImageJson } from "./base-image";
import { launchBrowser } from "./desktop-clients";
import { takePicture } from "./jupyter";

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
        const tree = (await exec(container, ["xwininfo", "-root", "-tree"], "carbon")).output;
        return tree.split("\n").filter((line) => line.toLowerCase().includes(`("${program}"`)).length;
    }

    /** Text in the desktop's clipboard. */
    const pasted = () => asCarbon(`timeout 5 python3 -c '${clipboard("print(clipboard.wait_for_text())")}'`);

    const screen = page_ => page_;
    void screen;

    it("opens to a link's password, which leaves the address bar and the history", async () => {
        expect(page.url()).toContain("/vnc.html?");
        expect(page.url()).not.toContain(secrets.vnc);
        expect(await page.evaluate(() => history.length)).toBeLessThanOrEqual(2);
    });

    it("tries", async () => {
        await page.waitForTimeout(8000);
        await takePicture(page, "desk-1");
        await page.locator("#noVNC_container canvas").click({ position: { x: 640, y: 300 } });
        await page.keyboard.press("Control+Alt+t");
        await page.waitForTimeout(5000);
        await page.keyboard.type("pwd > /tmp/pwd; cat > /tmp/typed", { delay: 20 });
        await page.keyboard.press("Enter");
        await page.waitForTimeout(1000);
        await page.keyboard.type("aéüß中한ñ€", { delay: 50 });
        await page.keyboard.press("Enter");
        await page.keyboard.press("Control+d");
        await page.waitForTimeout(1000);
        console.log(await asCarbon("cat /tmp/pwd /tmp/typed; xprop -root | grep -i xim; ps -u carbon -o rss,cmd --sort=-rss | cut -c1-90 | head -30; tail -30 ~/.xsession-errors; cat ~/.config/gtk-3.0/bookmarks; ls -l ~/Desktop"));
        await takePicture(page, "desk-2");
        await page.keyboard.type(`clear; echo ${Object.values(scripts).join(" ")}`, { delay: 5 });
        await page.keyboard.press("Enter");
        await page.waitForTimeout(1000);
        await takePicture(page, "desk-3");
        await page.keyboard.type(`nemo &`, { delay: 5 });
        await page.keyboard.press("Enter");
        await page.waitForTimeout(3000);
        await takePicture(page, "desk-4");
        await page.keyboard.type(`gedit &`, { delay: 5 });
    });
});

function clipboard(statement: string): string {
    return ["import gi", 'gi.require_version("Gtk", "3.0")', "from gi.repository import Gdk, Gtk", "clipboard = Gtk.Clipboard.get(Gdk.SELECTION_CLIPBOARD)", statement].join("\n");
}
void untilHealthy;
