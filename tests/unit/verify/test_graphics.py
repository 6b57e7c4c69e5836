from __future__ import annotations

from verify.checks.graphics import opengl, vulkan

from .fakes import BASE_TOOLSETS, WorkspaceTestCase, recorded

GLXINFO = recorded("glxinfo-llvmpipe.txt")
VULKANINFO = recorded("vulkaninfo-lavapipe.txt")
DESKTOP_SOCKET = "/tmp/.X11-unix/X1"


class OpenGl(WorkspaceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.write(DESKTOP_SOCKET, "")

    def test_passes_on_llvmpipe(self) -> None:
        self.program("glxinfo", prints=GLXINFO)
        self.assertResult(self.run_check(opengl), "PASS", "llvmpipe", "accelerated: no, core profile 4.5")

    def test_minds_neither_llvms_version_nor_the_vector_width(self) -> None:
        self.program("glxinfo", prints=GLXINFO.replace("LLVM 19.1.7, 256 bits", "LLVM 21.1.0, 128 bits"))
        self.assertResult(self.run_check(opengl), "PASS", "LLVM 21.1.0, 128 bits")

    def test_takes_a_newer_core_profile(self) -> None:
        self.program(
            "glxinfo", prints=GLXINFO.replace("core profile version: 4.5", "core profile version: 4.10")
        )
        self.assertResult(self.run_check(opengl), "PASS", "core profile 4.10")

    def test_fails_on_another_renderer_an_accelerated_one_and_an_old_profile(self) -> None:
        for text, changed in (
            ("OpenGL renderer string: llvmpipe", "OpenGL renderer string: softpipe"),
            ("Accelerated: no", "Accelerated: yes"),
            ("Max core profile version: 4.5", "Max core profile version: 3.3"),
            ("Max core profile version: 4.5", ""),
        ):
            with self.subTest(changed):
                self.program("glxinfo", prints=GLXINFO.replace(text, changed))
                self.assertResult(self.run_check(opengl), "FAIL")

    def test_takes_the_devices_renderer_where_dev_dri_is_passed_in(self) -> None:
        self.gpu = "dri"
        self.write_document()
        device = GLXINFO.replace("llvmpipe", "AMD Radeon 780M").replace("Accelerated: no", "Accelerated: yes")
        for text in (device, GLXINFO):
            self.program("glxinfo", prints=text)
            self.assertResult(self.run_check(opengl), "PASS")
        for text in (device.replace("Accelerated: yes", "Accelerated: no"), GLXINFO.replace("4.5", "3.1")):
            self.program("glxinfo", prints=text)
            self.assertResult(self.run_check(opengl), "FAIL")

    def test_uses_the_desktops_display_and_authority(self) -> None:
        self.write("/home/carbon/.Xauthority", "")
        self.program(
            "glxinfo",
            prints=GLXINFO,
            body='test "$DISPLAY $XAUTHORITY" = ":1 /home/carbon/.Xauthority"||exit 9',
        )
        self.assertResult(self.run_check(opengl), "PASS")

    def test_fails_where_glxinfo_does(self) -> None:
        self.program("glxinfo", complains="Error: unable to open display :1", code=255)
        self.assertResult(self.run_check(opengl), "FAIL", "exit code 255: Error: unable to open display :1")


class OpenGlWithoutDesktop(WorkspaceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.variables(PATH=f"{self.bin}:{self.tools()}")
        self.program("glxinfo", prints=GLXINFO)

    def tools(self) -> str:
        """A PATH without the machine's own xvfb-run."""
        directory = self.root / "tools"
        directory.mkdir()
        (directory / "cat").symlink_to("/bin/cat")
        return str(directory)

    def test_brings_its_own_display(self) -> None:
        self.program("xvfb-run", body='test "$*" = "--auto-servernum glxinfo -B" || exit 9', prints=GLXINFO)
        self.assertResult(self.run_check(opengl), "PASS")

    def test_fails_where_the_desktop_should_run(self) -> None:
        result = self.run_check(opengl)
        self.assertResult(result, "FAIL", "X server :1 does not run")
        self.assertEqual(result.hint, "docker logs carbon-dev-workspace")

    def test_is_skipped_where_there_is_no_desktop_and_no_display_to_be_had(self) -> None:
        self.image("base", [toolset for toolset in BASE_TOOLSETS if toolset != "desktop"])
        self.assertResult(self.run_check(opengl), "SKIP", "needs an X server")


class Vulkan(WorkspaceTestCase):
    def test_passes_on_lavapipe(self) -> None:
        self.program("vulkaninfo", prints=VULKANINFO)
        self.assertResult(self.run_check(vulkan), "PASS", "llvmpipe", "Vulkan 1.4.305, on the CPU")

    def test_names_a_gpu_that_was_passed_in(self) -> None:
        device = VULKANINFO[VULKANINFO.index("GPU0:") :]
        venus = (
            device.replace("GPU0:", "GPU1:")
            .replace("TYPE_CPU", "TYPE_INTEGRATED_GPU")
            .replace("= llvmpipe (LLVM 19.1.7, 256 bits)", "= Virtio-GPU Venus (Apple M2)")
        )
        self.program("vulkaninfo", prints=VULKANINFO + venus)
        result = self.run_check(vulkan)
        self.assertResult(
            result, "PASS", "on the CPU; Virtio-GPU Venus (Apple M2), Vulkan 1.4.305, a GPU: INTEGRATED_GPU"
        )

    def test_wants_a_gpu_where_dev_dri_is_passed_in(self) -> None:
        self.gpu = "dri"
        self.write_document()
        self.program("vulkaninfo", prints=VULKANINFO)
        result = self.run_check(vulkan)
        self.assertResult(result, "FAIL", "on the CPU: no GPU among them")
        self.assertIn("carbon:gpu off", result.hint)
        venus = VULKANINFO.replace("TYPE_CPU", "TYPE_INTEGRATED_GPU").replace("1.4.305", "1.2.296")
        self.program("vulkaninfo", prints=VULKANINFO + venus[venus.index("GPU0:") :].replace("GPU0", "GPU1"))
        self.assertResult(self.run_check(vulkan), "PASS", "a GPU: INTEGRATED_GPU")

    def test_keeps_off_the_desktops_display(self) -> None:
        self.variables(DISPLAY=":1")
        self.program("vulkaninfo", prints=VULKANINFO, body='test -z "$DISPLAY" || exit 1')
        self.assertResult(self.run_check(vulkan), "PASS")

    def test_takes_1_3_and_refuses_1_2(self) -> None:
        for api, status in (("1.3.255", "PASS"), ("1.2.255", "FAIL")):
            self.program("vulkaninfo", prints=VULKANINFO.replace("1.4.305", api))
            self.assertResult(self.run_check(vulkan), status, api)

    def test_fails_without_a_device(self) -> None:
        self.program("vulkaninfo", prints=VULKANINFO[: VULKANINFO.index("GPU0:")])
        self.assertResult(self.run_check(vulkan), "FAIL", "found no device")

    def test_fails_where_vulkaninfo_does(self) -> None:
        self.program("vulkaninfo", complains="Found no drivers!", code=1)
        self.assertResult(self.run_check(vulkan), "FAIL", "exit code 1: Found no drivers!")
        self.program("vulkaninfo", prints=VULKANINFO, complains="lost the device", code=1)
        self.assertResult(self.run_check(vulkan), "FAIL", "exit code 1: lost the device")
