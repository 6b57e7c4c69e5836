import { type Command, InvalidArgumentError } from "commander";
import pc from "picocolors";
import { everyService } from "../../catalogue";
import { action, type Handler } from "../action";
import { stackOutputs } from "../documents";
import { UserError } from "../errors";

const names = everyService.flatMap((service) => service.ports.map(({ name }) => name));

/** `carbon open`. */
export function addOpen(program: Command): void {
    program
        .command("open")
        .argument(
            "[what]",
            `what to open: ${names.join(", ")} (default: jupyter, or novnc without it)`,
            parseName,
        )
        .description("open JupyterLab or another address of the stack in the browser")
        .action(action(open));
}

function parseName(name: string): string {
    if (!names.includes(name)) {
        throw new InvalidArgumentError(`Allowed: ${names.join(", ")}.`);
    }
    return name;
}

const open: Handler<unknown> = async (session, _options, [what]) => {
    const { urls } = await session.outputsAs(stackOutputs, { showSecrets: false });
    const name = what ?? ["jupyter", "novnc", "ssh"].find((candidate) => candidate in urls) ?? "";
    const url = urls[name];
    if (!url) {
        throw new UserError(
            `The stack ${session.stack} has no ${name}. It has: ${Object.keys(urls).join(", ")}.`,
        );
    }
    const shown = session.output.json || !hasDisplay() ? url : `Opening ${pc.bold(url)}`;
    if (!session.output.json && hasDisplay()) {
        // Without the token or password: other users of the machine can read a browser's command line.
        const { default: openInBrowser } = await import("open");
        await openInBrowser(url);
    }
    session.output.result(shown, { stack: session.stack, name, url });
    session.output.note(`It asks for a login: ./carbon credentials${session.stackFlag()}`);
};

function hasDisplay(): boolean {
    const { DISPLAY, WAYLAND_DISPLAY, SSH_CONNECTION } = process.env;
    return process.platform === "darwin" ? !SSH_CONNECTION : Boolean(DISPLAY || WAYLAND_DISPLAY);
}
