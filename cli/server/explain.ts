import { type Server, serverName } from "../../settings/server";
import { printableLine } from "../printable";
import { quoted } from "../quoted";

/**
 * What ssh, or Docker at the other end of it, has complained of, in a sentence that says what to do.
 *
 * @param said All of it: the reason is not always in the last line.
 */
export function explainServer(said: string, server: Server): string {
    const name = serverName(server);
    const login = ["ssh", ...(server.port ? ["-p", server.port] : []), name].join(" ");
    // By ~/.ssh/config ssh may file it under another name than the setting has.
    const [, filed] = /Host key for ([\w.:[\]-]+) has changed/.exec(said) ?? [];
    const known = quoted(filed ?? (server.port ? `[${server.host}]:${server.port}` : server.host));
    const sentences: [RegExp, string][] = [
        [
            /REMOTE HOST IDENTIFICATION HAS CHANGED/,
            `The server ${name} shows another host key than the one that is known of it. It was set up anew, or another machine answers in its place. Compare the key's fingerprint at the server itself (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub); only where it is the server, type: ssh-keygen -R ${known}, then: ${login} true`,
        ],
        [
            /Host key verification failed|No \S+ host key is known/,
            `The host key of ${name} is not known yet. Type: ${login} true (it shows the key's fingerprint; compare it with the server's own before you say yes)`,
        ],
        [
            /Permission denied \(/,
            `${name} refuses the login. It has to work without a question: \`ssh-copy-id\` brings your key there, \`ssh-add\` opens one with a passphrase. Try: ${login} true`,
        ],
        [
            /docker: (command )?not found|not found: docker|unknown command: docker|Unknown command.*docker/i,
            `There is no docker command on ${name}. Install Docker Engine there (https://docs.docker.com/engine/install/).`,
        ],
        [
            /permission denied.*docker/is,
            `You may not use Docker on ${name}. Type there: sudo usermod -aG docker "$USER", and log in anew.`,
        ],
        [
            /cannot connect to the docker daemon/i,
            `Docker does not run on ${name}. Start it there: sudo systemctl start docker`,
        ],
    ];
    const found = sentences.find(([expression]) => expression.test(said));
    return (
        found?.[1] ?? `The server ${name} does not answer (${lastWords(said)}). Try: ${login} docker version`
    );
}

/** Of Docker's command, what it quotes of ssh. */
function lastWords(said: string): string {
    const quoted = said.replace(/^.*stderr=/s, "");
    const lines = quoted.split("\n").filter((line) => line.trim());
    return printableLine(lines.at(-1)?.trim() ?? "no reason given").replace(/\.$/, "");
}
