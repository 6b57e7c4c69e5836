/**
 * Refreshes the locks of what runs on the user's machine beside Docker, from host/pins.json: `npx tsx
 * scripts/lockHost.ts [uv's arguments]`. One lock for each kind of machine and environment, wheels only, as nothing is
 * compiled on a user's machine. Pins that pins.json still allows are kept, as in scripts/lock.ts.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import {
    cudaLock,
    gatewayEnvironment,
    hostLock,
    lockedPins,
    type MachineKind,
    machineKinds,
    pins,
    pinsDigest,
} from "../host/environments";
import { CUDA_PACKAGE, formatPin, type Pin, parseLock, Uv } from "./lock";

function current(...files: string[]): Pin[] {
    return files.filter(existsSync).flatMap((file) => parseLock(readFileSync(file, "utf8")));
}

function write(file: string, kind: MachineKind, environment: string, locked: readonly Pin[]): void {
    const header = [
        `# ${environment} on ${kind}: made by scripts/lockHost.ts from host/pins.json. Do not edit.`,
        `# pins: sha256:${pinsDigest(kind, environment)}`,
    ];
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${[...header, ...locked.map(formatPin)].join("\n")}\n`);
    console.log(`${kind}/${environment}: ${locked.length} packages`);
}

function lock(uv: Uv, kind: MachineKind, environment: string, args: readonly string[]): void {
    const { platform, python, oldestMacos, environments } = pins.machines[kind];
    const name = `${kind}.${environment}`;
    const [file, cuda] = [hostLock(kind, environment), cudaLock(kind, environment)];
    const output = uv.write(`${name}.lock`, current(file, cuda));
    const input = uv.writeLines(`${name}.in`, lockedPins(kind, environment));
    // uv's own name for the oldest macOS that wheels are to run on.
    const env: Record<string, string> = oldestMacos ? { MACOSX_DEPLOYMENT_TARGET: oldestMacos } : {};
    const wheels = ["--only-binary", ":all:", ...args];
    const locked = uv.resolve([input], { platform, python }, output, wheels, env);
    if (!environments[environment]?.torch) {
        write(file, kind, environment, locked);
        return;
    }
    const isCuda = (pin: Pin) => CUDA_PACKAGE.test(pin.name);
    write(
        file,
        kind,
        environment,
        locked.filter((pin) => !isCuda(pin)),
    );
    write(cuda, kind, environment, locked.filter(isCuda));
}

function main(args: readonly string[]): void {
    const uv = Uv.install();
    try {
        for (const kind of machineKinds) {
            for (const environment of [
                gatewayEnvironment,
                ...Object.keys(pins.machines[kind].environments),
            ]) {
                lock(uv, kind, environment, args);
            }
        }
    } finally {
        uv.remove();
    }
}

if (require.main === module) {
    main(process.argv.slice(2));
}
