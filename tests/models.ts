import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { message as anyMessage, type Message, type ModelOnDisk } from "../cli/models/documents";
import { askHelper, type CommandLine } from "../cli/models/helper";
import { gguf, type HubPlace, sha256, TestHub } from "./hub";

/** Where the tests of pulls run: models.py with a folder of its own. */
export interface PullPlace {
    command: CommandLine;
    /** The folder, as the command sees it. */
    folder: string;
    /** Where it reaches a hub of the tests' on this machine. */
    hub: HubPlace;
    /** A folder beside the models, which `shell` keeps. */
    outside: string;
    /** Runs a line of shell in the folder. */
    shell(line: string): Promise<string>;
}

const megabyte = 1 << 20;
const model = gguf(8 * megabyte);

/** The tests' repositories. */
const repositories = {
    "me/models": {
        files: {
            "model.gguf": { content: model },
            "damaged.gguf": { content: gguf(megabyte), sent: gguf(megabyte).fill(7, 5000) },
            "archive.gguf": { content: Buffer.from("PK\x03\x04 and so on") },
            "page.gguf": { content: gguf(megabyte), sent: Buffer.from("<!DOCTYPE html>".padEnd(megabyte)) },
            "small.gguf": { content: gguf(100), small: true },
        },
    },
    "me/gated": { token: "hf_s3cret", gated: true, files: { "model.gguf": { content: gguf(1000) } } },
    "me/private": { token: "hf_s3cret", files: { "model.gguf": { content: gguf(1000) } } },
};

