/**
 * Measures `carbon backup`, `backup verify` and `restore` of a stack that runs and has PostgreSQL, and prints a Markdown
 * table:
 *
 *     npx tsx benchmarks/backup.mts --stack NAME [--home MB] [--database MB]
 *
 * The stack's home and database are filled first, half of it with what does not compress: the stack should be one for
 * this alone. The backup lies in the system's folder for temporary files, and is removed.
 */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { execa } from "execa";

interface Options {
    stack: string;
    home: string;
    database: string;
}

/** Files of 1 MB: every other one of random bytes, the others of text. */
const fillHome = `
import os, sys
os.makedirs("/home/carbon/benchmark", exist_ok=True)
text = b"".join(b"%d: the quick brown fox jumps over the lazy dog\\n" % n for n in range(25000))[:1000000]
for n in range(int(sys.argv[1])):
    with open(f"/home/carbon/benchmark/{n}", "wb") as file:
        file.write(os.urandom(1000000) if n % 2 else text)
`;

async function main({ stack, home, database }: Options): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), "carbon-benchmark-"));
    const file = join(folder, "stack.age");
    const passphrase = join(folder, "passphrase");
    writeFileSync(passphrase, "benchmark\n", { mode: 0o600 });
    const container = (service: string) => `carbon-${stack}-${service}`;
    try {
        const python = [
            "exec",
            "--interactive",
            "--user",
            "carbon",
            container("workspace"),
            "python3",
            "-",
            home,
        ];
        await execa("docker", python, { input: fillHome });
        // A row of 1 kB: half of it a hash after the other, the other half one letter.
        const rows = Number(database) * 1000;
        const sql = `DROP TABLE IF EXISTS benchmark; CREATE TABLE benchmark AS SELECT n, (SELECT string_agg(md5(n::text || i), '') FROM generate_series(1, 15) i) AS hashes, repeat('x', 480) AS letters FROM generate_series(1, ${rows}) n; CHECKPOINT;`;
        await execa(
            "docker",
            ["exec", "--interactive", container("postgres"), "s6-setuidgid", "postgres", ...psql],
            {
                input: sql,
            },
        );
        console.log("| what | seconds | processor seconds and peak memory of the command itself | file |");
        console.log("| --- | --- | --- | --- |");
        const common = ["--stack", stack, "--yes", "--json", "--passphrase-file", passphrase];
        for (const command of [
            ["backup", "--to", file],
            ["backup", "verify", file],
            ["restore", file, ...only],
        ]) {
            const { seconds, processor, megabytes } = await measured([...command, ...common]);
            const size = `${Math.round(statSync(file).size / 1e6)} MB`;
            const what = command.filter((word) => word !== file).join(" ");
            console.log(
                `| \`carbon ${what}\` | ${seconds.toFixed(1)} | ${processor.toFixed(1)}, ${megabytes} MB | ${size} |`,
            );
        }
    } finally {
        rmSync(folder, { recursive: true });
    }
}

const psql = ["psql", "-h", "/run/postgresql", "-U", "superuser", "-d", "carbon", "-Xq"];
const only = ["--only", "home", "postgres"];

/** Runs `carbon` as the operating system measures it: ru_maxrss of the process that does the work. */
async function measured(args: string[]): Promise<{ seconds: number; processor: number; megabytes: number }> {
    const report = join(tmpdir(), `carbon-benchmark-${process.pid}`);
    const hook = `process.on("exit", () => require("fs").writeFileSync(${JSON.stringify(report)}, JSON.stringify(process.resourceUsage())))`;
    const hookFile = `${report}.cjs`;
    writeFileSync(hookFile, hook);
    const begin = performance.now();
    const env = { NODE_OPTIONS: `--require ${hookFile}` };
    await execa("node", ["cli/carbon.js", ...args], { env, stdout: "ignore", stderr: "inherit" });
    const seconds = (performance.now() - begin) / 1000;
    const usage: NodeJS.ResourceUsage = JSON.parse(readFileSync(report, "utf8"));
    rmSync(report);
    rmSync(hookFile);
    const processor = (usage.userCPUTime + usage.systemCPUTime) / 1e6;
    return { seconds, processor, megabytes: Math.round((usage.maxRSS * 1024) / 1e6) };
}

await new Command()
    .requiredOption("--stack <name>", "a stack that runs, with PostgreSQL")
    .option("--home <MB>", "what the home is filled with", "1000")
    .option("--database <MB>", "what the database is filled with", "200")
    .action(main)
    .parseAsync();
