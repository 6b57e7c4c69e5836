// Loads main.ts as one file: esbuild joins the command's modules with the packages that they load at their start, and what
// it made is kept in .carbon/cache until one of them changes. To compile and load some 480 files one by one takes four times
// as long (docs/benchmarks.md).
const fs = require("node:fs");
const Module = require("node:module");
const path = require("node:path");

const project = path.join(__dirname, "..");
const file = path.join(project, ".carbon", "cache", "carbon.js");
/** Written by npm whenever it installs anything. */
const installed = "node_modules/.package-lock.json";

/** Runs main.ts, joined anew where that is needed. */
async function load() {
    if (isCurrent()) {
        require(file);
        return;
    }
    const { code, map } = await join();
    try {
        fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
        replace(`${file}.map`, map);
        replace(file, code);
    } catch {
        // A full disk, or somebody else's clone: it is slower, but it works.
    }
    const loaded = new Module(file, module);
    loaded.filename = file;
    loaded.paths = Module._nodeModulePaths(path.dirname(file));
    loaded._compile(code, file);
}

/** Whether what is kept is whole, and was made from the files as they are. */
function isCurrent() {
    let handle;
    try {
        handle = fs.openSync(file, "r");
        const start = Buffer.alloc(65_536);
        const line = start.subarray(0, fs.readSync(handle, start)).indexOf("\n");
        // A comment with the length of what follows, and the name and the stamp of every file that is in it.
        const [length, stamps] = JSON.parse(start.toString("utf8", "// ".length, line));
        return (
            fs.fstatSync(handle).size === line + 1 + length &&
            stamps.every(([name, stamp]) => stamp === stampOf(name))
        );
    } catch {
        return false;
    } finally {
        if (handle !== undefined) {
            fs.closeSync(handle);
        }
    }
}

function stampOf(name) {
    const stat = fs.statSync(path.join(project, name), { throwIfNoEntry: false });
    return stat ? `${stat.mtimeMs} ${stat.size}` : "none";
}

async function join() {
    // Taken before anything is read: a file that changes meanwhile makes the next start join anew.
    const stamps = new Map();
    const plugin = {
        name: "own",
        setup(build) {
            build.onLoad({ filter: /\.(ts|json)$/ }, async ({ path: source }) => {
                const name = path.relative(project, source);
                stamps.set(name, stampOf(name));
                const text = await fs.promises.readFile(source, "utf8");
                // The folder of the source, not of the cache.
                const contents = text.replaceAll("__dirname", JSON.stringify(path.dirname(source)));
                return { contents, loader: path.extname(source) === ".ts" ? "ts" : "json" };
            });
        },
    };
    for (const name of [installed, path.relative(project, __filename)]) {
        stamps.set(name, stampOf(name));
    }
    const made = await require("esbuild").build({
        absWorkingDir: project,
        entryPoints: [path.join(__dirname, "main.ts")],
        outfile: file,
        bundle: true,
        write: false,
        platform: "node",
        target: "node20",
        format: "cjs",
        // ES modules first: of these alone esbuild leaves out what nobody uses.
        mainFields: ["module", "main"],
        // What is loaded only when it is needed, from node_modules.
        external: ["@grpc/grpc-js", "@pulumi/*", "age-encryption", "dockerode", "google-protobuf", "open"],
        sourcemap: "linked",
        plugins: [plugin],
    });
    const [map, code] = [".map", ".js"].map(
        (end) => made.outputFiles.find((one) => one.path.endsWith(end))?.text ?? "",
    );
    return { code: `// ${JSON.stringify([Buffer.byteLength(code), [...stamps]])}\n${code}`, map };
}

/** Another command may be reading it. */
function replace(name, text) {
    const written = `${name}.${process.pid}`;
    fs.writeFileSync(written, text, { mode: 0o600 });
    fs.renameSync(written, name);
}

module.exports = { load };