/** Tests of models.py against a hub of their own, wherever it runs. */
export function describePulls(title: string, start: () => Promise<PullPlace>): void {
    describe(title, () => {
        let place: PullPlace;
        let hub: TestHub;

        beforeAll(async () => {
            place = await start();
            hub = await TestHub.start(repositories, place.hub);
        });
        afterAll(() => hub?.stop());
        beforeEach(async () => {
            await place.shell("rm -rf ./* ./.carbon");
            hub.requests.length = 0;
            hub.cuts = [];
            hub.page = false;
            hub.speed = undefined;
        }, 60_000);

        async function ask(
            request: object,
            { signal = new AbortController().signal, onMessage = (_: Message) => {} } = {},
        ): Promise<Message | undefined> {
            let last: Message | undefined;
            const whole = { folder: place.folder, endpoint: hub.endpoint, ...request };
            await askHelper(place.command, whole, {
                signal,
                onMessage: (one) => {
                    last = one;
                    onMessage(one);
                },
            });
            return last;
        }

        const spec = (repo: string, file = "model.gguf", more = {}) => ({ repo, file, name: file, ...more });

        const pull = (files: object[], more = {}) => ask({ action: "pull", files, ...more });

        async function list(): Promise<ModelOnDisk[]> {
            const answer = await ask({ action: "list" });
            return answer && "models" in answer ? answer.models : [];
        }

        const hash = async (name: string) => (await place.shell(`sha256sum ${name}`)).slice(0, 64);
        const ranges = () =>
            hub.requests.filter(({ server }) => server === "store").map(({ range = "" }) => range);

        it("pulls a file, verifies it, and pulls it once", async () => {
            const fresh = { name: "model.gguf", bytes: model.length, fresh: true };
            expect(await pull([spec("me/models")])).toEqual({ pulled: [fresh] });
            expect(await hash("model.gguf")).toBe(sha256(model));
            expect(await place.shell("stat -c %a model.gguf")).toMatch(/^644\b/);
            expect(await pull([spec("me/models")])).toEqual({ pulled: [{ ...fresh, fresh: false }] });
            expect(ranges()).toEqual([""]);
            expect(await list()).toEqual([
                {
                    name: "model.gguf",
                    kind: "file",
                    bytes: model.length,
                    complete: true,
                    repo: "me/models",
                    file: "model.gguf",
                    hash: sha256(model),
                },
            ]);
        });

        it("goes on where a lost connection left it", async () => {
            hub.cuts = [3 * megabyte, 2 * megabyte + 100];
            await pull([spec("me/models")]);
            expect(await hash("model.gguf")).toBe(sha256(model));
            const starts = ranges().map((range) => Number(range.replace(/\D/g, "")));
            expect(starts).toHaveLength(3);
            // At most a chunk of 1 MiB is lost each time.
            expect(starts[1]).toBeGreaterThanOrEqual(2 * megabyte);
            expect(starts[2]).toBeGreaterThanOrEqual((starts[1] ?? 0) + megabyte);
        });

        it("goes on where an interrupted pull left it", async () => {
            hub.speed = 6 * megabyte;
            const controller = new AbortController();
            const onMessage = (one: Message) => {
                if ("progress" in one && one.done >= 2 * megabyte) {
                    controller.abort();
                }
            };
            const files = [spec("me/models")];
            await expect(
                ask({ action: "pull", files }, { signal: controller.signal, onMessage }),
            ).rejects.toThrow("Interrupted.");
            const [part] = await list();
            expect(part).toMatchObject({ name: "model.gguf", complete: false, total: model.length });
            expect(part?.bytes).toBeGreaterThanOrEqual(2 * megabyte);
            expect(await place.shell("ls")).toBe("");
            hub.speed = undefined;
            hub.requests.length = 0;
            await pull(files);
            expect(ranges()).toEqual([`bytes=${part?.bytes}-`]);
            expect(await hash("model.gguf")).toBe(sha256(model));
        });

        it("begins anew where the part is of another version of the file", async () => {
            await place.shell("mkdir .carbon && head -c 4000000 /dev/zero > .carbon/model.gguf.part");
            await place.shell(
                `echo '{"repo":"me/models","file":"model.gguf","hash":"0"}' > .carbon/model.gguf.json`,
            );
            await pull([spec("me/models")]);
            expect(ranges()).toEqual([""]);
            expect(await hash("model.gguf")).toBe(sha256(model));
        });

        it("gives up a connection that brings nothing, and keeps what there is", async () => {
            hub.cuts = [3 * megabyte, ...Array(30).fill(0)];
            await expect(pull([spec("me/models")])).rejects.toThrow(
                /^The connection was lost after \d\d % of model\.gguf \(.+\)\. Type the same command again/,
            );
            expect((await list())[0]?.bytes).toBeGreaterThanOrEqual(2 * megabyte);
        });

        it.each([
            [
                "damaged.gguf",
                /came with the hash [0-9a-f]{12}…, and the hub says [0-9a-f]{12}….* and is deleted/,
            ],
            ["archive.gguf", /^archive\.gguf is no GGUF file, it begins with 'PK\\x03\\x04 and so '\./],
            ["page.gguf", /^page\.gguf is no GGUF file, it begins with '<!DOCTYPE ht'\./],
            [
                "nothing.gguf",
                /^me\/models has no file nothing\.gguf\. Its files: .*\/me\/models\/tree\/main$/,
            ],
        ])("keeps nothing of %s", async (file, sentence) => {
            await expect(pull([spec("me/models", file)])).rejects.toThrow(sentence);
            expect(await list()).toEqual([]);
            expect(await place.shell("ls -A .carbon")).toBe("lock");
        });

        it("verifies what the hub keeps in git by git's hash", async () => {
            await pull([spec("me/models", "small.gguf")]);
            expect(await hash("small.gguf")).toBe(sha256(gguf(100)));
        });

        it("holds the hub to what the catalogue knows", async () => {
            const known = spec("me/models", "model.gguf", { sha256: "0".repeat(64) });
            await expect(pull([known])).rejects.toThrow(
                "The hub has another model.gguf than the catalogue knows. To take it as it is: ./carbon models pull hf:me/models:model.gguf",
            );
            const old = spec("me/models", "model.gguf", { revision: "f".repeat(40) });
            await expect(pull([old])).rejects.toThrow(
                "me/models no longer has the version that the catalogue knows.",
            );
            expect(ranges()).toEqual([]);
        });

        it.each([
            ["me/nothing", undefined, "There is no repository me/nothing on "],
            ["me/private", undefined, "or it wants a token: HF_TOKEN in carbon:environment."],
            ["me/private", "hf_wrong", "or the token does not open it."],
            ["me/gated", undefined, "me/gated is gated. Accept its terms at "],
            ["me/gated", "hf_wrong", "me/gated is gated. Accept its terms at "],
        ])("says what %s wants from who has the token %s", async (repo, token, sentence) => {
            await expect(pull([spec(repo)], { token })).rejects.toThrow(sentence);
        });

        it.each(["me/private", "me/gated"])(
            "gives the token to the hub of %s, and to nobody else",
            async (repo) => {
                await pull([spec(repo)], { token: "hf_s3cret" });
                expect(
                    hub.requests.map(({ server, method, authorization }) => [server, method, authorization]),
                ).toEqual([
                    ["hub", "HEAD", undefined],
                    ["hub", "HEAD", "Bearer hf_s3cret"],
                    ["hub", "GET", "Bearer hf_s3cret"],
                    ["store", "GET", undefined],
                ]);
                const kept = await place.shell("cat .carbon/model.gguf.json");
                expect(kept).not.toContain("s3cret");
            },
        );

        it("needs no token for what is open to all", async () => {
            await pull([spec("me/models")], { token: "hf_s3cret" });
            expect(hub.requests.map(({ authorization }) => authorization)).toEqual([
                undefined,
                undefined,
                undefined,
            ]);
        });

        it("tells a hub from what only answers, or does not", async () => {
            hub.page = true;
            await expect(pull([spec("me/models")])).rejects.toThrow(
                "does not answer as Hugging Face's hub does",
            );
            const endpoint = hub.endpoint.replace(/:\d+$/, ":1");
            await expect(pull([spec("me/models")], { endpoint })).rejects.toThrow(
                /cannot be reached \(.+\)\.$/,
            );
        });

        it("gives no token to a hub that speaks no TLS", async () => {
            const environment = { http_proxy: hub.endpoint, no_proxy: "" };
            const endpoint = "http://hub.invalid";
            await expect(
                pull([spec("me/private")], { endpoint, environment, token: "hf_s3cret" }),
            ).rejects.toThrow(
                "hub.invalid wants a token, which http would show to everybody on the way. Use https.",
            );
            expect(hub.requests.map(({ url, authorization }) => [url, authorization])).toEqual([
                ["http://hub.invalid/me/private/resolve/main/model.gguf", undefined],
            ]);
        });

        it("goes through a proxy", async () => {
            const { host = "" } = place.hub;
            await pull([spec("me/models")], {
                endpoint: "http://hub.invalid",
                environment: { http_proxy: hub.endpoint, no_proxy: host },
            });
            expect(hub.requests.map(({ server, url }) => [server, url.replace(/\?.*/, "")])).toEqual([
                ["hub", "http://hub.invalid/me/models/resolve/main/model.gguf"],
                [
                    "hub",
                    expect.stringMatching(
                        /^http:\/\/hub\.invalid\/me\/models\/resolve\/[0-9a-f]{40}\/model\.gguf$/,
                    ),
                ],
                ["store", "/me/models/model.gguf"],
            ]);
        });

        it("trusts the authorities of the user's network, and no others", async () => {
            const tls = selfSigned(place.hub.host ?? "");
            const secured = await TestHub.start(repositories, { ...place.hub, tls });
            try {
                const endpoint = secured.endpoint;
                await expect(pull([spec("me/models")], { endpoint })).rejects.toThrow(
                    /cannot be reached \(.*certificate verify failed/,
                );
                await pull([spec("me/models")], { endpoint, authorities: tls.cert });
                expect(await hash("model.gguf")).toBe(sha256(model));
            } finally {
                secured.stop();
            }
        });

        it("takes a file that is there already as the hub has it", async () => {
            await pull([spec("me/models")]);
            await place.shell("rm -r .carbon && touch model.gguf");
            expect(await pull([spec("me/models")])).toMatchObject({ pulled: [{ fresh: false }] });
            expect(ranges()).toHaveLength(1);
        });

        it("leaves another file of the same name alone", async () => {
            await place.shell("printf GGUF-mine > model.gguf");
            await expect(pull([spec("me/models")])).rejects.toThrow(
                "There is another model.gguf already. Remove it first: ./carbon models remove model.gguf",
            );
            expect(await place.shell("cat model.gguf")).toBe("GGUF-mine");
        });

        it("follows no link out of the folder", async () => {
            const { outside } = place;
            await place.shell(`mkdir -p ${outside}; printf mine > ${outside}/file; ln -s ${outside} .carbon`);
            await expect(pull([spec("me/models")])).rejects.toThrow(
                ".carbon is a link or a file, and must be a folder.",
            );
            await place.shell(`rm .carbon; ln -s ${outside}/file model.gguf`);
            await expect(pull([spec("me/models")])).rejects.toThrow("model.gguf is a link or a folder there");
            expect(await list()).toMatchObject([{ name: "model.gguf", kind: "link" }]);
            expect(await ask({ action: "remove", names: ["model.gguf", "../elsewhere/file"] })).toEqual({
                removed: ["model.gguf"],
            });
            await place.shell(`ln -s ${outside}/file .carbon/model.gguf.part`);
            await place.shell(`ln -s ${outside}/file .carbon/model.gguf.json`);
            await pull([spec("me/models")]);
            expect(await hash("model.gguf")).toBe(sha256(model));
            await place.shell(`rm .carbon/lock; ln -s ${outside}/file .carbon/lock`);
            await expect(pull([spec("me/models")])).rejects.toThrow("lock is a link. Remove it.");
            expect(await place.shell(`cat ${outside}/file; rm -r ${outside}`)).toBe("mine");
        });

        it("removes models, their parts and their records, and nothing else", async () => {
            await pull([spec("me/models"), spec("me/models", "small.gguf")]);
            await place.shell("printf x > 'odd\x1b\nname.gguf'; mkdir folder.gguf; printf x > other.txt");
            expect((await list()).map(({ name }) => name)).toEqual([
                "folder.gguf",
                "model.gguf",
                "odd\x1b\nname.gguf",
                "small.gguf",
            ]);
            const names = ["model.gguf", "odd\x1b\nname.gguf", "other.txt", "..", ".carbon"];
            expect(await ask({ action: "remove", names })).toEqual({
                removed: ["model.gguf", "odd\x1b\nname.gguf"],
            });
            await expect(ask({ action: "remove", names: ["folder.gguf"] })).rejects.toThrow("It stays.");
            expect((await place.shell("ls -A . .carbon")).split(/\s+/)).toEqual(
                expect.arrayContaining(["folder.gguf", "other.txt", "small.gguf", "small.gguf.json"]),
            );
            expect(await place.shell("ls -A .carbon")).not.toContain("model.gguf.json");
        });

        it("lets one command at a time change the folder", async () => {
            hub.speed = 4 * megabyte;
            const controller = new AbortController();
            let second: Promise<unknown> | undefined;
            const onMessage = (one: Message) => {
                if ("pulling" in one) {
                    second = pull([spec("me/models", "small.gguf")]).finally(() => controller.abort());
                    second.catch(() => {});
                }
            };
            const files = [spec("me/models")];
            await expect(
                ask({ action: "pull", files }, { signal: controller.signal, onMessage }),
            ).rejects.toThrow("Interrupted.");
            await expect(second).rejects.toThrow("Another command pulls or removes models there.");
        });

        it("prints nothing but its documents", async () => {
            const seen: Message[] = [];
            await ask({ action: "pull", files: [spec("me/models")] }, { onMessage: (one) => seen.push(one) });
            expect(seen.map((one) => anyMessage.safeParse(one).success)).not.toContain(false);
            expect(seen.map((one) => Object.keys(one)[0])).toEqual(
                expect.arrayContaining(["pulling", "verifying", "pulled"]),
            );
        });
    });
}

/** A certificate that vouches for itself. */
function selfSigned(host: string): { key: string; cert: string } {
    const folder = mkdtempSync(join(tmpdir(), "carbon-hub-"));
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const name = /^[\d.]+$/.test(host) ? `IP:${host}` : `DNS:${host}`;
    const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2"];
    const extensions = [`subjectAltName=${name}`, "keyUsage=critical,digitalSignature,keyCertSign"];
    try {
        execFileSync(
            "openssl",
            [
                ...["req", "-x509", ...kind, "-subj", "/CN=hub", "-keyout", key, "-out", cert],
                ...extensions.flatMap((extension) => ["-addext", extension]),
            ],
            { stdio: "ignore" },
        );
        return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
    } finally {
        rmSync(folder, { recursive: true });
    }
}
