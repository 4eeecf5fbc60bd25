import subprocess
import sys
import types

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lightdepth_export import engine
from lightdepth_export.onnx.metadata import embed_spec
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.spec import ModelSpec


@pytest.fixture
def model(tmp_path):
    """An exported ONNX file of one convolution."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 64, 96))
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, (1, 1, 64, 96))
    kernel = numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "kernel")
    node = helper.make_node("Conv", ["image", "kernel"], ["depth"], name="conv")
    graph = helper.make_graph([node], "g", [image], [depth], [kernel])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    embed_spec(proto, ModelSpec(name="small", input_height=64, input_width=96, parameters=3))
    onnx.save_model(proto, str(tmp_path / "m.onnx"))
    return tmp_path / "m.onnx"


def install_gpu(monkeypatch, count=1):
    """Put a fake CUDA runtime in place, which counts devices and describes them."""
    cudart = types.ModuleType("cuda.bindings.runtime")
    status = 0 if count else 100
    properties = types.SimpleNamespace(name=b"Fake GPU", major=8, minor=6)
    cudart.cudaGetDeviceCount = lambda: (status, count)
    cudart.cudaSetDevice = lambda index: (0,)
    cudart.cudaGetDeviceProperties = lambda index: (0, properties)
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", cudart)


def no_tensorrt(monkeypatch):
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)


def test_a_machine_without_tensorrt_is_told_what_to_run_on_the_target(monkeypatch):
    no_tensorrt(monkeypatch)
    sentence = engine.can_build_here("m.fp16.onnx")
    assert "TensorRT can't be imported" in sentence
    assert sentence.endswith("on the target, run: python -m lightdepth_export.engine m.fp16.onnx")


@pytest.mark.parametrize(
    ("installed", "flavour"),
    [({"tensorrt", "tensorrt_rtx"}, "tensorrt"), ({"tensorrt_rtx"}, "tensorrt_rtx"), (set(), "tensorrt")],
)
def test_tensorrt_builds_where_it_is_and_else_tensorrt_rtx(monkeypatch, model, capsys, installed, flavour):
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name) if name in installed else None)
    install_gpu(monkeypatch)
    built = []

    def build(trt, path, **options):
        built.append(trt.__name__)
        return types.SimpleNamespace(describe=lambda: "built")

    monkeypatch.setattr(engine, "build_and_save", build)
    assert engine.main([str(model)]) == (0 if installed else 1)
    assert built == [flavour] * bool(installed)
    assert ("since TensorRT is not installed" in capsys.readouterr().out) == (flavour == "tensorrt_rtx")
    if len(installed) == 2:
        engine.main([str(model), "--flavour", "tensorrt-rtx"])
        assert built[-1] == "tensorrt_rtx"


def test_a_machine_without_a_gpu_is_told_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", types.ModuleType("tensorrt"))
    install_gpu(monkeypatch, count=0)
    assert "CUDA finds no GPU here" in engine.can_build_here()


def test_tensorrt_and_a_gpu_are_enough(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", types.ModuleType("tensorrt"))
    install_gpu(monkeypatch)
    assert engine.can_build_here() is None


def test_asking_for_an_engine_here_says_what_to_install(monkeypatch, model, capsys):
    no_tensorrt(monkeypatch)
    with pytest.raises(LightDepthError, match="apt install python3-libnvinfer"):
        engine.engine_here(model)
    monkeypatch.setitem(sys.modules, "tensorrt", types.ModuleType("tensorrt"))
    for name in ("cuda.bindings.runtime", "cuda.cudart"):
        monkeypatch.setitem(sys.modules, name, None)
    assert engine.main([str(model)]) == 1
    assert "pip install cuda-bindings (version 12 on JetPack 6" in capsys.readouterr().err
    assert not model.with_suffix(".engine").exists()


def test_an_engine_for_named_gpus_is_built_without_one(model, capsys):
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install tensorrt-rtx")
    assert engine.main([str(model), "--engine-for", "sm86,8.9"]) == 0
    assert "for sm86, sm89" in capsys.readouterr().out
    assert engine.read_engine_sidecar(model.with_suffix(".engine")).compute_capabilities == ("sm86", "sm89")


def test_an_engine_is_rebuilt_for_this_gpu_in_its_flavour_and_batch_range(monkeypatch, model):
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install tensorrt-rtx")
    install_gpu(monkeypatch)
    proto = onnx.load_model(model)
    for tensor in (*proto.graph.input, *proto.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save_model(proto, str(model))
    options = engine.BuildOptions(batch=engine.BatchRange(1, 2, 4))
    before = engine.engine_for(model, ["sm120"], options=options)
    monkeypatch.setattr("lightdepth_export.tensorrt.save._test", lambda *arguments, **options: {"frames": 3})
    after = engine.rebuild_engine(model, before.path)
    assert (after.sidecar.gpu_name, after.sidecar.compute_capabilities) == ("Fake GPU", ("sm86",))
    assert after.sidecar.max_shape == (4, 3, 64, 96)
    assert engine.read_engine_sidecar(before.path) == after.sidecar


def test_an_error_is_one_sentence_and_exit_code_1(monkeypatch, model, capsys):
    no_tensorrt(monkeypatch)
    assert engine.main([str(model)]) == 1
    assert capsys.readouterr().err.startswith("Error: TensorRT can't be imported")


def test_debug_shows_the_traceback(monkeypatch, model):
    no_tensorrt(monkeypatch)
    with pytest.raises(LightDepthError):
        engine.main([str(model), "--debug"])


@pytest.mark.parametrize(
    "wrong",
    [
        ["--workspace", "much"],
        ["--workspace", "0"],
        ["--batch", "1,2"],
        ["--batch", "4,2,1"],
        ["--int4"],
        ["--flavour", "x"],
    ],
)
def test_a_wrong_argument_is_exit_code_2(model, wrong):
    with pytest.raises(SystemExit) as caught:
        engine.main([str(model), *wrong])
    assert caught.value.code == 2


def test_sizes_have_binary_units():
    parser = engine._parser()
    for text, size in (("512M", 512 << 20), ("2G", 2 << 30), ("2GiB", 2 << 30), ("100", 100)):
        assert parser.parse_args(["m.onnx", "--workspace", text]).workspace == size


def test_the_engine_modules_import_neither_torch_nor_tensorrt():
    code = "import sys, lightdepth_export.engine as e; print({'torch', 'tensorrt', 'tensorrt_rtx'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "set()"
