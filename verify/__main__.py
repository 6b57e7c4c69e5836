"""Entry point, for `python3 -B /usr/local/lib/carbon/verify` as well as `python3 -B -m verify`.

With -B, because a check leaves nothing behind, byte code included.
"""

import os
import sys

if not __package__:
    # Started as a directory: sys.path[0] is the directory itself. Its parent belongs there, so that the
    # modules are imported as the package they are and shadow nothing of the standard library.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from verify.cli import main

if __name__ == "__main__":
    sys.exit(main())
