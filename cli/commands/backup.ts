import { existsSync } from "node:fs";
import type { Command } from "commander";
import { serverName } from "../../settings/server";
import { action, type Handler } from "../action";
import { readArchive } from "../backup/archive";
import { createBackup, targetFile } from "../backup/create";
import type { Checksums, Manifest } from "../backup/manifest";
import { type PassphraseFlags, passphraseOption, readPassphrase } from "../backup/passphrase";
import { progressLine } from "../backup/progress";
import { ensureAnswerable } from "../confirm";
import { formatBytes, formatDuration } from "../output";
import { currentServer } from "../server/reach";
import { type Cell, renderTable } from "../tables";

interface BackupFlags extends PassphraseFlags {
    to?: string;
}

/** `carbon backup` and `carbon backup verify`. */
export function addBackup(program: Command): void {
    const command = program
        .command("backup")
        .description("write every volume, the settings and the passwords into one encrypted file")
        .option(
            "--to <file>",
            "the file, or a folder for it (default: carbon-<stack>-<time>.age in this folder)",
        );
    passphraseOption(command).action(action(backup));
    const verify = command
        .command("verify")
        .argument("<file>", "a backup")
        .description("read a backup to its end, and say what it holds");
    passphraseOption(verify).action(action(check));
}

const backup: Handler<BackupFlags> = async (session, flags) => {
    const started = Date.now();
    const file = targetFile(session, flags.to);
    if (existsSync(file)) {
        ensureAnswerable(session, "Replacing a backup");
    }
    const passphrase = await readPassphrase(session, flags, { isNew: true });
    session.output.note(`Backing up the stack ${session.stack}`);
    const { bytes, manifest, checksums } = await createBackup(session, file, passphrase);
    const milliseconds = Date.now() - started;
    const server = currentServer();
    const place = server ? serverName(server) : "this machine";
    session.output.result(
        [
            `Backed up in ${formatDuration(milliseconds)}: ${file} (${formatBytes(bytes)})`,
            `Not in it: your folder /workspace, which lies on ${place} anyway, and the images, which are built again.`,
            `To look at it: ./carbon backup verify ${file}`,
        ].join("\n"),
        { stack: session.stack, file, bytes, seconds: milliseconds / 1000, ...document(manifest, checksums) },
    );
};

const check: Handler<PassphraseFlags> = async (session, flags, [file = ""]) => {
    const passphrase = await readPassphrase(session, flags, { isNew: false });
    const line = progressLine(session.output);
    const { signal } = session;
    const { manifest, checksums } = await readArchive(file, {
        passphrase,
        progress: line.show,
        signal,
    }).finally(line.end);
    session.output.result(
        [
            `The backup ${file} is whole: the stack ${manifest.stack}, ${manifest.created}.`,
            "",
            partTable(manifest, checksums, session.width),
        ].join("\n"),
        { file, whole: true, ...document(manifest, checksums) },
    );
};

/** The manifest, and of each part what was written. */
function document(manifest: Manifest, checksums: Checksums) {
    return { manifest, checksums };
}

/** The parts of a backup: what each held, and what is left of it in the file. */
export function partTable({ parts }: Manifest, sums: Checksums, width?: number): string {
    const rows = parts.map(({ name, service, taken, bytes }): Cell[] => [
        name,
        service ?? "",
        bytes > 0 ? formatBytes(bytes) : "",
        formatBytes(sums[name]?.bytes ?? 0),
        taken ?? "",
    ]);
    return renderTable(["Part", "Service", "On disk", "In the file", "Taken"], rows, width);
}
