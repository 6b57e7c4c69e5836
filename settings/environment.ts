/** Bytes of a value: Linux allows 128 KiB for one variable (MAX_ARG_STRLEN), and a login shell's file holds shorter ones. */
const longestValue = 32 * 1024;
const mostVariables = 200;

/** Names that the suite's other settings stand for. */
const settingsFor: Record<string, string> = {
    OPENAI_BASE_URL: "llmUrl",
    OPENAI_API_KEY_FILE: "llmKey",
    ...Object.fromEntries(
        ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "FTP_PROXY"].flatMap((name) => [
            [name, "proxy"],
            [name.toLowerCase(), "proxy"],
        ]),
    ),
    ...Object.fromEntries(
        [
            ...["AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT"],
            ...["REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"],
        ].map((name) => [name, "extraCaCertificates"]),
    ),
};

// What the shell, the login or the desktop of a container sets, and what has its root's programs load or run a file.
const own = new RegExp(
    `^(?:${[
        ...[
            "_",
            "HOME",
            "HOSTNAME",
            "LOGNAME",
            "OLDPWD",
            "PATH",
            "PWD",
            "SHELL",
            "SHLVL",
            "TERM",
            "USER",
            "VIRTUAL_ENV",
        ],
        ...["DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "CARBON_\\w+"],
        ...[
            "BASH\\w*",
            "CDPATH",
            "ENV",
            "EUID",
            "GLOBIGNORE",
            "IFS",
            "POSIXLY_CORRECT",
            "PPID",
            "PS4",
            "SHELLOPTS",
            "UID",
        ],
        ...["GCONV_PATH", "GLIBC_TUNABLES", "LD_\\w+", "LOCPATH", "MALLOC_\\w+", "NLSPATH", "OPENSSL_\\w+"],
    ].join("|")})$`,
);

/** Why variables of the setting `environment` are refused, a sentence for each; values are never told. */
export function whyNotEnvironment(variables: Record<string, string>): string[] {
    const count = Object.keys(variables).length;
    return [
        ...(count > mostVariables ? [`it has ${count} variables. Allowed: up to ${mostVariables}.`] : []),
        ...Object.entries(variables).flatMap(([name, value]) => {
            const reason = whyNotVariable(name, value);
            return reason ? [reason] : [];
        }),
    ];
}

function whyNotVariable(name: string, value: string): string | undefined {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
        return `${JSON.stringify(name)} is no name of a variable. Allowed: letters, digits and _, without a digit in front.`;
    }
    if (settingsFor[name]) {
        return `${name} has a setting of its own. Use ${settingsFor[name]}.`;
    }
    if (own.test(name)) {
        return `${name} is set by the suite, or decides what its own programs run. Leave it out.`;
    }
    // Logins read their variables from a file with one a line.
    if (/[\n\r\0]/.test(value)) {
        return `${name} has more than one line. Put the text into a file in /workspace, and its path here.`;
    }
    return Buffer.byteLength(value) > longestValue
        ? `${name} has more than ${longestValue} bytes. Put the text into a file in /workspace, and its path here.`
        : undefined;
}
