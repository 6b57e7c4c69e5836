/** Writes what follows from the code: Pulumi.yaml's configuration schema and docs/reference.md. */
import * as fs from "node:fs";
import * as path from "node:path";
import { pulumiYaml, reference } from "./reference";

const project = path.resolve(__dirname, "..");

fs.writeFileSync(path.join(project, "Pulumi.yaml"), pulumiYaml());
fs.writeFileSync(path.join(project, "docs/reference.md"), reference());
