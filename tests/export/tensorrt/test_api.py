"""Every TensorRT name that the code uses exists in each TensorRT that it is for.

TensorRT-RTX is checked where it is installed. The bindings of TensorRT proper are checked where the environment
variable LIGHTDEPTH_TENSORRT_BINDINGS names folders made by, for example,
`pip install --no-deps --target FOLDER tensorrt-cu13-bindings==11.4.0.106` and `tensorrt-cu12-bindings==10.3.0`: they
import without TensorRT once nine symbols of its libraries are there, which a C compiler makes here.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lightdepth_export
import lightdepth_runtime.backends

# What the code's variables hold. `trt` is the module itself.
CLASSES = {
    "trt": "",
    "builder": "Builder.",
    "network": "INetworkDefinition.",
    "tensor": "ITensor.",
    "layer": "ILayer.",
    "parser": "OnnxParser.",
    "parser_error": "ParserError.",
    "config": "IBuilderConfig.",
    "profile": "IOptimizationProfile.",
    "timing_cache": "ITimingCache.",
    "runtime": "Runtime.",
    "engine": "ICudaEngine.",
    "inspector": "EngineInspector.",
    "context": "IExecutionContext.",
    "runtime_config": "IRuntimeConfig.",
}
HOLDERS = {"self", "_loaded", "loaded"}  # `self._loaded.context` is a context as `context` is
# What not every TensorRT has, and what is reached with TensorRT-RTX alone.
RTX_ONLY = {
    "ComputeCapability",
    "DynamicShapesKernelSpecializationStrategy",
    "DynamicShapesKernelSpecializationStrategy.EAGER",
    "IBuilderConfig.num_compute_capabilities",
    "IBuilderConfig.set_compute_capability",
    "ICudaEngine.create_runtime_config",
    "IRuntimeConfig.dynamic_shapes_kernel_specialization_strategy",
}
EXPORT, RUNTIME = Path(lightdepth_export.__file__).parent, Path(lightdepth_runtime.backends.__file__).parent
FILES = [
    *(EXPORT / "tensorrt" / name for name in ("builder.py", "options.py", "progress.py")),
    *(RUNTIME / "tensorrt" / name for name in ("backend.py", "module.py")),
]
SYMBOLS = {
    "createInferBuilder_INTERNAL": "void* l, int v",
    "createInferRefitter_INTERNAL": "void* e, void* l, int v",
    "createInferRuntime_INTERNAL": "void* l, int v",
    "createNvOnnxParserRefitter_INTERNAL": "void* r, void* l, int v",
    "createNvOnnxParser_INTERNAL": "void* n, void* l, int v",
    "getBuilderPluginRegistry": "int c",
    "getNvOnnxParserVersion": "void",
    "getPluginRegistry": "void",
    "initLibNvInferPlugins": "void* l, const char* n",
}
MISSING_NAMES = """
import json, sys
sys.path.insert(0, sys.argv[1])
import tensorrt_bindings as trt

def there(name):
    target = trt
    for part in name.split("."):
        if not hasattr(target, part):
            return False
        target = getattr(target, part)
    return True

print(json.dumps({"version": trt.__version__, "missing": [n for n in json.loads(sys.argv[2]) if not there(n)]}))
"""


def names_used():
    """Collect "IBuilderConfig.clear_flag" and the like from the source."""
    found = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = []
            while isinstance(node, ast.Attribute):
                parts.insert(0, node.attr)
                node = node.value
            if isinstance(node, ast.Name):
                parts.insert(0, node.id)
            while parts and parts[0] in HOLDERS:
                del parts[0]
            if len(parts) > 1 and parts[0] in CLASSES:
                found.add(CLASSES[parts[0]] + ".".join(parts[1:]))
    return found


def missing(module, names):
    def there(name):
        target = module
        for part in name.split("."):
            if not hasattr(target, part):
                return False
            target = getattr(target, part)
        return True

    return {name for name in names if not there(name)}


def test_the_scan_sees_what_the_code_uses():
    assert {
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        "IBuilderConfig.progress_monitor",
        "IExecutionContext.execute_async_v3",
        "ICudaEngine.get_tensor_profile_shape",
        "IRuntimeConfig.dynamic_shapes_kernel_specialization_strategy",
        "OnnxParser.parse",
        "ILogger",
    } <= names_used()


def test_no_precision_flag_and_no_name_that_tensorrt_11_dropped_is_used():
    dropped = {"FP16", "INT8", "EXPLICIT_BATCH", "platform_has_fast_fp16", "supports_model", "device_memory_size"}
    assert not dropped & {part for name in names_used() for part in name.split(".")}


def test_every_name_is_in_tensorrt_rtx():
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install tensorrt-rtx")
    assert not missing(trt, names_used())


def test_every_name_is_in_the_bindings_of_tensorrt_proper(tmp_path):
    folders = [f for f in os.environ.get("LIGHTDEPTH_TENSORRT_BINDINGS", "").split(os.pathsep) if f]
    if not folders:
        pytest.skip("LIGHTDEPTH_TENSORRT_BINDINGS names no folders with TensorRT's bindings")
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    source = tmp_path / "symbols.c"
    source.write_text("\n".join(f"void* {name}({args}) {{ return 0; }}" for name, args in SYMBOLS.items()))
    for folder in folders:
        major = next(Path(folder).glob("tensorrt_*.dist-info")).name.split("-")[1].split(".")[0]
        libraries = tmp_path / major
        libraries.mkdir()
        for library in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
            name = f"lib{library}.so.{major}"
            command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(libraries / name), str(source)]
            subprocess.run(command, check=True)
        run = subprocess.run(
            [sys.executable, "-c", MISSING_NAMES, folder, json.dumps(sorted(names_used()))],
            env=os.environ | {"LD_LIBRARY_PATH": str(libraries)},
            capture_output=True,
            text=True,
            check=True,
        )
        answer = json.loads(run.stdout)
        assert set(answer["missing"]) <= RTX_ONLY, answer["version"]
