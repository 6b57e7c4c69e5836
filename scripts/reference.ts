import { stringify } from "yaml";
import { boundedLog, everyService, keysVolume, type PortSpec, type ServiceSpec } from "../catalogue";
import { baseToolsets, computeToolsets, toolsetNeeds } from "../catalogue/toolsets";
import { type Setting, settingDefinitions } from "../settings/schema";
import { type Extension, extensions } from "./extensions";

/** Text of Pulumi.yaml: the project and its configuration schema. */
export function pulumiYaml(): string {
    const config = Object.fromEntries(
        Object.entries<Setting>(settingDefinitions).map(([key, { rule, description, default: value }]) => [
            key,
            { type: rule.type, ...(rule.items && { items: rule.items }), description, default: value },
        ]),
    );
    const project = {
        name: "carbon",
        description: "Carbon macOS Suite: a complete AI development environment in containers",
        runtime: { name: "nodejs", options: { packagemanager: "npm" } },
        config,
    };
    return `# The schema under config is written by \`npm run generate\`, from settings/schema.ts.\n${stringify(project, { lineWidth: 110 })}`;
}

/** Text of docs/reference.md. */
export function reference(): string {
    return [
        "# Reference",
        "",
        "Written by `npm run generate` from `settings/`, `catalogue/` and the list of code-server's extensions.",
        "",
        "## Configuration",
        "",
        "Set these in `Pulumi.<stack>.yaml` under the prefix `carbon:`, or with `./carbon pulumi config set`.",
        "",
        ...Object.entries<Setting>(settingDefinitions).flatMap(([key, setting]) =>
            settingSection(key, setting),
        ),
        "## Toolsets",
        "",
        `- base image: ${baseToolsets.map(code).join(", ")}; [every program of theirs](programs.md), with versions`,
        `- compute image: ${computeToolsets.map(code).join(", ")}`,
        ...Object.entries(toolsetNeeds).map(
            ([toolset, needs]) => `- ${code(toolset)} needs ${needs.map(code).join(", ")}`,
        ),
        "",
        "## Services",
        "",
        "Each container has the Linux capabilities listed, and no others; Docker keeps at most",
        `${boundedLog["max-file"]} files of ${boundedLog["max-size"].replace("m", " MB")} of its log.`,
        "",
        ...everyService.flatMap((service) => [
            `### ${service.title}`,
            "",
            `${containers(service)} ${image(service.image)}`,
            "",
            "| port | name | what answers | login (`./carbon credentials`) |",
            "| --- | --- | --- | --- |",
            ...service.ports.map(
                (port) => `| ${port.port} | \`${port.name}\` | ${port.title} | ${login(service, port)} |`,
            ),
            "",
            volumes(service),
            "",
            limits(service),
            "",
        ]),
        "### Connections from the workspace",
        "",
        "No variable holds a password: each lies in a file that the user `carbon` can read. PostgreSQL's clients find it",
        "by themselves. A variable that the setting `environment` has stays as it is there.",
        "",
        "| service | host and port | user | password file | address | Python |",
        "| --- | --- | --- | --- | --- | --- |",
        ...everyService.flatMap(connections),
        "",
        "## Extensions of code-server",
        "",
        `${extensions.length}, in the compute image where its build could reach the registry.`,
        "",
        "| for | extension | version | what it does |",
        "| --- | --- | --- | --- |",
        ...byGroup(extensions).map(
            ({ group, id, version, use }) => `| ${group} | \`${id}\` | ${version} | ${use} |`,
        ),
        "",
        "## Outputs",
        "",
        "| output | holds |",
        "| --- | --- |",
        "| `urls` | address of everything that answers, by port name |",
        "| `images` | `ref`, `digest` and `platforms` of `base` and `compute` |",
        "| `containers` | `name` and `id` of each container, by service |",
        "| `verification` | the check's JSON document; `null` where `verify` is `off` |",
        "| `gpu` | `route` to a GPU, and `found`: what was seen of it; route `none` where `gpu` is off: a Linux container on a Mac has no Metal |",
        "| `credentials` | logins by what they open; a secret |",
        "",
    ].join("\n");
}

function settingSection(key: string, { rule, default: value, description }: Setting): string[] {
    const { type, items, allowed } = rule;
    return [
        `### ${key}`,
        "",
        description,
        "",
        `- type: ${type}${items ? ` of ${items.type}` : ""}`,
        `- default: \`${JSON.stringify(value)}\``,
        `- allowed: ${allowed}`,
        "",
    ];
}

function containers({ name, count }: ServiceSpec): string {
    return count
        ? `Containers \`carbon-<stack>-${name}-1\` and so on, as many as ${code(count)} says; on the suite's network \`${name}-1\` and so on.`
        : `Container \`carbon-<stack>-${name}\`, on the suite's network \`${name}\`.`;
}

const suiteImages = {
    base: "From the base image.",
    compute: "From the compute image.",
    suite: "From the compute image, or the base image where `compute` is off.",
};

function image(from: ServiceSpec["image"]): string {
    return typeof from === "object" ? `Image \`${from.ref}\`.` : suiteImages[from];
}

function volumes(service: ServiceSpec): string {
    const list = service.volumes.map(({ name, path, shared }) => {
        const place = `\`carbon-<stack>-${name}\` at \`${path}\``;
        return shared ? `${place}, in the workspace too` : place;
    });
    if (service.keys) {
        const place = `\`carbon-<stack>-${keysVolume.name}\` at \`${keysVolume.path}\``;
        list.push(service.keys === "tls" ? `with TLS ${place}` : place);
    }
    return `Volumes: ${list.join(", ") || "none"}.`;
}

function limits({ capabilities, noNewPrivileges, processes }: ServiceSpec): string {
    return [
        `Capabilities: ${capabilities.map(code).join(", ") || "none"}.`,
        `At most ${processes} processes and threads.`,
        ...(noNewPrivileges ? ["No program gains privileges."] : []),
    ].join(" ");
}

function login({ secrets }: ServiceSpec, { secret, tlsSecret }: PortSpec): string {
    const key = (name: string) => code(secrets.find((spec) => spec.name === name)?.key ?? name);
    if (!secret) {
        return "none";
    }
    return tlsSecret ? `${key(secret)}; with TLS ${key(tlsSecret)}` : key(secret);
}

function connections({ name, title, ports: [port], secrets: [secret], connection }: ServiceSpec): string[] {
    if (!connection || !port) {
        return [];
    }
    const { variable, at = `${name}:${port.port}`, python, tlsPython } = connection;
    const cells = [
        title,
        code(at),
        secret?.login?.user ? code(secret.login.user) : "",
        secret ? code(`/run/carbon/user/${secret.name}`) : "none",
        variable ? code(variable) : "",
        tlsPython ? `${code(python)}; with TLS ${code(tlsPython)}` : code(python),
    ];
    return [`| ${cells.join(" | ")} |`];
}

function byGroup(list: Extension[]): Extension[] {
    return [...list].sort((one, other) => one.group.localeCompare(other.group, "en"));
}

function code(text: string): string {
    return `\`${text}\``;
}
