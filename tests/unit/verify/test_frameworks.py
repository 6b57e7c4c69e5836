from __future__ import annotations

from typing import Any

from verify.checks.frameworks import frameworks
from verify.checks.tensorflow import tensorflow, tensorflow_metal
from verify.checks.torch import cuda, mps, nvidia_smi, torch, torch_index
from verify.environment import VENV_PYTHON
from verify.run import run_checks

from .fakes import WorkspaceTestCase

SITE = "/opt/carbon/venv/lib/python3.13/site-packages"


def torch_report(
    *,
    equal: bool = True,
    built: bool = False,
    available: bool = False,
    mps_equal: Any = None,
    cuda: dict[str, Any] | None = None,
) -> dict:
    seen = {"built": built, "available": available, "equal": mps_equal}
    nvidia = {"version": "13.0", "available": False, "devices": ["NVIDIA H100"], "equal": None, "error": None}
    return {"version": "2.15.0+cpu", "equal": equal, "mps": seen, "cuda": {**nvidia, **(cuda or {})}}


def tensorflow_report(**changes: Any) -> dict:
    seen = {"version": "2.20.0", "equal": True, "cpus": ["/physical_device:CPU:0"], "gpus": [], "metal": None}
    return {**seen, **changes}


class Torch(WorkspaceTestCase):
    def test_passes_where_the_product_is_numpys(self) -> None:
        self.probe(torch_report())
        self.assertResult(self.run_check(torch), "PASS", "torch 2.15.0+cpu")

    def test_fails_where_it_differs(self) -> None:
        self.probe(torch_report(equal=False))
        self.assertResult(self.run_check(torch), "FAIL", "differs from NumPy's")

    def test_reads_past_a_librarys_greeting(self) -> None:
        self.probe(torch_report(), greeting="Welcome!\n")
        self.assertResult(self.run_check(torch), "PASS")

    def test_a_crash_of_the_library_is_a_fail_of_both_its_checks(self) -> None:
        self.program(VENV_PYTHON, body="kill -ILL $$")
        for result in run_checks([torch, mps], self.env):
            self.assertResult(result, "FAIL", "torch does not work: ended by SIGILL")

    def test_a_library_that_does_not_import_is_quoted(self) -> None:
        self.program(VENV_PYTHON, complains="ImportError: libcudart.so.13: cannot open", code=1)
        self.assertResult(self.run_check(torch), "FAIL", "ImportError: libcudart.so.13")

    def test_a_missing_report_is_a_fail(self) -> None:
        for prints in ("", "nonsense\n"):
            self.program(VENV_PYTHON, prints=prints)
            self.assertResult(self.run_check(torch), "FAIL", "printed no report")

    def test_is_asked_without_the_users_environment_and_without_byte_code(self) -> None:
        self.program(
            VENV_PYTHON, body='case "$*" in "-I -B "*/torch_probe.py) ;; *) echo "$*" >&2; exit 9;; esac'
        )
        self.assertResult(self.run_check(torch), "FAIL", "printed no report")


class Mps(WorkspaceTestCase):
    def test_is_unsupported_in_linux_because_it_is_not_built_in(self) -> None:
        self.probe(torch_report())
        self.assertResult(self.run_check(mps), "UNSUPPORTED", "is_built() False, is_available() False")

    def test_fails_in_linux_where_torch_says_otherwise(self) -> None:
        for claim in ({"built": True}, {"built": True, "available": True, "mps_equal": True}):
            self.probe(torch_report(**claim))
            self.assertResult(self.run_check(mps), "FAIL", "Metal cannot exist in Linux")


