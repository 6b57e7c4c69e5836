import { threadedLimits } from "./limits";
import type { ServiceSpec } from "./types";

/** The container that a user works in: desktop, SSH, JupyterLab and code-server under one supervisor. */
export const workspace: ServiceSpec = {
    name: "workspace",
    title: "Workspace",
    image: "suite",
    command: ["workspace"],
    env: { CARBON_UID: "uid", CARBON_GID: "gid" },
    workspaceFolder: true,
    gpu: true,
    ports: [
        {
            name: "novnc",
            port: 6900,
            title: "Desktop in the browser (noVNC)",
            url: "http://{host}:{port}/",
            tlsUrl: "https://{host}:{port}/",
            loginUrl: "/#password={secret}",
            tlsLoginUrl: "/login#password={secret}",
            secret: "vnc",
            tlsSecret: "desktop",
            card: "Desktop",
            toolset: "desktop",
        },
        {
            name: "vnc",
            port: 5900,
            title: "Desktop (VNC)",
            url: "vnc://{host}:{port}",
            secret: "vnc",
            toolset: "desktop",
        },
        {
            name: "rdp",
            port: 3390,
            title: "Desktop (RDP)",
            // The form that Microsoft documents for its clients on a Mac; others take `{host}:{port}` by itself.
            url: "rdp://full%20address=s:{host}:{port}",
            // xrdp shows the desktop that VNC shows, and asks for its password.
            secret: "vnc",
            toolset: "desktop",
        },
        {
            name: "jupyter",
            port: 8888,
            title: "JupyterLab",
            url: "http://{host}:{port}/lab",
            tlsUrl: "https://{host}:{port}/lab",
            loginUrl: "/login?next=%2Flab#token={secret}",
            secret: "jupyter",
            compute: true,
        },
        {
            name: "codeServer",
            port: 9999,
            title: "VS Code in the browser (code-server)",
            url: "http://{host}:{port}/",
            tlsUrl: "https://{host}:{port}/",
            loginUrl: "/login#password={secret}",
            secret: "code-server",
            card: "VS Code",
            toolset: "codeServer",
            compute: true,
        },
        {
            name: "ssh",
            port: 2222,
            title: "Shell (SSH)",
            url: "ssh://carbon@{host}:{port}",
            secret: "ssh",
        },
    ],
    volumes: [{ name: "home", path: "/home/carbon" }],
    keys: "always",
    secrets: [
        { name: "ssh", key: "ssh", length: 24, field: "password", login: { user: "carbon" } },
        // The VNC protocol keeps eight characters of a password (RFC 6143, 7.2.2).
        { name: "vnc", key: "vnc", length: 8, field: "password", toolset: "desktop" },
        // Of the login page in front of noVNC, which is there with TLS.
        {
            name: "desktop",
            key: "desktop",
            length: 24,
            field: "password",
            login: { user: "carbon" },
            toolset: "desktop",
            tls: true,
        },
        { name: "jupyter", key: "jupyter", length: 24, field: "token", compute: true },
        {
            name: "code-server",
            key: "codeServer",
            length: 24,
            field: "password",
            toolset: "codeServer",
            compute: true,
        },
    ],
    health: { interval: "30s", timeout: "10s", startPeriod: "59s", startInterval: "1s", retries: 3 },
    // Besides what starts its services: files with the bits of their owner and group (FSETID), sshd's unprivileged
    // half (SYS_CHROOT) and its record of logins (AUDIT_WRITE), packages whose programs have capabilities (SETFCAP),
    // and ports below 1024. sudo gains privileges, so that these cannot be barred.
    ...threadedLimits,
    capabilities: [
        ...threadedLimits.capabilities,
        "AUDIT_WRITE",
        "FSETID",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SYS_CHROOT",
    ].sort(),
    noNewPrivileges: false,
    memory: "memory",
    stopTimeout: 15,
};
