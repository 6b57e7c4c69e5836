// What the executable `carbon` hands over to. It must parse in a Node that is too old for the rest.
const fs = require("node:fs");
const path = require("node:path");

function giveUp(sentence) {
    console.error(`error: ${sentence}`);
    process.exit(1);
}

const oldest = [20, 19];
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
    giveUp(`Node.js ${process.versions.node} is too old. Type: make setup`);
}
if (!fs.existsSync(path.join(__dirname, "..", "node_modules", "esbuild"))) {
    giveUp("The Node packages are not installed. Type: make setup");
}

if (process.env.CARBON_DEBUG) {
    process.setSourceMapsEnabled(true);
}
void require("./bundle.js").load();
