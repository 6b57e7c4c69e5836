"""The kernel of Python notebooks, with the user's packages; with the image's alone where ipykernel does not start with them."""

import os
import sys

IMAGE = "/opt/carbon/venv"

try:
    from ipykernel import kernelapp
except Exception as error:
    if sys.prefix == IMAGE and sys.flags.no_user_site:
        raise
    # On the server's stderr, which is its log.
    print(
        f"The Python kernel does not start with your packages ({type(error).__name__}: {error}); "
        "it runs with the image's alone. In a terminal, pip uninstall removes what it stumbled over.",
        file=sys.stderr,
        flush=True,
    )
    # -s: without the user's packages.
    python = f"{IMAGE}/bin/python"
    os.execv(python, [python, "-s", "-Xfrozen_modules=off", __file__, *sys.argv[1:]])

# As `python -m ipykernel_launcher`: the notebook's folder comes first, and not this file's.
sys.path.pop(0)
kernelapp.launch_new_instance()
