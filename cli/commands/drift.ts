import { resourceName } from "@carbon/engine";
import type { Command } from "commander";
import pc from "picocolors";
import { containerName } from "../../catalogue/names";
import { action, type Handler } from "../action";
import { whyRestoring } from "../backup/journal";
import { stackContainers } from "../docker";
import { findDrift } from "../drift";
import { type Difference, describeLoss, ofKind } from "../drift/difference";
import type { ResourceDifference } from "../engines/types";
import { exitCodes } from "../errors";
import { printableLine } from "../printable";
import { renderTable } from "../tables";

/** `carbon drift`. */
export function addDrift(program: Command): void {
    program
        .command("drift")
        .description("compare the stack with what is really there; exit code 3 where something differs")
        .action(action(drift));
}

/** A row of the table: what the command found itself has a kind, what an engine would change its name and what would happen. */
type Row = Pick<Difference, "what" | "property" | "expected" | "found"> &
    Partial<Pick<Difference, "kind"> & Pick<ResourceDifference, "urn" | "operation">>;

/** Characters of a value in the table; the document has all of them. */
const longestValue = 120;

const drift: Handler<unknown> = async (session) => {
    const settings = session.settings();
    const engine = await session.announcedEngine();
    const own = (await findDrift(session, engine)).differences;
    // What differs is found already, and an engine's look may change it: the Docker provider deletes what is stopped.
    const rest = await engine.drift(session.request(settings), { refresh: own.length === 0 });
    const rows: Row[] = [...own, ...rest.differences.flatMap(rowsOf)];
    const clean = rows.length === 0;
    const table = renderTable(
        ["What", "Property", "Expected", "Found"],
        rows.map(({ what, property, expected, found }) => [
            what,
            property,
            short(expected),
            { text: short(found), colour: pc.red },
        ]),
        session.width,
    );
    const flag = ofKind(own, "foreign-container", "foreign-network").length > 0 ? " --replace-foreign" : "";
    const stopped = ofKind(own, "stopped", "paused").map(({ what }) => what);
    const start =
        stopped.length > 0
            ? `\n${pc.yellow("Stopped:")} ${stopped.map(printableLine).join(", ")}. \`./carbon start${session.stackFlag()}\` starts them as they are.`
            : "";
    const lost = ofKind(own, "missing-volume").map(({ what }) => `\n${describeLoss(what, session)}`);
    const unfinished = whyRestoring(session);
    const advice = unfinished
        ? `${pc.red("Drift:")} ${unfinished}`
        : `${pc.red("Drift:")} \`./carbon up${flag}${session.stackFlag()}\` puts it right.${lost.join("")}${start}`;
    const isDown = own.length === 0 && !clean && (await stackContainers(session.stack)).length === 0;
    const differs = isDown ? await session.whyNothingRuns() : `\n${table}\n\n${advice}`;
    const text = clean
        ? `${pc.green("No drift:")} the stack ${session.stack} is what it was deployed as.`
        : differs;
    session.output.result(text, {
        stack: session.stack,
        engine: engine.name,
        clean,
        changes: rest.changes,
        stopped: stopped.length > 0 ? stopped.map((name) => containerName(session.stack, name)) : undefined,
        differences: rows.map(({ kind, what, property, expected, found, urn, operation }) => ({
            ...{ kind, what, property, expected, found, urn, operation },
        })),
    });
    return clean ? 0 : exitCodes.drift;
};

function short(value: string): string {
    return value.length > longestValue ? `${value.slice(0, longestValue)}…` : value;
}

/** What an engine would do, by the name that the program gives a resource; of what is not there, all differs. */
function rowsOf({ urn, operation, properties }: ResourceDifference): Row[] {
    const what = resourceName(urn) || urn;
    const whole = { name: "resource", expected: "as deployed", found: `up would ${operation} it` };
    const isThere = properties.length > 0 && operation !== "create";
    return (isThere ? properties : [whole]).map(({ name, expected, found }) => ({
        ...{ what, property: name, expected, found, urn, operation },
    }));
}
