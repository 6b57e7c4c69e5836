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
if (!fs.existsSync(path.join(__dirname, "..", "node_modules", "tsx"))) {
    giveUp("The Node packages are not installed. Type: make setup");
}

// The command is TypeScript, like the program it deploys; tsx compiles it as it is loaded. tsx would compile npm's
// ES modules, too, and then not find what execa imports: Node loads execa itself, and loads it first.
require("execa");
require("tsx/cjs");
require("./main.ts");
