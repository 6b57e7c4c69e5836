"""What users configure for the clients that the checks start is not handed on."""

import unittest

from verify.environment import Environment


class Personal(unittest.TestCase):
    """The environment of a program that a check starts."""

    def setUp(self) -> None:
        self.env = Environment(
            variables={
                "PATH": "/usr/bin:/bin",
                "GALLIUM_DRIVER": "llvmpipe",
                "LANG": "C.UTF-8",
                "PGHOSTADDR": "192.0.2.1",
                "PGSERVICE": "mine",
                "PSQLRC": "/nowhere",
                "REDISCLI_AUTH": "mine",
                "PYTHONPATH": "/nowhere",
                "LD_PRELOAD": "/nowhere.so",
                "https_proxy": "http://192.0.2.1:1",
                "XDG_CONFIG_HOME": "/nowhere",
            }
        )
        self.addCleanup(self.env.close)

    def test_the_image_s_settings_stay_and_a_user_s_go(self) -> None:
        finished = self.env.run("env", PGHOST="postgres")
        seen = dict(line.partition("=")[::2] for line in finished.stdout.splitlines())
        self.assertEqual((seen["GALLIUM_DRIVER"], seen["LANG"], seen["PGHOST"]), ("llvmpipe", "C.UTF-8", "postgres"))
        for name in ("PGHOSTADDR", "PGSERVICE", "PSQLRC", "REDISCLI_AUTH", "PYTHONPATH", "LD_PRELOAD", "https_proxy"):
            self.assertNotIn(name, seen)
        self.assertNotIn("XDG_CONFIG_HOME", seen)
        self.assertNotEqual(seen["HOME"], self.env.variables.get("HOME"))
