import { join } from "node:path";
import { execaSync } from "execa";

/** A package for Python, as an index hands it out. */
export interface Wheel {
    name: string;
    version: string;
    /** By path, as they come to lie in site-packages. */
    files: Record<string, string>;
    /** What it requires. */
    requires?: string[];
    /** `name = module:function`, one for each program that it brings. */
    programs?: string[];
    /** By path below the environment's folder. */
    data?: Record<string, string>;
}

const pack = `
import json, sys, zipfile
path, wheel = sys.argv[1], json.loads(sys.argv[2])
name = wheel["name"].replace("-", "_")
info = f"{name}-{wheel['version']}.dist-info"
requires = "".join(f"Requires-Dist: {line}\\n" for line in wheel.get("requires", []))
files = {
    **wheel["files"],
    **{f"{name}-{wheel['version']}.data/data/{file}": text for file, text in wheel.get("data", {}).items()},
    f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: {wheel['name']}\\nVersion: {wheel['version']}\\n{requires}",
    f"{info}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    f"{info}/entry_points.txt": "[console_scripts]\\n" + "\\n".join(wheel.get("programs", [])),
}
with zipfile.ZipFile(path, "w") as archive:
    for file, text in files.items():
        archive.writestr(file, text)
    archive.writestr(f"{info}/RECORD", "".join(f"{file},,\\n" for file in [*files, f"{info}/RECORD"]))`;

/** Makes a wheel in `folder`, and returns its file's name. */
export function makeWheel(folder: string, wheel: Wheel): string {
    const file = `${wheel.name.replaceAll("-", "_")}-${wheel.version}-py3-none-any.whl`;
    execaSync("python3", ["-c", pack, join(folder, file), JSON.stringify(wheel)]);
    return file;
}
