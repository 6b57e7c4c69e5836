import { join } from "node:path";
import { execaSync } from "execa";
import { computeToolsets, toolsetBuildArgs } from "../../catalogue/toolsets";
import { hostPort, type RoleArgs, secrets, startHealthy } from "./base-container";
import { baseImage, caSecret, onlyListed } from "./base-image";
import type { Jupyter } from "./jupyter";

const projectDir = join(__dirname, "..", "..");

/**
 * The compute image that the tests look at: the one that CARBON_TEST_COMPUTE_IMAGE names, else one without any
 * toolset of its own, built here from the same Dockerfile on {@link baseImage}. What is in it decides which tests
 * there are.
 */
export function computeImage(): string {
    const given = process.env.CARBON_TEST_COMPUTE_IMAGE;
    if (given) {
        return given;
    }
    const tag = "docker.io/carbon/compute:test";
    const base = baseImage();
    if (!onlyListed) {
        buildCompute(tag, base);
    }
    return tag;
}

/** Builds the compute image on `base` with JupyterLab and the scientific stack alone. */
function buildCompute(tag: string, base: string): void {
    const switches = toolsetBuildArgs(computeToolsets, []);
    execaSync(
        "docker",
        [
            "buildx",
            "build",
            "--file=dockerfiles/compute/Dockerfile",
            ...Object.entries({ BASE_IMAGE: base, ...switches }).map(
                ([name, value]) => `--build-arg=${name}=${value}`,
            ),
            ...caSecret(),
            `--output=type=image,name=${tag},compression=zstd,oci-mediatypes=true`,
            ".",
        ],
        { cwd: projectDir, env: { BUILDX_NO_DEFAULT_ATTESTATIONS: "1" }, all: true },
    );
}

/** A running workspace of the compute image. */
export interface ComputeWorkspace extends Jupyter {
    /** Where code-server is on the host, if the image has it; without a slash at the end. */
    codeServer: string;
}

/**
 * Starts a workspace of the compute image, and waits until it is healthy.
 *
 * @param args what it is started with beyond that
 */
export async function startWorkspace(args: Omit<RoleArgs, "role" | "ports">): Promise<ComputeWorkspace> {
    const container = await startHealthy({ ...args, role: "workspace", ports: [2222, 8888, 9999] });
    const scheme = args.stack?.tls ? "https" : "http";
    const address = async (port: number) => `${scheme}://127.0.0.1:${await hostPort(container, port)}`;
    return {
        container,
        address: await address(8888),
        token: secrets.jupyter,
        codeServer: await address(9999),
    };
}

/** Name of one of {@link pythonChecks}. */
export type PythonCheck = keyof typeof pythonChecks;

/**
 * What the tests ask the image's own Python. Each program gets its input as JSON in its first argument and ends
 * with a line of JSON.
 */
