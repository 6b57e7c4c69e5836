import type { Command } from "commander";
import { action, type Handler } from "../action";
import { stackOutputs } from "../documents";
import { UserError } from "../errors";
import { knownHostsFile, sshAlias, writeKnownHosts } from "../knownHosts";
import { hostAndPort } from "../login";

const user = "carbon";

/** `carbon ssh-config`. */
export function addSshConfig(program: Command): void {
    program
        .command("ssh-config")
        .description("print the block for ~/.ssh/config: for ssh, scp, rsync, and VS Code's Remote-SSH")
        .action(action(sshConfig));
}

const sshConfig: Handler<unknown> = async (session) => {
    const { urls } = await session.outputsAs(stackOutputs, { showSecrets: false });
    const { host, port } = hostAndPort(urls.ssh ?? "");
    if (!(await writeKnownHosts(session))) {
        throw new UserError(
            `The workspace of ${session.stack} does not run, so its host key cannot be read. Type: ./carbon up${session.stackFlag()}`,
        );
    }
    const knownHosts = knownHostsFile(session);
    const alias = sshAlias(session.stack);
    session.output.result(
        [
            `Host ${alias}`,
            `  HostName ${host}`,
            `  Port ${port}`,
            `  User ${user}`,
            // Another stack, or this one anew, at the same address has another key.
            `  HostKeyAlias ${alias}`,
            `  UserKnownHostsFile ${quoted(knownHosts)}`,
            "  StrictHostKeyChecking yes",
            "  ForwardAgent no",
        ].join("\n"),
        { stack: session.stack, host: alias, hostName: host, port: Number(port), user, knownHosts },
    );
};

/** As ssh_config(5) takes it: blanks within quotes, a percent sign twice. */
function quoted(path: string): string {
    const text = path.replaceAll("%", "%%");
    return /[\s"']/.test(text) ? `"${text.replace(/(["\\])/g, "\\$1")}"` : text;
}