class Cuda(WorkspaceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.gpu = "nvidia"
        self.write_document()

    def test_passes_where_the_product_is_the_cpus(self) -> None:
        self.probe(torch_report(cuda={"available": True, "equal": True}))
        self.assertResult(self.run_check(cuda), "PASS", "CUDA 13.0", "NVIDIA H100", "equal to the CPU's")

    def test_available_alone_is_not_enough(self) -> None:
        self.probe(torch_report(cuda={"available": True, "equal": False}))
        self.assertResult(self.run_check(cuda), "FAIL", "differs from the CPU's")
        self.probe(torch_report(cuda={"available": True, "equal": False, "error": "out of memory"}))
        self.assertResult(self.run_check(cuda), "FAIL", "NVIDIA H100: out of memory")

    def test_fails_where_torch_sees_no_gpu(self) -> None:
        self.probe(torch_report())
        result = self.run_check(cuda)
        self.assertResult(result, "FAIL", "is_available() False")
        self.assertIn("docker exec carbon-dev-workspace", result.hint)

    def test_fails_for_a_build_without_cuda_and_says_which_to_take(self) -> None:
        self.probe(torch_report(cuda={"version": None}))
        result = self.run_check(cuda)
        self.assertResult(result, "FAIL", "CUDA not built in")
        self.assertIn("carbon:torchIndex cuda", result.hint)

    def test_nvidia_smi_passes_with_what_it_lists(self) -> None:
        self.program(
            "nvidia-smi",
            prints="NVIDIA H100 80GB HBM3, 570.86.15, 81559 MiB\n",
            body='test "$*" = "--query-gpu=name,driver_version,memory.total --format=csv,noheader" || exit 9',
        )
        self.assertResult(self.run_check(nvidia_smi), "PASS", "NVIDIA H100 80GB HBM3, 570.86.15, 81559 MiB")

    def test_nvidia_smi_fails_where_it_is_missing_or_has_no_driver(self) -> None:
        self.assertResult(self.run_check(nvidia_smi), "FAIL", "nvidia-smi cannot be started")
        self.program("nvidia-smi", prints="NVIDIA-SMI has failed because of no driver\n", code=9)
        self.assertResult(self.run_check(nvidia_smi), "FAIL", "has failed because of no driver")
        self.program("nvidia-smi")
        self.assertResult(self.run_check(nvidia_smi), "FAIL", "lists no GPU")

    def test_both_are_skipped_where_nobody_asked_for_nvidia(self) -> None:
        for route in (None, "dri", "host"):
            self.gpu = route
            self.write_document()
            for check in (cuda, nvidia_smi):
                self.assertResult(self.run_check(check), "SKIP", f"carbon:gpu is {route or 'off'}")


class TorchIndex(WorkspaceTestCase):
    def says(self, index: str, *distributions: str) -> None:
        self.write("/etc/carbon/torch-index", f"{index}\n")
        for name in distributions:
            self.write(f"{SITE}/{name}.dist-info/METADATA", "")

    def test_passes_for_cpu_without_nvidia(self) -> None:
        self.says("cpu", "torch-2.15.0+cpu")
        result = self.run_check(torch_index)
        self.assertResult(result, "PASS", "cpu")
        self.assertEqual(result.hint, "")

    def test_says_that_the_cpu_build_was_downloaded_unverified_unless_a_hash_was_checked(self) -> None:
        self.says("cpu", "torch-2.15.0+cpu")
        self.assertResult(self.run_check(torch_index), "PASS", "unverified download (no recorded hash)")
        for word, said in {"unverified": "unverified download", "sha256": "held against its sha256"}.items():
            self.write("/etc/carbon/torch-download", f"{word}\n")
            self.assertResult(self.run_check(torch_index), "PASS", said)

    def test_passes_for_pypi_cuda_and_says_how_to_get_the_small_one(self) -> None:
        self.says("pypi-cuda", "nvidia_cublas-13.1", "nvidia_cudnn_cu13-9.1", "torch-2.15.0")
        result = self.run_check(torch_index)
        self.assertResult(result, "PASS", "CUDA build, with 2 NVIDIA packages")
        self.assertIn("pulumi config set carbon:torchIndex cpu", result.hint)

    def test_fails_where_the_file_lies(self) -> None:
        self.says("pypi-cuda", "torch-2.15.0+cpu")
        self.assertResult(self.run_check(torch_index), "FAIL", "says 'pypi-cuda', and no NVIDIA packages")
        self.says("cpu", "nvidia_cublas-13.1")
        self.assertResult(self.run_check(torch_index), "FAIL", "says 'cpu', and 1 NVIDIA packages")

    def test_passes_for_the_build_for_nvidia(self) -> None:
        self.says("cuda", "nvidia_cublas-13.1", "torch-2.15.0")
        result = self.run_check(torch_index)
        self.assertResult(result, "PASS", "cuda: PyPI's CUDA build for NVIDIA GPUs")
        self.assertEqual(result.hint, "")

    def test_fails_on_another_word_and_without_the_file(self) -> None:
        self.assertResult(self.run_check(torch_index), "FAIL", "/etc/carbon/torch-index is missing")
        self.says("rocm")
        self.assertResult(self.run_check(torch_index), "FAIL", "says 'rocm'")


class TensorFlow(WorkspaceTestCase):
    def test_passes_on_the_cpu_and_shows_its_devices(self) -> None:
        self.probe(tensorflow_report())
        self.assertResult(self.run_check(tensorflow), "PASS", "TensorFlow 2.20.0", "CPU:0", "GPU []")

    def test_fails_where_the_product_differs_a_cpu_is_missing_or_a_gpu_turns_up(self) -> None:
        for change in ({"equal": False}, {"cpus": []}, {"gpus": ["/physical_device:GPU:0"]}):
            with self.subTest(change):
                self.probe(tensorflow_report(**change))
                self.assertResult(self.run_check(tensorflow), "FAIL", "TensorFlow 2.20.0")

    def test_metal_is_unsupported_in_linux_because_neither_plugin_nor_gpu_is_there(self) -> None:
        self.probe(tensorflow_report())
        self.assertResult(self.run_check(tensorflow_metal), "UNSUPPORTED", "not installed, GPU []")

    def test_metal_fails_in_linux_where_the_plugin_or_a_gpu_turns_up(self) -> None:
        for change in ({"metal": "1.2.0"}, {"gpus": ["/physical_device:GPU:0"]}):
            self.probe(tensorflow_report(**change))
            self.assertResult(self.run_check(tensorflow_metal), "FAIL", "neither can be in Linux")


class Frameworks(WorkspaceTestCase):
    def test_passes_where_both_orders_train(self) -> None:
        self.probe({"tensorflow, then torch": "", "torch, then tensorflow": ""})
        self.assertResult(self.run_check(frameworks), "PASS", "torch, then tensorflow")

    def test_says_which_order_fails_and_how(self) -> None:
        self.probe({"tensorflow, then torch": "LLVM ERROR: twice", "torch, then tensorflow": ""})
        self.assertResult(self.run_check(frameworks), "FAIL", "tensorflow, then torch: LLVM ERROR: twice")
