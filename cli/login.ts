import { rmSync, writeFileSync } from "node:fs";
import { everyService, type PortSpec } from "../catalogue";
import { accessTo } from "../catalogue/urls";
import type { Credentials } from "./documents";
import { ownFile, type Project } from "./project";
import { isTls } from "./tables";

/** Ports that a page or a shell is opened by, the main one first. */
const mainPorts = ["jupyter", "novnc", "ssh"];

/** Name of the port that a user opens first. */
export function mainPort(urls: Record<string, string>): string | undefined {
    return mainPorts.find((name) => name in urls);
}

/** The port of a name in the stack's addresses. */
export function portNamed(name: string): PortSpec | undefined {
    return everyService.flatMap(({ ports }) => ports).find((port) => port.name === name);
}

/** The address that logs in by itself, with the secret in its fragment; undefined where there is none. */
export function loginUrl(
    name: string,
    urls: Record<string, string>,
    credentials: Credentials,
): string | undefined {
    const [port, url] = [portNamed(name), urls[name]];
    const access = port && accessTo(port, isTls(url));
    const template = access?.loginUrl;
    const spec = everyService.flatMap(({ secrets }) => secrets).find(({ name }) => name === access?.secret);
    const secret = spec && credentials[spec.key]?.[spec.field];
    return template && secret
        ? new URL(template.replace("{secret}", encodeURIComponent(secret)), url).href
        : undefined;
}

/** Host and port of an address, of `rdp://full%20address=s:127.0.0.1:3390`, too, which no parser takes apart. */
export function hostAndPort(url: string): { host: string; port: string } {
    const [, host = "", port = ""] = /(?:[/@]|=s:)(\[[^\]]*\]|[^/@:=]+):(\d+)(?:\/|$)/.exec(url) ?? [];
    return { host: host.replace(/^\[|\]$/g, ""), port };
}

/**
 * Writes a page that leads to the address, for its user's eyes only: what a browser is started with, other users of the
 * machine can read.
 *
 * @returns its path. It stays until the next one, or until the password changes.
 */
export function writeLoginPage(project: Project, title: string, url: string): string {
    forgetLogin(project);
    const file = loginFile(project);
    const address = escapeHtml(url);
    const page = [
        "<!doctype html>",
        '<meta charset="utf-8">',
        '<meta name="referrer" content="no-referrer">',
        `<meta http-equiv="refresh" content="0; url=${address}">`,
        `<title>${escapeHtml(title)}</title>`,
        `<a href="${address}">${escapeHtml(title)}</a>`,
    ];
    // "wx": nothing that lies there, a link for one, is written to.
    writeFileSync(file, `${page.join("\n")}\n`, { mode: 0o600, flag: "wx" });
    return file;
}

/** Removes that page, where there is one. */
export function forgetLogin(project: Project): void {
    rmSync(loginFile(project), { force: true });
}

function loginFile(project: Project): string {
    return ownFile(project, "open.html");
}

function escapeHtml(text: string): string {
    return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
