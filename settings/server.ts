/** A machine that is reached over SSH. */
export interface Server {
    /** As ssh's own configuration has it where absent. */
    user?: string;
    host: string;
    port?: number;
}

// Neither part begins with a hyphen, by which a program would take it for an option.
const address =
    /^ssh:\/\/(?:([A-Za-z0-9_][A-Za-z0-9_.-]*)@)?([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::(\d{1,5}))?$/;

/** The server of an address `ssh://[user@]host[:port]`; undefined of any other. */
export function parseServer(url: string): Server | undefined {
    const [, user, host, port] = address.exec(url) ?? [];
    if (!host || Number(port ?? 22) < 1 || Number(port ?? 22) > 65535) {
        return undefined;
    }
    return {
        ...(user && { user }),
        host: host.replace(/^\[|\]$/g, ""),
        ...(port && { port: Number(port) }),
    };
}

/** For people, and as ssh takes it: `user@host`. */
export function serverName({ user, host }: Server): string {
    return user ? `${user}@${host}` : host;
}

/** Arguments of `ssh` that name the server; what follows them is the command. */
export function sshArguments(server: Server): string[] {
    return [...(server.port ? ["-p", String(server.port)] : []), "--", serverName(server)];
}

/**
 * Arguments of `ssh` that have it ask nobody, connect to no machine whose key is not known, and lend that one neither the
 * user's agent nor the screen.
 */
export const strictSsh: readonly string[] = [
    ...["-a", "-x"],
    ...["-o", "BatchMode=yes"],
    ...["-o", "StrictHostKeyChecking=yes"],
    ...["-o", "ConnectTimeout=15"],
];
