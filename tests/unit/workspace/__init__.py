"""Tests of programs that the compute image brings."""

import sys
from pathlib import Path

ROOTFS = Path(__file__).parents[3] / "dockerfiles/compute/rootfs/always"
PROGRAMS = ROOTFS / "usr/local/lib/carbon"
sys.path[:0] = [str(PROGRAMS), str(ROOTFS / "opt/carbon/venv/lib/python3.13/site-packages")]