export const pythonChecks = {
    /** {distribution name: version} of everything in the environment. */
    installed: `
import importlib.metadata, json, re
found = importlib.metadata.distributions(path=["/opt/carbon/venv/lib/python3.13/site-packages"])
print(json.dumps({re.sub("[-_.]+", "-", d.name).lower(): d.version for d in found}))`,

    /** Imports what each named distribution brings; {distribution name: error} of those that fail. */
    importAll: `
import importlib, importlib.metadata, json, sys, traceback
modules = importlib.metadata.packages_distributions()
failed = {}
for name in json.loads(sys.argv[1]):
    wanted = importlib.metadata.distribution(name).name
    # A distribution's tests and compiled parts are its own business; its packages are everybody's. DuckDB's driver for
    # ADBC wants a package that DuckDB leaves to those who use it.
    own = (m for m, owners in modules.items() if wanted in owners and m.isidentifier() and m[0] != "_")
    for module in (m for m in own if m != "adbc_driver_duckdb"):
        try:
            importlib.import_module(module)
        except Exception:
            failed[name] = traceback.format_exc()
print(json.dumps(failed))`,

    /** Files of code-server that are programs for another platform than this one, and compilers' leftovers. */
    foreignBinaries: `
import json, pathlib, platform, struct
machine = {"x86_64": 62, "aarch64": 183}[platform.machine()]
def foreign(path):
    start = path.open("rb").read(20)
    elf = start[:4] == b"\\x7fELF" and struct.unpack_from("<H", start, 18)[0] != machine
    return elf or start[:4] == b"\\xcf\\xfa\\xed\\xfe" or path.suffix in {".exe", ".dll", ".o", ".map", ".pdb"}
files = (p for p in pathlib.Path("/opt/carbon/code-server").rglob("*") if p.is_file() and not p.is_symlink())
print(json.dumps([str(p) for p in files if foreign(p)]))`,

    /** The largest difference between torch's and NumPy's product of the same matrices. */
    torchError: `
import json, numpy, torch
a, b = (numpy.random.default_rng(seed).random((64, 64), dtype=numpy.float32) for seed in (1, 2))
print(json.dumps(float(abs((torch.from_numpy(a) @ torch.from_numpy(b)).numpy() - a @ b).max())))`,

    /** The same of TensorFlow's. */
    tensorflowError: `
import json, numpy, tensorflow
a, b = (numpy.random.default_rng(seed).random((64, 64), dtype=numpy.float32) for seed in (1, 2))
print(json.dumps(float(abs(tensorflow.linalg.matmul(a, b).numpy() - a @ b).max())))`,

    /** Rows of an aggregation that Spark ran on this machine, as pandas sees them. */
    sparkRows: `
import json
from pyspark.sql import SparkSession, functions
quiet = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
spark = SparkSession.builder.master("local[2]").config(map=quiet).getOrCreate()
rows = spark.range(100).groupBy((functions.col("id") % 3).alias("k")).count().orderBy("k").toPandas()
print(json.dumps(rows["count"].tolist()))
spark.stop()`,

    /** What a cell printed in a kernel that JupyterLab's server started, over the connection that a browser uses. */
    serverKernel: `
import json, pathlib, requests, sys, uuid, websocket
server, cell = "127.0.0.1:8888", json.loads(sys.argv[1])
token = {"Authorization": "token " + pathlib.Path("/run/carbon/user/jupyter").read_text().strip()}
kernel = requests.post(f"http://{server}/api/kernels", headers=token, timeout=60).json()["id"]
socket = websocket.create_connection(f"ws://{server}/api/kernels/{kernel}/channels?session_id=test", header=token, timeout=60)
header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": "test", "username": "", "version": "5.3"}
content = {"code": cell, "silent": False, "allow_stdin": False}
socket.send(json.dumps(
    {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}))
printed = ""
while True:
    message = json.loads(socket.recv())
    if message["parent_header"].get("msg_id") != header["msg_id"]:
        continue
    if message["msg_type"] == "stream":
        printed += message["content"]["text"]
    if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
        break
socket.close()
requests.delete(f"http://{server}/api/kernels/{kernel}", headers=token, timeout=60).raise_for_status()
print(json.dumps(printed))`,

    /** The pictures in the notebook of that path: [width, height, share of the pixels that are not background]. */
    pictures: `
import base64, io, json, nbformat, PIL.Image, sys
def measure(encoded):
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    pixels = picture.width * picture.height
    background = max(count for count, _ in picture.getcolors(pixels))
    return [*picture.size, 1 - background / pixels]
cells = nbformat.read(json.loads(sys.argv[1]), as_version=4).cells
outputs = (output.get("data", {}) for cell in cells for output in cell.get("outputs", []))
print(json.dumps([measure(data["image/png"]) for data in outputs if "image/png" in data]))`,

    /** Makes a wheel with one module in the folder that the argument names. */
    makeWheel: `
import json, pathlib, sys, zipfile
wheel = pathlib.Path(json.loads(sys.argv[1]), "carbon_test_package-1.0-py3-none-any.whl")
with zipfile.ZipFile(wheel, "w") as archive:
    info = "carbon_test_package-1.0.dist-info"
    archive.writestr("carbon_test_package.py", "answer = 42\\n")
    archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: carbon-test-package\\nVersion: 1.0\\n")
    archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    archive.writestr(f"{info}/RECORD", "")
print(json.dumps(str(wheel)))`,
} as const;
