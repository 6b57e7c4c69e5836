#!/usr/bin/env node
// The command is TypeScript, like the program it deploys; tsx compiles it as it is loaded. tsx would compile npm's
// ES modules, too, and then not find what execa imports: Node loads execa itself, and loads it first.
require("execa");
require("tsx/cjs");
require("./main.ts");
