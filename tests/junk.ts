/** What file managers, editors, version control and tools leave behind. */
export const junk: readonly string[] = [
    ...[
        ".DS_Store",
        "._motd",
        ".AppleDouble/motd",
        "Icon\r",
        ".Trashes/x",
        ".Spotlight-V100/x",
        ".fseventsd/x",
    ],
    ...["Thumbs.db", "desktop.ini", ".directory", ".nfs0000001", ".fuse_hidden0001"],
    ...["motd~", ".motd~", "motd.~1~", ".#motd", "#motd#", "motd.bak", "motd.orig", "motd.rej", "motd.tmp"],
    ...[".motd.swp", ".motd.swo", ".swp", "motd.swp", ".motd.swx", ".motd.un~", "4913", ".~lock.motd#"],
    ...[".idea/workspace.xml", ".vscode/settings.json", "a.code-workspace", "a.iml", ".git/HEAD"],
    ...[
        "__pycache__/a.cpython-313.pyc",
        "a.pyc",
        "a.pyo",
        ".ruff_cache/x",
        ".mypy_cache/x",
        ".pytest_cache/x",
    ],
    ...[".ipynb_checkpoints/a-checkpoint.ipynb"],
];
