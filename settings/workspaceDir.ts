import * as path from "node:path";
import type { Machine } from "./machine";

/**
 * The system's own folders, on whichever system: neither they nor what lies in them goes into a container. `/run` is
 * where `/var/run` leads, with Docker's socket: who has that is root. On a Mac Docker Desktop's machine looks a path up,
 * too, and has Linux's folders, and the Mac's under `/host_mnt`.
 */
const systemFolders: readonly string[] = [
    ...["/bin", "/boot", "/dev", "/efi", "/etc", "/gnu", "/host_mnt", "/lib", "/lib32", "/lib64", "/libx32"],
    ...[
        "/lost+found",
        "/nix",
        "/proc",
        "/root",
        "/run",
        "/sbin",
        "/snap",
        "/sys",
        "/sysroot",
        "/usr",
        "/var",
    ],
    ...["/Applications", "/Library", "/Network", "/System", "/cores", "/opt/homebrew", "/private"],
    // A Windows machine, as WSL shows it.
    ...["/mnt/c/Program Files", "/mnt/c/ProgramData", "/mnt/c/Windows", "/mnt/wsl", "/mnt/wslg"],
];

/** Folders whose insides are anybody's: disks that a desktop mounts, and a Mac's temporary folders. */
const openInside = [/^\/run\/media\/[^/]+\/[^/]+(\/|$)/, /^\/private\/(tmp|var\/folders)\/./i];

/** Folders of many users or of many things: what lies in them may be somebody's workspace, they themselves are not. */
const sharedFolders = [
    "/home",
    "/tmp",
    "/mnt",
    "/media",
    "/opt",
    "/srv",
    "/Users",
    "/Volumes",
    "/private/tmp",
];

/** Where programs put sockets that give orders to them, such as tmux's. */
const temporary = /^(\/private)?(\/tmp|\/var\/folders)\//i;

/** Whoever has one of these is root on the machine, wherever it lies. */
const engineSockets = ["docker.sock", "docker.raw.sock", "docker-cli.sock", "podman.sock", "containerd.sock"];

/** Folders of a home, in lower case, that are not hidden and still hold programs, settings and keys. */
const programsOwn = { linux: ["bin", "snap"], darwin: ["bin", "library"] };

/** What belongs to the project, besides what is hidden: the folders of the repository, and what is installed. */
export const projectFolders = [
    ...[
        "benchmarks",
        "catalogue",
        "cli",
        "components",
        "dockerfiles",
        "docs",
        "engine",
        "host",
        "node_modules",
    ],
    ...["scripts", "settings", "tests", "verify"],
];

/**
 * Why a folder must not be /workspace, where whoever is root in a container has all of it; undefined where it may.
 * Folders are compared as they really are, whichever links lead to them, and without regard to case on a Mac.
 *
 * @param folder Absolute path.
 */
export function whyNotWorkspace(folder: string, machine: Machine): string | undefined {
    const real = machine.realpath(folder);
    if (real === undefined) {
        return `${folder} leads nowhere: its links go round in a circle. ${advice}`;
    }
    const reason = reasonAgainst(real, machine);
    const shown = real === folder ? folder : `${folder} leads to ${real}, which`;
    return reason && `${shown} ${reason}. ${advice}`;
}

/**
 * The same of a server's folder, by its name alone; whether links lead elsewhere is seen when it is made.
 *
 * @param folder Absolute path, or one in the home, which `~` stands for.
 */
export function whyNotServersFolder(folder: string, home = "/home/you"): string | undefined {
    const real = folder.startsWith("~") ? path.posix.join(home, folder.slice(1)) : folder;
    const nothing = {
        env: {},
        user: "",
        projectDir: "",
        arch: "",
        platform: "linux",
        readFile: () => undefined,
        isNotFolder: () => false,
        sockets: () => [],
        realpath: (file: string) => file,
    };
    const server: Machine = { ...nothing, home };
    const reason = ofHomes(real, server) ?? ofSystem(real, server) ?? ofHidden(real, server);
    return reason && `on the server, ${folder} ${reason}. ${advice}`;
}

const advice = "Choose a folder for this alone, such as ~/carbon-workspace, or leave the key out.";

function reasonAgainst(real: string, machine: Machine): string | undefined {
    const { isIn, isSame } = comparison(machine);
    const project = machine.realpath(machine.projectDir) ?? machine.projectDir;
    if (isIn(project, real)) {
        return isSame(project, real) ? "is the project's own folder" : "contains the project's own folder";
    }
    // The project may lie anywhere, a build machine's in /var: then its own insides are what counts.
    const place = isIn(real, project)
        ? ofProject(path.relative(project, real), machine)
        : (ofHomes(real, machine) ??
          ofSystem(real, machine) ??
          ofHidden(real, machine) ??
          ofDocker(real, machine));
    return place ?? ofKind(real, machine);
}

