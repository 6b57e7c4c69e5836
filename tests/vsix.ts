import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";

/** A file as an extension marketplace hands it out. */
export interface Vsix {
    path: string;
    sha256: string;
}

const pack = `
import json, sys, zipfile
path, files = sys.argv[1], json.loads(sys.argv[2])
with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
    for name, text in files.items():
        info = zipfile.ZipInfo(name)
        info.external_attr = (0o100755 if text.startswith("#!") else 0o100644) << 16
        archive.writestr(info, text)`;

/** Makes an extension's file in `folder`; of `files`, those that start with #! are programs. */
export function makeVsix(folder: string, id: string, version: string, files: Record<string, string>): Vsix {
    const [publisher = "", name = ""] = id.split(".");
    const manifest = {
        publisher,
        name,
        version,
        displayName: name,
        engines: { vscode: "^1.75.0" },
        main: "./main.js",
        activationEvents: ["onStartupFinished"],
    };
    const vsixManifest = `<?xml version="1.0" encoding="utf-8"?>
<PackageManifest Version="2.0.0" xmlns="http://schemas.microsoft.com/developer/vsx-schema/2011">
  <Metadata>
    <Identity Language="en-US" Id="${name}" Version="${version}" Publisher="${publisher}"/>
    <DisplayName>${name}</DisplayName>
    <Description>A test's</Description>
    <Properties><Property Id="Microsoft.VisualStudio.Code.Engine" Value="^1.75.0"/></Properties>
  </Metadata>
  <Installation><InstallationTarget Id="Microsoft.VisualStudio.Code"/></Installation>
  <Dependencies/>
  <Assets><Asset Type="Microsoft.VisualStudio.Code.Manifest" Path="extension/package.json" Addressable="true"/></Assets>
</PackageManifest>`;
    const contentTypes = `<?xml version="1.0" encoding="utf-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
  <Default Extension=".json" ContentType="application/json"/>
  <Default Extension=".js" ContentType="application/javascript"/>
  <Default Extension=".vsixmanifest" ContentType="text/xml"/>
</Types>`;
    const all = {
        "extension.vsixmanifest": vsixManifest,
        "[Content_Types].xml": contentTypes,
        "extension/package.json": JSON.stringify(manifest),
        ...Object.fromEntries(Object.entries(files).map(([path, text]) => [`extension/${path}`, text])),
    };
    const path = join(folder, `${id}-${version}.vsix`);
    execaSync("python3", ["-c", pack, path, JSON.stringify(all)]);
    return { path, sha256: createHash("sha256").update(readFileSync(path)).digest("hex") };
}
