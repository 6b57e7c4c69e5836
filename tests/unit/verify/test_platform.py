from __future__ import annotations

from verify.checks import CHECKS
from verify.checks.platform import platform
from verify.run import run_checks

from .fakes import COMPUTE_TOOLSETS, WorkspaceTestCase


class Platform(WorkspaceTestCase):
    def machine(self, machine: str, kernel: str, program: str = "/usr/bin/python3.13") -> None:
        self.env.machine = machine
        self.write("/proc/sys/kernel/arch", f"{kernel}\n")
        link = self.root / "proc/thread-self/exe"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(program)

    def test_passes_where_image_and_machine_agree(self) -> None:
        self.machine("x86_64", "x86_64")
        result = self.run_check(platform)
        self.assertResult(result, "PASS", "linux/amd64, native")
        self.assertEqual(result.hint, "")

    def test_knows_arm64_under_linuxs_name(self) -> None:
        self.image("compute", COMPUTE_TOOLSETS, "linux/arm64")
        self.machine("aarch64", "aarch64")
        self.assertResult(self.run_check(platform), "PASS", "linux/arm64, native")

    def test_fails_where_the_image_was_built_for_another_machine(self) -> None:
        self.machine("aarch64", "aarch64")
        self.assertResult(
            self.run_check(platform), "FAIL", "the image says linux/amd64, the machine is linux/arm64"
        )

    def test_warns_of_emulation_that_shows_in_the_kernels_architecture(self) -> None:
        self.machine("x86_64", "aarch64")
        result = self.run_check(platform)
        self.assertResult(result, "PASS", "linux/amd64, emulated by something on a linux/arm64 kernel")
        self.assertIn("carbon:platforms", result.hint)

    def test_warns_of_emulation_by_name_where_the_emulators_binary_shows(self) -> None:
        self.image("compute", COMPUTE_TOOLSETS, "linux/arm64")
        self.machine("aarch64", "x86_64", "/usr/bin/qemu-aarch64-static")
        self.assertResult(self.run_check(platform), "PASS", "emulated by qemu-aarch64-static")

    def test_takes_a_kernel_that_does_not_tell_its_architecture_for_native(self) -> None:
        self.assertResult(self.run_check(platform), "PASS", "native")

    def test_fails_where_the_image_says_nothing_and_skips_what_depends_on_it(self) -> None:
        for text, observed in (("{", "is not JSON"), ("[]", "lacks"), ('{"image": "base"}', "lacks")):
            with self.subTest(text):
                self.write("/etc/carbon/image.json", text)
                self.assertResult(self.run_check(platform), "FAIL", observed)
        (self.root / "etc/carbon/image.json").unlink()
        self.assertResult(self.run_check(platform), "FAIL", "/etc/carbon/image.json is missing")


class Skips(WorkspaceTestCase):
    def statuses(self) -> dict[str, str]:
        return {row.id: row.status.value for row in run_checks(CHECKS, self.env)}

    def looked_at(self) -> set[str]:
        return {id for id, status in self.statuses().items() if status != "SKIP"}

    def test_a_slim_image_without_services_skips_all_but_platform_and_ssh(self) -> None:
        self.image("base", [])
        self.services = {"workspace": {**self.services["workspace"], "ports": {"ssh": 9}}}
        self.write_document()
        self.assertEqual(self.looked_at(), {"platform", "ssh"})

    def test_an_image_that_nobody_deployed_is_looked_at_alone(self) -> None:
        (self.root / "run/carbon/services.json").unlink()
        self.assertEqual(
            self.looked_at(),
            {
                *("platform", "opengl", "vulkan", "torch", "torch-index", "mps"),
                *("tensorflow", "tensorflow-metal", "frameworks"),
            },
        )

    def test_a_broken_document_is_a_fail_of_whatever_asks_for_it(self) -> None:
        for text in ("{", "[]", '{"services"'):
            with self.subTest(text):
                self.write("/run/carbon/services.json", text)
                observed = {row.id: row.observed for row in run_checks(CHECKS, self.fresh())}
                self.assertIn("is no document of services", observed["ssh"])
                self.assertIn("is no document of services", observed["redis"])

    def test_the_reason_names_what_is_off(self) -> None:
        self.image("base", [])
        self.services = {"workspace": {**self.services["workspace"], "ports": {}}}
        self.write_document()
        observed = {row.id: row.observed for row in run_checks(CHECKS, self.env)}
        self.assertEqual(observed["opengl"], "toolset graphics is not in this image")
        self.assertEqual(observed["code-server"], "the workspace of this stack has no port codeServer")
        self.assertEqual(observed["postgres"], "service postgres is not in this stack")
