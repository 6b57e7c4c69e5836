import type Docker from "dockerode";
import { execa } from "execa";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
    exec,
    hostPort,
    logs,
    type RoleArgs,
    removeAll,
    run,
    secrets,
    startHealthy,
    until,
    untilHealthy,
} from "../image/base-container";
import { baseImage, readImageJson } from "../image/base-image";
import { closeRdp, launchBrowser, look, openNovnc, openRdp } from "./desktop-clients";
import { vncLogin } from "./vnc-login";

const image = baseImage();
const hasDesktop = readImageJson(image).toolsets.includes("desktop");

afterAll(removeAll);

async function startDesktop(args: Partial<RoleArgs> = {}): Promise<Docker.Container> {
    return startHealthy({ image, role: "workspace", ports: [3390, 5900, 6900], ...args });
}

/** Width and height of the desktop, as X has it. */
async function size(container: Docker.Container): Promise<string> {
    const said = await run(container, ["xdpyinfo"], "carbon");
    return /dimensions:\s+(\d+x\d+)/.exec(said)?.[1] ?? said;
}

/** The ids of the windows that a window manager keeps: all but the dock's, which is started anew with each of them. */
async function windows(container: Docker.Container): Promise<string[]> {
    const list = `for id in $(xprop -root -notype _NET_CLIENT_LIST | grep --only-matching "0x[0-9a-f]*"); do
        class=$(xprop -id "$id" WM_CLASS 2> /dev/null) || continue
        case $class in *plank*) ;; *) echo "$id" ;; esac
    done`;
    return (await run(container, ["sh", "-c", list], "carbon")).match(/0x[0-9a-f]+/g) ?? [];
}

const untilSize = (container: Docker.Container, wanted: string) =>
    until(`a desktop of ${wanted}`, 30, async () => (await size(container)) === wanted);

describe.runIf(hasDesktop)("VNC", () => {
    let container: Docker.Container;

    beforeAll(async () => {
        container = await startDesktop();
    });

    it("lets nobody in without the password", async () => {
        const port = await hostPort(container, 5900);
        expect(await vncLogin(port, secrets.vnc)).toEqual({ securityTypes: [2], accepted: true });
        expect(await vncLogin(port, "VncPass9")).toEqual({ securityTypes: [2], accepted: false });
    });

    it("comes back after a kill of the X server, with the session", async () => {
        await run(container, ["pkill", "-KILL", "-x", "Xtigervnc"]);
        await until("the kill", 5, async () => (await exec(container, ["carbon-health"])).code === 1);
        await untilHealthy(container, 20);
        const { accepted } = await vncLogin(await hostPort(container, 5900), secrets.vnc);
        expect(accepted).toBe(true);
    });
});

describe.runIf(hasDesktop)("RDP", () => {
    let container: Docker.Container;

    beforeAll(async () => {
        container = await startDesktop();
    });

    it("refuses a wrong password, and says so in the log", async () => {
        const client = openRdp(await hostPort(container, 3390), "VncPass9", "1024x700");
        await until("the refusal", 30, async () =>
            (await logs(container)).includes("Error connecting to user session"),
        );
        await closeRdp(client);
        expect(await size(container)).toBe("1920x1080");
    });

    it("opens the desktop with the password, in the client's size", async () => {
        const client = openRdp(await hostPort(container, 3390), secrets.vnc, "1024x700");
        await untilSize(container, "1024x700");
        await closeRdp(client);
    });

    it("runs as the user, with keys that only root and the user can read", async () => {
        expect(await run(container, ["ps", "-C", "xrdp", "-o", "user="])).toBe("carbon");
        const keys = ["/etc/xrdp/rsakeys.ini", "/run/carbon/tls/key.pem"];
        const owned = await run(container, ["stat", "--format=%U:%G %a", ...keys]);
        expect(owned).toBe("root:carbon 440\nroot:carbon 440");
    });

    it("finds no keys in the image, and makes others in every new volume", async () => {
        const { stdout } = await execa("docker", [
            "run",
            "--rm",
            image,
            "ls",
            "/etc/xrdp",
            "/etc/ssl/private",
        ]);
        expect(stdout).not.toMatch(/rsakeys|\.pem|\.key/);
        const other = await startDesktop();
        const print = (of: Docker.Container) => run(of, ["sha256sum", "/etc/xrdp/rsakeys.ini"]);
        expect(await print(other)).not.toBe(await print(container));
    });
});

describe.runIf(hasDesktop)("with TLS on", () => {
    let container: Docker.Container;

    beforeAll(async () => {
        container = await startDesktop({ stack: { tls: true } });
    });

    it("serves noVNC by HTTPS alone", async () => {
        const curl = [
            "curl",
            "--silent",
            "--insecure",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
        ];
        expect(await run(container, [...curl, "https://127.0.0.1:6900/login"])).toBe("200");
        expect((await exec(container, [...curl, "http://127.0.0.1:6900/login"])).code).not.toBe(0);
    });

    it("speaks only encrypted VNC to the outside", async () => {
        // 19: VeNCrypt, which starts with TLS.
        expect(await vncLogin(await hostPort(container, 5900))).toEqual({ securityTypes: [19] });
        const listening = await run(container, ["cat", "/proc/net/tcp", "/proc/net/tcp6"]);
        const plain = listening.match(/\b[0-9A-F]+:170D 0+:0000 0A/g); // 5901, in the state LISTEN
        expect(plain).toEqual([
            expect.stringMatching(/^0100007F:/),
            expect.stringMatching(/^0{24}01000000:/),
        ]);
    });

    it("opens the desktop by RDP", async () => {
        const client = openRdp(await hostPort(container, 3390), secrets.vnc, "1024x700");
        await untilSize(container, "1024x700");
        await closeRdp(client);
    });
});

