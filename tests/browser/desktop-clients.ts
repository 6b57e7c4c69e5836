import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { execa, type ResultPromise } from "execa";
import { type Browser, chromium, type Page } from "playwright-core";
import { vi } from "vitest";

/** The first of `names` on the PATH (or that is a path itself); tests/setup/clients.ts installs one of each. */
function program(...names: string[]): string {
    const folders = ["", ...(process.env.PATH ?? "").split(delimiter)];
    const found = names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
    if (!found) {
        throw new Error(`none of ${names.join(", ")} is installed (see the beginning of this run)`);
    }
    return found;
}

function isExecutable(path: string): boolean {
    try {
        accessSync(path, constants.X_OK);
        return path.includes("/");
    } catch {
        return false;
    }
}

/** Starts a real browser without a window. */
export function launchBrowser(): Promise<Browser> {
    const executablePath = program(
        "chromium",
        "chromium-browser",
        "google-chrome",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    );
    return chromium.launch({ executablePath });
}

/** Opens noVNC at `port` and types the password; the desktop gets the page's size. */
export async function openNovnc(browser: Browser, port: number, password: string): Promise<Page> {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    const input = page.locator("#noVNC_password_input");
    // Chromium drops what it is loading when this machine's networks change, as they do when a container has just
    // started: a person would reload.
    await vi.waitFor(
        async () => {
            await page.goto(`http://127.0.0.1:${port}/`);
            await input.waitFor({ timeout: 10_000 });
        },
        { timeout: 60_000 },
    );
    await input.fill(password);
    await input.press("Enter");
    return page;
}

/** Connects a real RDP client to `port` of this machine, on a screen of its own; it ends when it is killed. */
export function openRdp(port: number, password: string, size: string): ResultPromise {
    const screen = process.env.DISPLAY ? [] : [program("xvfb-run"), "--auto-servernum"];
    const [command, ...args] = [
        ...screen,
        program("xfreerdp3", "xfreerdp"),
        `/v:127.0.0.1:${port}`,
        "/u:carbon",
        `/p:${password}`,
        `/size:${size}`,
        "/cert:ignore",
    ];
    return execa(command as string, args, { all: true, reject: false, detached: true });
}

/** Ends the client, and the screen that it was given. */
export async function closeRdp(client: ResultPromise): Promise<void> {
    process.kill(-(client.pid as number));
    await client;
}

/** What a part of a picture looks like: its mean colour (0…255), and how many colours it has (of 32 768). */
export interface Region {
    red: number;
    green: number;
    blue: number;
    colours: number;
}

/** Looks at the desktop as the browser shows it: the rectangle's edges are pixels, negative ones from the far edge. */
export function look(page: Page, left: number, top: number, right: number, bottom: number): Promise<Region> {
    return page.locator("#noVNC_container canvas").evaluate(
        (element, [x1, y1, x2, y2]) => {
            const canvas = element as HTMLCanvasElement;
            const at = (edge: number, length: number) => (edge < 0 ? length + edge : edge);
            const [x, y] = [at(x1, canvas.width), at(y1, canvas.height)];
            const [width, height] = [at(x2, canvas.width) - x, at(y2, canvas.height) - y];
            const { data } = (canvas.getContext("2d") as CanvasRenderingContext2D).getImageData(
                x,
                y,
                width,
                height,
            );
            const sum = [0, 0, 0];
            const colours = new Set<number>();
            for (let pixel = 0; pixel < data.length; pixel += 4) {
                const [red, green, blue] = data.subarray(pixel, pixel + 3) as unknown as [
                    number,
                    number,
                    number,
                ];
                sum[0] = (sum[0] as number) + red;
                sum[1] = (sum[1] as number) + green;
                sum[2] = (sum[2] as number) + blue;
                colours.add(((red >> 3) << 10) | ((green >> 3) << 5) | (blue >> 3));
            }
            const [red, green, blue] = sum.map((total) => total / (width * height)) as [
                number,
                number,
                number,
            ];
            return { red, green, blue, colours: colours.size };
        },
        [left, top, right, bottom] as [number, number, number, number],
    );
}
