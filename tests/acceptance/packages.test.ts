import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { baseImage, hostCertificates } from "../image/base-image";

const image = baseImage();
const packages = join(__dirname, "..", "..", "dockerfiles", "base", "packages");

/** Every package that any toolset installs. */
function everyPackage(): string[] {
    const files = readdirSync(packages, { encoding: "utf8", recursive: true }).filter((file) =>
        file.endsWith(".txt"),
    );
    const lists = files.map((file) => readFileSync(join(packages, file), "utf8"));
    return lists.flatMap((list) => list.split("\n").filter(Boolean));
}

/** A shell script that resolves `$@` for an architecture with nothing installed, and installs nothing. */
const simulate = `
options="-o APT::Architecture=$ARCH -o APT::Architectures=$ARCH -o APT::Install-Recommends=false
    -o Dir::State::status=/tmp/status -o Dir::State::lists=/tmp/lists"
if [ -s /ca.pem ]; then options="$options -o Acquire::https::CAInfo=/ca.pem"; fi
mkdir -p /tmp/lists/partial && : > /tmp/status
apt-get $options --error-on=any --quiet update && apt-get $options --simulate install "$@"`;

/** A shell script that installs `$@` as a user would and ends with `clean` where dpkg then finds all in order. */
const install = `
set -e
if [ -s /ca.pem ]; then echo 'Acquire::https::CAInfo "/ca.pem";' > /etc/apt/apt.conf.d/test; fi
apt-get --quiet update && DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet install "$@"
echo "$(dpkg --verify; dpkg --audit)clean"`;

describe("Debian's packages", () => {
    it.each(["amd64", "arm64"])("of every toolset resolve together for %s", async (architecture) => {
        const bundle = hostCertificates();
        const mount = bundle ? [`--volume=${bundle}:/ca.pem:ro`] : [];
        const options = ["run", "--rm", `--env=ARCH=${architecture}`, ...mount, image];
        const list = everyPackage();
        const { stdout } = await execa("docker", [...options, "sh", "-c", simulate, "simulate", ...list]);
        const installed = new Set([...stdout.matchAll(/^Inst (\S+?)(?::\S+)? /gm)].map(([, name]) => name));
        expect(list.filter((name) => !installed.has(name))).toEqual([]);
    });

    it.each([["npm"], ["man-db", "git-doc"]])("of later choice install cleanly: %s", async (...names) => {
        const bundle = hostCertificates();
        const mount = bundle ? [`--volume=${bundle}:/ca.pem:ro`] : [];
        const options = ["run", "--rm", "--user=root", "--entrypoint=sh", ...mount, image];
        const { stdout } = await execa("docker", [...options, "-c", install, "install", ...names]);
        expect(stdout.split("\n").slice(-1)).toEqual(["clean"]);
    });
});
