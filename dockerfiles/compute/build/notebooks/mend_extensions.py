"""Mends JupyterLab's extensions where their makers have not yet: python3 mend_extensions.py ENVIRONMENT.

Each edit says what it expects to find and how often. A new version in which that has changed ends the build: look whether
the edit is still needed.
"""

import py_compile
import sys
from dataclasses import dataclass
from pathlib import Path

PACKAGES = "lib/python3.13/site-packages"
EXTENSIONS = "share/jupyter/labextensions"


@dataclass(frozen=True)
class Edit:
    """Replaces `old` by `new` in the one file that the pattern and `old` itself find."""

    pattern: str
    old: str
    new: str
    times: int = 1


# The Variables panel asks of each variable whether it is a tensor, and to ask imported PyTorch into every kernel: 2 s and
# 500 MB for `x = 1`. What the notebook has not imported, none of its variables is of.
LOADED = f"{PACKAGES}/variable_explorer/kernel/loaded.py"
LOADED_SOURCE = '''\
"""Libraries by name, as far as the notebook has imported them; of the others nothing is an instance."""

import sys


class _Absent:
    def __getattr__(self, name):
        return ()


def __getattr__(name):
    return sys.modules.get(name) or _Absent()
'''

EDITS = (
    Edit(f"{PACKAGES}/variable_explorer/kernel/introspection.py", "  import torch\n", "  from .loaded import torch\n", 3),
    Edit(
        f"{PACKAGES}/variable_explorer/kernel/introspection.py",
        "  import numpy as np\n",
        "  from .loaded import numpy as np\n",
        4,
    ),
    Edit(
        f"{PACKAGES}/variable_explorer/kernel/introspection.py",
        "  import pandas as pd\n",
        "  from .loaded import pandas as pd\n",
        6,
    ),
    Edit(f"{PACKAGES}/variable_explorer/kernel/data_provider.py", "  import torch\n", "  from .loaded import torch\n"),
    Edit(f"{PACKAGES}/variable_explorer/kernel/serialization.py", "  import torch\n", "  from .loaded import torch\n"),
    # Git's dialog takes a clone for a download and the other way round, so that what it clones has no .git
    # (jupyterlab-git's issue 1529).
    Edit(
        f"{EXTENSIONS}/@jupyterlab/git/static/*.js",
        'versioning:!!this.node.querySelector("#download").checked',
        'versioning:!this.node.querySelector("#download").checked',
    ),
    # The file browser opens the notebook of /lab/tree/NOTEBOOK once more, beside JupyterLab itself, and asks for one of a
    # strange name where the address has no /tree/.
    Edit(
        f"{EXTENSIONS}/jupyterlab-unfold/static/lib_index_js.*.js",
        "app.restored.then(async () => {",
        "app.restored.then(async () => { return;",
    ),
)


def apply(environment: Path, edit: Edit) -> None:
    """Makes the edit; says which one does not fit."""
    found = [
        (path, text)
        for path in sorted(environment.glob(edit.pattern))
        if edit.old in (text := path.read_text(encoding="utf-8"))
    ]
    if len(found) != 1 or found[0][1].count(edit.old) != edit.times:
        times = [text.count(edit.old) for _, text in found]
        sys.exit(f"{edit.pattern}: {edit.old!r} is there {times or 'not at all'}, expected in one file, {edit.times} times.")
    path, text = found[0]
    path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
    if path.suffix == ".py":
        py_compile.compile(str(path), doraise=True)


def main() -> None:
    """Makes every edit."""
    environment = Path(sys.argv[1])
    loaded = environment / LOADED
    loaded.write_text(LOADED_SOURCE, encoding="utf-8")
    py_compile.compile(str(loaded), doraise=True)
    for edit in EDITS:
        apply(environment, edit)


main()
