import { renderTable } from "../tables";
import { baseRoute, type Comparison, type Ratio } from "./compare";
import { xml } from "./junit";

/** The comparison for a terminal: what was measured, with sizes and versions, and the ratios. */
export function comparisonTable(comparison: Comparison, width?: number): string {
    const { runs, tokens, ratios } = comparison;
    const rows = runs.flatMap((run) =>
        "error" in run
            ? [[run.route, run.where, "not measured", run.error]]
            : Object.entries(run.results).map(([name, { size, seconds }]) => [
                  `${run.route} (${run.device})`,
                  `${name}, ${size}`,
                  milliseconds(seconds),
                  ratioOf(ratios, `${run.route} (${run.device})`, name),
              ]),
    );
    const words = tokens.map((one) =>
        "error" in one
            ? [one.address, "tokens", "not measured", one.error]
            : [one.address, `tokens, ${one.model}`, `${(one.tokens / one.seconds).toFixed(1)} per s`, ""],
    );
    const versions = runs.flatMap((run) =>
        "error" in run
            ? []
            : [`${run.route}: ${described(run.versions)}, ${run.system}, ${run.threads} threads`],
    );
    const others = runs.filter(({ route }) => route !== baseRoute);
    return [
        renderTable(
            ["Route", "What", "Time", `Times as fast as the ${baseRoute}`],
            [...rows, ...words],
            width,
        ),
        "",
        ...versions,
        ...(others.length === 0 ? [`No route to a GPU was there to compare the ${baseRoute} with.`] : []),
    ].join("\n");
}

function described(versions: Record<string, string>): string {
    return Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(", ");
}

function ratioOf(ratios: readonly Ratio[], route: string, measurement: string): string {
    const found = ratios.find((one) => one.route === route && one.measurement === measurement);
    return found ? found.ratio.toFixed(2) : "";
}

function milliseconds(seconds: number): string {
    return `${(seconds * 1000).toFixed(seconds < 0.01 ? 2 : 1)} ms`;
}

const rowHeight = 34;
const left = 330;
const barWidth = 420;
const width = left + barWidth + 90;

/** The ratios as a picture: a bar for each, and a line where the container's CPU is. */
export function comparisonPicture({ ratios, runs, time, stack }: Comparison): string {
    const longest = Math.max(1, ...ratios.map(({ ratio }) => ratio));
    const top = 70;
    const height = top + Math.max(1, ratios.length) * rowHeight + 40;
    const scale = (ratio: number) => (ratio / longest) * barWidth;
    const one = left + scale(1);
    const versions = runs.flatMap((run) =>
        "error" in run ? [] : [`${run.route}: torch ${run.versions.torch ?? "?"}, ${run.system}`],
    );
    return [
        `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13">`,
        `<rect width="100%" height="100%" fill="#fff"/>`,
        text(16, 26, `Times as fast as the ${baseRoute}: stack ${stack}, ${time.slice(0, 10)}`, { size: 16 }),
        text(16, 48, versions.join("; "), { colour: "#555" }),
        ...(ratios.length === 0 ? [text(16, top + 20, "No route to a GPU was there to compare with.")] : []),
        ...ratios.flatMap(({ measurement, size, route, ratio }, index) => {
            const y = top + index * rowHeight;
            return [
                text(left - 10, y + 15, `${measurement}, ${route}`, { anchor: "end" }),
                text(left - 10, y + 28, size, { anchor: "end", size: 10, colour: "#777" }),
                `<rect x="${left}" y="${y + 4}" width="${scale(ratio).toFixed(1)}" height="20" rx="3" fill="#ee4c2c"/>`,
                text(left + scale(ratio) + 8, y + 19, ratio.toFixed(2)),
            ];
        }),
        `<line x1="${one.toFixed(1)}" x2="${one.toFixed(1)}" y1="${top - 6}" y2="${height - 34}" stroke="#3a6ea5" stroke-dasharray="4 3"/>`,
        text(one, height - 16, `1 = ${baseRoute}`, { anchor: "middle", colour: "#3a6ea5" }),
        "</svg>",
        "",
    ].join("\n");
}

function text(
    x: number,
    y: number,
    words: string,
    {
        anchor = "start",
        size = 13,
        colour = "#222",
    }: { anchor?: string; size?: number; colour?: string } = {},
): string {
    return `<text x="${x.toFixed(1)}" y="${y}" text-anchor="${anchor}" font-size="${size}" fill="${colour}">${xml(words)}</text>`;
}
