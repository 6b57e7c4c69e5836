"""Downloads the pinned .NET Interactive from NuGet and makes Jupyter's kernels for C#, F# and PowerShell of it.

    install_dotnet_kernel.py VERSIONS.json OUT

VERSIONS.json maps dotnet-interactive to {"version", "url", "sha256"}; a file with another hash is an error, and so is one
that has gone. The program goes to OUT/opt/carbon/kernels/dotnet/tool, the kernels beside it. Where NuGet cannot be
reached, the build goes on without them: one line says so, and OUT/etc/carbon/unavailable/dotnetKernel holds it.
"""

import json
import pathlib
import shutil
import sys
import tempfile
import xml.etree.ElementTree
import zipfile
from typing import IO

from vendor_file import TRANSLATIONS, Unreachable, download, leave_out

KERNELS = pathlib.PurePath("opt/carbon/kernels/dotnet")
NOTE = pathlib.PurePath("etc/carbon/unavailable/dotnetKernel")
# The kernels' names and languages are those that .NET Interactive itself would install: notebooks name them.
LANGUAGES = {"csharp": "C#", "fsharp": "F#", "powershell": "PowerShell"}
# Of native libraries.
SYSTEMS = ("linux", "unix")


def wanted(path: pathlib.PurePath) -> bool:
    """Whether the image needs this file of the program."""
    if TRANSLATIONS & set(path.parts):
        return False
    return path.parts[0] != "runtimes" or path.parts[1].startswith(SYSTEMS)


def unpack(file: IO[bytes], destination: pathlib.Path) -> str:
    """Unpack the program from a package, whose layout is that of any .NET tool; return its assembly's name."""
    with zipfile.ZipFile(file) as package:
        settings = [name for name in package.namelist() if name.endswith("/any/DotnetToolSettings.xml")]
        if len(settings) != 1:
            sys.exit(f"Not one .NET tool, but {len(settings)}: {settings}")
        root = pathlib.PurePosixPath(settings[0]).parent
        for member in package.infolist():
            path = pathlib.PurePosixPath(member.filename)
            if member.is_dir() or not path.is_relative_to(root) or not wanted(path.relative_to(root)):
                continue
            target = destination / path.relative_to(root)
            if ".." in path.parts:
                sys.exit(f"{member.filename}: outside the package")
            target.parent.mkdir(parents=True, exist_ok=True)
            with package.open(member) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
        command = xml.etree.ElementTree.fromstring(package.read(settings[0])).find("Commands/Command")
    return command.attrib["EntryPoint"]


def kernel(program: pathlib.PurePath, name: str, language: str) -> dict:
    """The kernel.json for one language."""
    return {
        "argv": ["dotnet", f"/{program}", "jupyter", "--default-kernel", name, "{connection_file}"],
        "display_name": f".NET ({language})",
        "env": {
            "DOTNET_INTERACTIVE_CLI_TELEMETRY_OPTOUT": "1",
            # It was made for .NET 8, and runs on the image's.
            "DOTNET_ROLL_FORWARD": "Major",
        },
        "language": language,
    }


def main(versions: str, out: str) -> None:
    """Make the kernels, or record in `out` that they could not be had."""
    entry = json.loads(pathlib.Path(versions).read_text(encoding="utf-8"))["dotnet-interactive"]
    tool = KERNELS / "tool"
    try:
        with tempfile.TemporaryFile() as file:
            download(entry["url"], "sha256", entry["sha256"], file)
            program = tool / unpack(file, pathlib.Path(out) / tool)
    except Unreachable as error:
        leave_out(f".NET Interactive {entry['version']}", entry["url"], error, pathlib.Path(out) / NOTE)
        return
    for name, language in LANGUAGES.items():
        folder = pathlib.Path(out) / KERNELS / f".net-{name}"
        folder.mkdir()
        content = json.dumps(kernel(program, name, language), indent=4)
        (folder / "kernel.json").write_text(content + "\n", encoding="utf-8")
        for logo in (pathlib.Path(out) / tool).glob("**/logo-*.png"):
            shutil.copyfile(logo, folder / logo.name)


if __name__ == "__main__":
    main(*sys.argv[1:])
