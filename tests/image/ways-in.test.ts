import type Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
    docker,
    exec,
    hostPort,
    makeVolume,
    removeAll,
    run,
    secrets,
    ssh,
    startHealthy,
    untilHealthy,
} from "./base-container";
import { baseImage } from "./base-image";

/** Whoever comes in, and however: the same environment, locale and tools, and nothing that a client brings does harm. */

const image = baseImage();
const odd = "a  'b' \"c\" #d $HOME `e` \\f é %g ";
const lines = "one\ntwo";

afterAll(removeAll);

describe("ways into the workspace", () => {
    let container: Docker.Container;
    let home: string;

    /** What `script` prints by SSH of a client of the image, under these variables. */
    async function sshClient(script: string, ...options: string[]): Promise<string> {
        const login = ["-p", "2222", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR", ...options];
        return run(container, ["sh", "-c", `${script}`, "sh", ...login, "carbon@127.0.0.1"], "root");
    }

    const askpass = `printf '#!/bin/sh\\necho ${secrets.ssh}\\n' > /root/askpass && chmod 700 /root/askpass
        export SSH_ASKPASS=/root/askpass SSH_ASKPASS_REQUIRE=force; `;

    beforeAll(async () => {
        home = await makeVolume();
        container = await startHealthy({
            image,
            role: "workspace",
            ports: [2222],
            binds: [`${home}:/home/carbon`],
            env: { ODD: odd, LINES_OF_TEXT: lines, LEADING: "/home/carbon/lib", PLAIN: "plain" },
        });
    });

    const printed = 'printf "%s|" "$ODD" "$LINES_OF_TEXT" "$XDG_RUNTIME_DIR"; id -un';
    const expected = `${odd}|${lines}|/run/user/1000|carbon`;

    it.each([
        ["zsh -c", ["zsh", "-c", printed]],
        ["bash -c", ["bash", "-c", printed]],
        ["zsh, interactive login, as editors look for variables", ["zsh", "-lic", printed]],
        ["bash, interactive", ["bash", "-ic", printed]],
        ["bash, login", ["bash", "-lc", printed]],
        ["sh, login", ["sh", "-lc", printed]],
        ["bash, from nothing", ["env", "-i", "bash", "-lc", printed]],
        ["zsh, from nothing", ["env", "-i", "zsh", "-c", printed]],
    ])("find the environment as it is: %s", async (_, command) => {
        // An interactive shell without a terminal says so. One after the other: Docker keeps no order between the two.
        const inOrder = '"$@" 2> /tmp/complaints; grep -v "^bash: " /tmp/complaints';
        const { output } = await exec(container, ["sh", "-c", inOrder, "sh", ...command], "carbon");
        expect(output.trimEnd()).toBe(expected);
    });

    it("find the environment as it is: a command by SSH", async () => {
        expect(await ssh(await hostPort(container, 2222), "carbon", secrets.ssh, printed)).toBe(expected);
    });

    it("find plain variables where no shell reads a file: pam_env", async () => {
        const seen = await run(container, ["su", "--shell=/usr/bin/env", "carbon"]);
        expect(seen.split("\n")).toEqual(expect.arrayContaining(["PLAIN=plain", "LANG=en_US.UTF-8"]));
        expect(await run(container, ["stat", "--format=%U %G %a", "/etc/environment"])).toBe(
            "root carbon 640",
        );
    });

    it("leave what somebody sets on purpose", async () => {
        const nested =
            'PLAIN=mine bash -c \'bash -c "echo $PLAIN"; zsh -c "echo $PLAIN"; bash -lc "echo $PLAIN"\'';
        expect(await run(container, ["bash", "-c", nested], "carbon")).toBe("mine\nmine\nmine");
        const given = await exec(container, ["bash", "-c", "echo $PLAIN"], "carbon", ["PLAIN=given"]);
        expect(given.output).toBe("given\n");
    });

    it("give root nothing that leads into the user's folders", async () => {
        const seen = await run(container, [
            "bash",
            "-lc",
            'echo "$PLAIN:$XDG_RUNTIME_DIR:$PATH"; echo $LEADING',
        ]);
        expect(seen).toContain("plain:/run/user/1000:");
        const shell = ["env", "-i", "bash", "-lc", 'echo "[$LEADING]"'];
        expect(await run(container, shell)).toBe("[]");
        expect(await run(container, shell, "carbon")).toBe("[/home/carbon/lib]");
    });

    it.each([
        "LC_CTYPE=UTF-8",
        "LC_ALL=de_DE.UTF-8",
        "LC_ALL=C.UTF-8",
        "LC_ALL=",
        "LC_MESSAGES=nonsense",
        "LANG=de_DE",
        "LANGUAGE=de:fr",
        "LC_ALL=POSIX",
    ])("take no harm from a client's locale: %s", async (locale) => {
        const script = `${askpass} export '${locale}'; ssh -o 'SendEnv=LANG LANGUAGE LC_*' "$@" 'perl -e 1 2>&1; locale charmap 2>&1; printf "é\\n" | LESSCHARSET= less -F'`;
        expect(await sshClient(script)).toBe("UTF-8\né");
    });

    it("ask an agent with thirty keys for the password all the same", async () => {
        const script = `${askpass} eval "$(ssh-agent)" > /dev/null; for i in $(seq 30); do rm -f /root/k /root/k.pub;
            ssh-keygen -q -t ed25519 -N '' -f /root/k; ssh-add -q /root/k; done; ssh "$@" id -un; kill $SSH_AGENT_PID`;
        expect(await sshClient(script)).toBe("carbon");
    });

    it("copy by scp, sftp and rsync", async () => {
        const script = `${askpass} cd /root; echo text > sent; scp -q -P 2222 -o StrictHostKeyChecking=no sent carbon@127.0.0.1:by-scp
            echo put sent by-sftp | sftp -q -P 2222 -o StrictHostKeyChecking=no carbon@127.0.0.1 > /dev/null
            rsync -e 'ssh -p 2222 -o StrictHostKeyChecking=no' sent carbon@127.0.0.1:by-rsync`;
        await sshClient(script);
        expect(await run(container, ["sh", "-c", "cat ~/by-scp ~/by-sftp ~/by-rsync"], "carbon")).toBe(
            "text\ntext\ntext",
        );
    });

    it("know a terminal that the image does not", async () => {
        const seen = await run(
            container,
            [
                "script",
                "-qec",
                "TERM=xterm-nobody bash -ic 'echo $TERM'; TERM=xterm-nobody zsh -ic 'echo $TERM'",
                "/dev/null",
            ],
            "carbon",
        );
        expect(seen.replace(/\r/g, "").split("\n")).toEqual(["xterm-256color", "xterm-256color"]);
    });

    it("have the tools that an engineer expects", async () => {
        const names =
            "bc cmake ctest curl dig file gdb git-lfs htop jq less lsof make man nano nc openssl patch ping rsync sqlite3 ssh strace tmux tree unzip vim wget zip zstd";
        const missing = `for name in ${names}; do command -v $name > /dev/null || echo $name; done`;
        expect(await run(container, ["sh", "-c", missing], "carbon")).toBe("");
        const used = [
            "ping -c 1 -W 2 127.0.0.1 > /dev/null",
            "printf 'int main(void) { return 3; }' > p.c && gcc -g p.c -o p",
            "gdb --batch -ex 'break main' -ex run -ex 'print 6 * 7' ./p 2>&1 | grep -E '^\\$1|warning|not permitted'",
            "strace -o trace ./p; grep -c execve trace",
            "man -P cat tmux | head -1 | grep -c TMUX",
            "vim --version | grep -c '+syntax'",
        ];
        const seen = await run(
            container,
            ["bash", "-c", `cd /tmp && mkdir -p t && cd t; ${used.join("; ")}`],
            "carbon",
        );
        expect(seen.split("\n").filter(Boolean)).toEqual(["$1 = 42", "1", "1", "1"]);
    });

    it("find git at ease with /workspace, its branch main, and the host's name unless the user has another", async () => {
        await run(container, [
            "sh",
            "-c",
            "printf '[user]\\n\\tname = Host\\n' > /run/carbon/gitconfig; mkdir /workspace/other; git init -q /workspace/other; chown -R 4711:4711 /workspace/other",
        ]);
        const seen =
            "git -C /workspace/other status -sb && git config user.name; git config --global user.name Own; git config user.name";
        expect(await run(container, ["bash", "-c", `cd; ${seen}`], "carbon")).toBe(
            "## No commits yet on main\nHost\nOwn",
        );
    });

    it("have sudo say which password it wants", async () => {
        const seen = await exec(container, ["sh", "-c", "echo wrong | sudo --stdin true"], "carbon");
        expect(seen.output).toContain("[sudo] password for carbon, the one of SSH (./carbon credentials");
    });

    it("tell editors that attach who to be and where", async () => {
        const { Config } = await docker.getImage(image).inspect();
        expect(JSON.parse(Config.Labels["devcontainer.metadata"] ?? "")).toEqual([
            { remoteUser: "carbon", workspaceFolder: "/workspace" },
        ]);
    });

    it("get back at a start what root has made in the home, and nothing else", async () => {
        const made =
            "mkdir -p ~carbon/r/d && echo x > ~carbon/r/d/f && ln -s /etc/shadow ~carbon/r/link && touch ~carbon/r/game && chown games ~carbon/r/game";
        await run(container, ["bash", "-c", made]);
        await container.restart({ t: 30 });
        await untilHealthy(container);
        const stat =
            "stat --format=%U ~carbon/r ~carbon/r/d ~carbon/r/d/f ~carbon/r/link ~carbon/r/game /etc/shadow";
        expect((await run(container, ["bash", "-c", stat])).split("\n")).toEqual([
            ...["carbon", "carbon", "carbon", "carbon"],
            ...["games", "root"],
        ]);
    });
});
