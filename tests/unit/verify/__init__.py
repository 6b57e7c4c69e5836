"""Tests of carbon-verify: python3 -m unittest discover -s tests/unit/verify -t ."""