describe.runIf(hasDesktop)("noVNC in a browser", () => {
    let container: Docker.Container;
    let browser: Browser;
    let page: Page;

    beforeAll(async () => {
        container = await startDesktop();
        browser = await launchBrowser();
        page = await openNovnc(browser, await hostPort(container, 6900), secrets.vnc);
        await page.locator("html.noVNC_connected").waitFor();
        await untilSize(container, "1280x800");
    });

    afterAll(() => browser.close());

    it("refuses a wrong password", async () => {
        const refused = await openNovnc(browser, await hostPort(container, 6900), "VncPass9");
        await expect
            .poll(() => refused.locator("#noVNC_status").textContent(), { timeout: 20_000 })
            .toMatch(/auth/i);
        expect(await refused.locator("html.noVNC_connected").count()).toBe(0);
        await refused.close();
    });

    it("shows the wallpaper, the panel with its clock, and the dock", async () => {
        // The dock is the last to come.
        await expect
            .poll(async () => (await look(page, 400, -70, -400, -10)).colours, { timeout: 20_000 })
            .toBeGreaterThan(200);
        const sky = await look(page, 0, 100, 300, 200);
        const horizon = await look(page, 0, 380, 300, 440);
        const hill = await look(page, 0, -60, 100, -10);
        const dock = await look(page, 500, -60, -500, -10);
        const belowPanel = await look(page, 300, 32, 800, 36);
        const panel = await look(page, 300, 10, 800, 20);
        const clock = await look(page, -180, 4, -4, 24);
        expect(sky.blue, "dusk above").toBeGreaterThan(sky.red);
        expect(horizon.red, "the sun below").toBeGreaterThan(horizon.blue + 50);
        expect(dock.red - hill.red, "a light dock in front of dark hills").toBeGreaterThan(40);
        expect(panel.red - belowPanel.red, "a panel that lightens the sky").toBeGreaterThan(15);
        expect(panel.colours, "an empty panel").toBeLessThan(20);
        expect(clock.colours, "a clock in the corner").toBeGreaterThan(panel.colours);
        expect(clock.red).toBeGreaterThan(panel.red);
    });

    it("passes keys on: a terminal opens, and takes a command", async () => {
        await page.locator("#noVNC_container canvas").click({ position: { x: 640, y: 300 } });
        await page.keyboard.press("Control+Alt+t");
        await until("a terminal", 30, async () =>
            (
                await run(container, ["xprop", "-root", "_NET_ACTIVE_WINDOW"], "carbon").then((active) =>
                    exec(container, ["xprop", "-id", active.split("# ")[1] ?? "", "WM_CLASS"], "carbon"),
                )
            ).output.includes("terminal"),
        );
        await page.keyboard.type("echo Seen-$((6*7)) > typed", { delay: 20 });
        await page.keyboard.press("Enter");
        await until("the command's file", 20, async () => {
            const { output } = await exec(container, ["cat", "/workspace/typed"], "carbon");
            return output === "Seen-42\n";
        });
    });

    it("gives the desktop the size of the browser's window", async () => {
        await page.setViewportSize({ width: 1100, height: 700 });
        await untilSize(container, "1100x700");
        await page.setViewportSize({ width: 1280, height: 800 });
        await untilSize(container, "1280x800");
    });

    it("carries the clipboard both ways", async () => {
        const clipboard = page.locator("#noVNC_clipboard_text");
        await clipboard.evaluate((area: HTMLTextAreaElement) => {
            area.value = "from the browser";
            area.dispatchEvent(new Event("change"));
        });
        await until("the text", 20, async () =>
            (await exec(container, gtk("print(clipboard.wait_for_text())"), "carbon")).output.includes(
                "from the browser",
            ),
        );
        const copied = run(
            container,
            gtk(
                "clipboard.set_text('from the desktop', -1)",
                "GLib.timeout_add_seconds(20, Gtk.main_quit)",
                "Gtk.main()",
            ),
            "carbon",
        );
        await expect.poll(() => clipboard.inputValue(), { timeout: 15_000 }).toBe("from the desktop");
        await copied;
    });

    it("brings Cinnamon back after a crash, with the windows and the keys", async () => {
        const before = await windows(container);
        expect(before).not.toEqual([]);
        await run(container, ["pkill", "-KILL", "-x", "cinnamon"]);
        await until("health to notice", 5, async () =>
            (await exec(container, ["carbon-health"])).output.includes("no window manager is running"),
        );
        await untilHealthy(container, 20);
        await until("a new terminal beside the windows of before", 30, async () => {
            await page.keyboard.press("Control+Alt+t");
            const now = await windows(container);
            return now.length > before.length && before.every((id) => now.includes(id));
        });
    });
});

/** A program of the desktop that has the clipboard. */
function gtk(...statements: string[]): string[] {
    const lines = [
        "import gi",
        "gi.require_version('Gtk', '3.0')",
        "from gi.repository import Gdk, GLib, Gtk",
        "clipboard = Gtk.Clipboard.get(Gdk.SELECTION_CLIPBOARD)",
        ...statements,
    ];
    return ["/usr/bin/python3", "-c", lines.join("\n")];
}
