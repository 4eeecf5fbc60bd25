"""What the real onnxruntime-gpu does with our files, on a machine without a GPU: placement, recording, calls a frame.

    pip install onnxruntime-gpu nvidia-cuda-runtime            # in an environment of its own; gcc and binutils too
    pip install "onnxruntime-gpu<1.27" nvidia-cuda-runtime-cu12                          # the same for CUDA 12
    python benchmarks/stub_gpu.py m.onnx m.fp16.frame.onnx --json stub_gpu.json

CUDA, cuBLAS and cuDNN are libraries that compute nothing, built here from `stub_gpu/` and from the names that ONNX
Runtime's CUDA provider asks for. All else is real: its session, its graph transformations, its recording, and our
backend above. Depth is meaningless then, and so are times. It says for each file which operators stay on the CPU,
whether the work is recorded as a CUDA graph, what is called for a frame, and whether the recorded graph reads the
host's memory, which may be another's by the next frame. Errors here are those of a first run on a GPU.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.backends import Backend, open_backend
from lightdepth_runtime.errors import LightDepthError

SOURCES = Path(__file__).with_name("stub_gpu")
FOLDER = "STUB_GPU_FOLDER"  # where this program's second process finds the libraries
# Functions whose answer matters; of the others any will do that says "no error".
MAKES = "int {name}(void **p) {{ *p = (void *)64; return 0; }}"
CHOOSES = (
    "int {name}(void *a, void *b, void *c, void *d, void *e, void *f, void *g, int n, void *r, int *k) "
    "{{ *k = 1; return 0; }}"
)
LAUNCHES = ("kernel", "cudnnBackendExecute", "cudnnAddTensor", "cudnnPoolingForward", "cublasSgemm_v2", "cublasGemmEx",
            "cublasSgemmStridedBatched", "cublasGemmStridedBatchedEx", "cublasSgeam", "copy in the device")  # fmt: skip
SAYS = 'int {name}(void) {{ stub_trace("{name}", 0, 0, 0); return 0; }}'


def main() -> None:
    """Build the libraries, start again with them, say what the files do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--json", type=Path, help="file to write; default: none")
    given = parser.parse_args()
    if FOLDER not in os.environ:
        with tempfile.TemporaryDirectory(prefix="lightdepth-") as folder:
            build(Path(folder))
            environment = {FOLDER: folder, "LD_LIBRARY_PATH": folder, "STUB_GPU_TRACE": f"{folder}/trace"}
            command = [sys.executable, *sys.argv]
            raise SystemExit(subprocess.run(command, env={**os.environ, **environment}, check=False).returncode)
    import onnxruntime

    install_bindings()
    files = {path.name: trace(path) for path in given.models}
    for name, found in files.items():
        print(name, *(f"{key}: {value}" for key, value in found.items()), sep="\n  ")
    if given.json:
        version = {"schema": "lightdepth.stub-gpu/1", "onnxruntime_gpu": onnxruntime.__version__}
        write_json(given.json, {**version, "files": files})


def provider() -> Path:
    """Return ONNX Runtime's CUDA provider."""
    spec = importlib.util.find_spec("onnxruntime")
    found = list(Path(spec.origin).parent.glob("capi/*providers_cuda.so")) if spec and spec.origin else []
    if not found:
        sys.exit("Error: No onnxruntime-gpu in this environment; install it with: pip install onnxruntime-gpu")
    return found[0]


def build(folder: Path) -> None:
    """Build a library of each name that the provider needs of NVIDIA's."""
    library = provider()
    needed = re.findall(r"\[(lib(?:cu\w+)\.so\.\d+)\]", run("readelf", "-d", str(library)))
    wanted = re.findall(r" U (\w+)", run("nm", "-D", "--undefined-only", str(library)))
    cudnn = {name.decode() for name in re.findall(rb"\0(cudnn[A-Z]\w+)(?=\0)", library.read_bytes())}
    major = next(re.findall(r"\d+", name)[0] for name in needed if name.startswith("libcudart"))
    for name in sorted([*needed, "libcudnn.so.9"], key=lambda name: "cudart" not in name):  # which the others call
        stem = name.removeprefix("lib").split(".so")[0]
        symbols = cudnn if stem == "cudnn" else {symbol for symbol in wanted if _belongs(symbol, stem)}
        compile_library(folder, name, symbols, major)


def compile_library(folder: Path, name: str, symbols: Iterable[str], major: str) -> None:
    """Write `name` into the folder: our source of it, and a function that only says so for each symbol it lacks.

    Args:
        folder: where `libcudart` is, unless this is it.
        name: "libcudart.so.13".
        symbols: all that is wanted of it.
        major: CUDA's version.
    """
    stem = name.removeprefix("lib").split(".so")[0]
    wheels = (f"nvidia/cu{major}", "nvidia/cuda_runtime", "triton/backends/nvidia")  # CUDA 13's, CUDA 12's, PyTorch's
    headers = [f"-I{path}/{wheel}/include" for path in sys.path for wheel in wheels]
    headers.append("-I/usr/local/cuda/include")
    source = (SOURCES / f"{stem}.c").read_text() if (SOURCES / f"{stem}.c").is_file() else ""
    missing = [symbol for symbol in sorted(symbols) if f" {symbol}(" not in source and f"*{symbol}(" not in source]
    head = "" if source else "void stub_trace(const char *name, const void *a, const void *b, long n);\n"
    (folder / f"{stem}.c").write_text("\n".join([head + source, *map(_stub, missing)]) + "\n")
    (folder / f"{stem}.map").write_text(f"{name} {{ global: *; }};\n")
    has_versions = stem not in ("cuda", "curand", "cudnn")
    versions = [f"-Wl,--version-script={folder}/{stem}.map"] if has_versions else []
    linked = [] if stem == "cudart" else [f"-L{folder}", f"-l:libcudart.so.{major}"]
    flags = ["-w", "-O1", "-shared", "-fPIC", f"-DCUDA_MAJOR={major}", f"-Wl,-soname,{name}", *headers, *versions]
    run("gcc", *flags, "-o", f"{folder}/{name}", f"{folder}/{stem}.c", *linked)