function ofKind(real: string, machine: Machine): string | undefined {
    if (machine.isNotFolder(real)) {
        return "is not a folder";
    }
    const isTemporary = temporary.test(real);
    const socket = machine.sockets(real).find((name) => isTemporary || engineSockets.includes(name));
    return socket && `holds the socket ${socket}, and who has that gives orders to the program behind it`;
}

function ofProject(relative: string, machine: Machine): string | undefined {
    const { fold } = comparison(machine);
    const [top = ""] = relative.split(path.sep);
    return top.startsWith(".") || projectFolders.includes(fold(top))
        ? `is ${top} of the project, or lies in it`
        : undefined;
}

function ofSystem(real: string, machine: Machine): string | undefined {
    const { isIn, isSame } = comparison(machine);
    const home = machine.realpath(machine.home) ?? machine.home;
    for (const own of systemFolders) {
        if (isIn(own, real)) {
            return isSame(own, real) ? "is one of the system's folders" : `contains the system's ${own}`;
        }
        // root's home is /root, and a build machine's user may live in /var.
        const isHome = isIn(home, own) && isIn(real, home);
        if (isIn(real, own) && !isHome && !openInside.some((place) => place.test(real))) {
            return `lies in the system's ${own}`;
        }
    }
    const shared = sharedFolders.find((folder) => isIn(folder, real));
    return shared && (isSame(shared, real) ? "is one of the machine's shared folders" : `contains ${shared}`);
}

function ofHomes(real: string, machine: Machine): string | undefined {
    const { isIn, isSame, fold } = comparison(machine);
    for (const { user, home } of homes(machine)) {
        if (isIn(home, real)) {
            return `${isSame(home, real) ? "is" : "contains"} ${user} home folder`;
        }
        const [top = ""] = isIn(real, home) ? path.relative(home, real).split(path.sep) : [];
        if (
            top.startsWith(".") ||
            programsOwn[machine.platform === "darwin" ? "darwin" : "linux"].includes(fold(top))
        ) {
            return `is ${path.join(home, top)}, where programs and what they keep lie, or lies in it`;
        }
    }
    return undefined;
}

/** The home folder of whoever runs this, and those of the machine's other people: `sudo` makes one of the other. */
function homes(machine: Machine): { user: string; home: string }[] {
    const own = machine.realpath(machine.home) ?? machine.home;
    const others = (machine.readFile("/etc/passwd") ?? "")
        .split("\n")
        .map((line) => line.split(":"))
        .filter(([, , uid, , , home]) => Number(uid) >= 1000 && Number(uid) < 65_534 && home?.startsWith("/"))
        .map(([name, , , , , home = ""]) => ({ user: `${name}'s`, home: machine.realpath(home) ?? home }));
    return [{ user: "your", home: own }, ...others].filter(({ home }) => home !== "/");
}

/** Outside homes, such as `/tmp/.X11-unix` with the screen's socket, and a file system's snapshots. */
function ofHidden(real: string, machine: Machine): string | undefined {
    const { isIn } = comparison(machine);
    const isHome = homes(machine).some(({ home }) => isIn(real, home));
    return !isHome && real.split(path.sep).some((part) => part.startsWith("."))
        ? "is a hidden folder, or lies in one"
        : undefined;
}

/** Where a Docker Engine keeps its data, if not in /var. */
function ofDocker(real: string, machine: Machine): string | undefined {
    const { isIn } = comparison(machine);
    const [, root] =
        /"data-root"\s*:\s*"(\/[^"]+)"/.exec(machine.readFile("/etc/docker/daemon.json") ?? "") ?? [];
    const data = root && (machine.realpath(root) ?? root);
    return data && (isIn(real, data) || isIn(data, real))
        ? "is, contains or lies in Docker's own data"
        : undefined;
}

/** Comparison of real paths. A Mac's file system takes no notice of case, nor of how accents are composed. */
function comparison({ platform }: Machine) {
    const fold = (file: string) => (platform === "darwin" ? file.normalize("NFC").toLowerCase() : file);
    const isIn = (inner: string, outer: string) => {
        const relative = path.relative(fold(outer), fold(inner));
        return relative !== ".." && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
    };
    const isSame = (one: string, other: string) => fold(one) === fold(other);
    return { fold, isIn, isSame };
}