def _belongs(symbol: str, stem: str) -> bool:
    if stem == "cudart":
        return symbol.startswith(("cuda", "__cuda"))
    return re.match(rf"{stem if stem != 'cuda' else 'cu'}[A-Z]", symbol) is not None and not (
        stem == "cublas" and symbol.startswith("cublasLt")
    )


def _stub(name: str) -> str:
    if re.match(r"(cudnn|cublas(Lt)?|cudaMemPool)Create", name):
        return MAKES.format(name=name)
    return (CHOOSES if name.endswith("GetHeuristic") else SAYS).format(name=name)


def run(*command: str) -> str:
    """Return what a program prints; its error ends this one."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"Error: {command[0]} failed: {done.stderr.strip()[:500]}")
    return done.stdout


def install_bindings() -> None:
    """Put functions that call the library in the place of cuda-bindings."""
    library = ctypes.CDLL(next(str(path) for path in Path(os.environ[FOLDER]).glob("libcudart.so.*")))
    module = ModuleType("cuda.bindings.runtime")
    pointer, size = ctypes.c_void_p, ctypes.c_size_t

    def returns_handle(name: str, *types: Any) -> Any:  # Any: ctypes' types
        def call(*arguments: int) -> tuple[int, int | None]:
            handle = pointer()
            status = getattr(library, name)(
                ctypes.byref(handle), *(kind(x) for kind, x in zip(types, arguments, strict=True))
            )
            return status, handle.value

        return call

    def returns_status(name: str, *types: Any) -> Any:  # Any: ctypes' types
        def call(*arguments: int) -> tuple[int]:
            return (getattr(library, name)(*(kind(int(x)) for kind, x in zip(types, arguments, strict=True))),)

        return call

    values: dict[str, Any] = {  # Any: numbers and functions
        "cudaStreamNonBlocking": 1,
        "cudaMemcpyKind": SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2),
        "cudaGetDeviceCount": lambda: (0, 1),
        "cudaMalloc": returns_handle("cudaMalloc", size),
        "cudaMallocHost": returns_handle("cudaMallocHost", size),
        "cudaStreamCreateWithFlags": returns_handle("cudaStreamCreateWithFlags", ctypes.c_uint),
        "cudaSetDevice": returns_status("cudaSetDevice", ctypes.c_int),
        "cudaMemcpyAsync": returns_status("cudaMemcpyAsync", pointer, pointer, size, ctypes.c_int, pointer),
        **{
            n: returns_status(n, pointer)
            for n in ("cudaFree", "cudaFreeHost", "cudaStreamDestroy", "cudaStreamSynchronize")
        },
    }
    module.__dict__.update(values)
    sys.modules[module.__name__] = module


def trace(path: Path) -> dict[str, Any]:  # Any: JSON values
    """Open a file on the GPU that isn't there, run frames in this thread and in others, and say what was called."""
    log = Path(os.environ["STUB_GPU_TRACE"])
    log.touch()
    start = log.stat().st_size
    backend = open_backend(path, "cuda")
    opening, start = _calls(log, start)
    frame = _frame(backend)
    backend.run(frame)
    one, start = _calls(log, start)
    for _ in range(3):
        thread = threading.Thread(target=backend.run, args=(frame,))
        thread.start()
        thread.join()
    others, _ = _calls(log, start)
    recordings = opening.count("cudaStreamBeginCapture")
    first = opening[: opening.index("cudaStreamEndCapture")] if recordings else []
    recorded = Counter(call.removeprefix("[graph] ") for call in first if call.startswith("[graph] "))
    found = {
        "device_reason": getattr(backend, "device_reason", ""),
        "operators_on_the_cpu": _on_the_cpu(path),
        "recordings_while_loading": recordings,
        "recorded_launches": sum(n for call, n in recorded.items() if call in LAUNCHES),
        "recorded_copies_from_the_host": recorded["copy from the host"],
        "breaks_the_recording": recorded["breaks the recording"],
        "calls_a_frame": dict(Counter(one)),
        "recordings_by_three_more_threads": others.count("cudaStreamBeginCapture"),
    }
    backend.close()
    return found


def _frame(backend: Backend) -> Any:  # Any: float32, or bytes where preprocessing is inside
    staging = getattr(backend, "empty_input", lambda _: None)(1)
    if staging is None:
        sys.exit(f"Error: {getattr(backend, 'device_reason', 'no bound buffers')}")
    staging[...] = 1
    return staging


def _calls(log: Path, start: int) -> tuple[list[str], int]:
    """Return the calls since a position of the log, and where it ends."""
    with log.open() as lines:
        lines.seek(start)
        text = lines.read()
    return [re.sub(r" \S+ \S+ -?\d+$", "", line.split(" ", 1)[1]) for line in text.splitlines()], start + len(text)


def _on_the_cpu(path: Path) -> dict[str, int]:
    """Count the operators that ONNX Runtime gives to the processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # as the runtime opens it
    session = onnxruntime.InferenceSession(str(path), options, providers=["CUDAExecutionProvider"], enable_fallback=0)
    parts = [part for part in session.get_provider_graph_assignment_info() if part.ep_name == "CPUExecutionProvider"]
    return dict(Counter(node.op_type for part in parts for node in part.get_nodes()))


if __name__ == "__main__":
    try:
        main()
    except LightDepthError as problem:
        sys.exit(f"Error: {problem}")
