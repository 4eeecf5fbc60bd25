"""One contract for every backend, and what an unusable ONNX file says."""

import re

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from lightdepth.checkpoints.backend import TorchBackend
from lightdepth.network.model import LightDepth
from lightdepth_export.onnx.trace import export_onnx
from lightdepth_runtime.backends import FakeBackend, open_backend
from lightdepth_runtime.backends.onnx import session as onnx_session
from lightdepth_runtime.backends.onnx.backend import open_onnx
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.spec import SPEC_KEY, ModelSpec

SPEC = ModelSpec(name="tiny", input_height=64, input_width=96, parameters=1)
BATCH_TOLERANCE_M = 1e-5  # other kernels for other batch sizes


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return LightDepth("resnet10t", decoder_channels=(8, 8, 8, 8)).eval()


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    """The tiny network as ONNX files of batch 1 and of any batch."""
    folder = tmp_path_factory.mktemp("onnx")
    export_onnx(network, SPEC, folder / "one.onnx")
    export_onnx(network, SPEC, folder / "any.onnx", dynamic_batch=True)
    return folder


@pytest.fixture(params=["fake", "torch", "onnx, batch 1", "onnx, any batch"])
def backend(request):
    if request.param == "fake":
        return FakeBackend(SPEC)
    if request.param == "torch":
        return TorchBackend(request.getfixturevalue("network"), SPEC, "cpu")
    name = "any.onnx" if "any" in request.param else "one.onnx"
    return open_backend(request.getfixturevalue("exported") / name, "cpu", 1)


def images(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 3, 64, 96)).astype(np.float32)


# The contract


@pytest.mark.parametrize("count", [1, 2])
def test_a_batch_gives_positive_float32_metres_of_its_size(backend, count):
    depth_m = backend.run(images(count))
    assert depth_m.shape == (count, 1, 64, 96)
    assert depth_m.dtype == np.float32
    assert depth_m.flags.c_contiguous
    assert np.isfinite(depth_m).all()
    assert (depth_m > 0).all()


def test_each_image_of_a_batch_gets_its_own_result(backend):
    batch = images(2)
    together = backend.run(batch)
    for i in range(2):
        np.testing.assert_allclose(together[i], backend.run(batch[i : i + 1])[0], atol=BATCH_TOLERANCE_M)
    assert np.abs(together[0] - together[1]).max() > BATCH_TOLERANCE_M


def test_the_same_input_gives_the_same_output_and_stays_as_it_was(backend):
    batch = images(1)
    before = batch.copy()
    first = backend.run(batch)
    kept = first.copy()
    backend.run(images(1, seed=1))
    np.testing.assert_array_equal(first, kept)  # a result is the caller's, not a buffer that the next run overwrites
    np.testing.assert_array_equal(backend.run(batch), kept)
    np.testing.assert_array_equal(batch, before)


def test_spec_name_and_device_are_known(backend):
    assert backend.spec == SPEC
    assert backend.name in ("fake", "torch", "onnxruntime")
    assert backend.device == "cpu"


def test_a_closed_backend_refuses_to_run_and_closes_twice(backend):
    backend.close()
    backend.close()
    with pytest.raises(LightDepthError, match="closed; load it again"):
        backend.run(images(1))


# Opening


def refusal(path, device="cpu"):
    with pytest.raises(LightDepthError) as caught:
        open_backend(path, device, 1)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def foreign_onnx(path, metadata=None):
    """A valid ONNX file that LightDepth did not write: y = relu(x)."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 64, 96]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if metadata is not None:
        model.metadata_props.add(key=SPEC_KEY, value=metadata)
    onnx.save_model(model, path)
    return path


def test_an_onnx_without_our_metadata_is_refused(tmp_path):
    message = refusal(foreign_onnx(tmp_path / "m.onnx"))
    assert "m.onnx has no LightDepth metadata" in message
    assert "lightdepth export" in message


def test_an_onnx_with_metadata_that_is_not_a_spec_is_refused(tmp_path):
    assert "spec can't be read" in refusal(foreign_onnx(tmp_path / "m.onnx", "{}"))


def test_an_onnx_whose_spec_is_of_another_graph_is_refused(tmp_path):
    message = refusal(foreign_onnx(tmp_path / "m.onnx", SPEC.to_json()))
    assert "its spec says 'image'" in message


def test_an_onnx_without_inputs_is_refused(tmp_path):
    output = helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1])
    node = helper.make_node("Constant", [], ["depth"], value=helper.make_tensor("c", TensorProto.FLOAT, [1], [1.0]))
    model = helper.make_model(
        helper.make_graph([node], "g", [], [output]), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    model.metadata_props.add(key=SPEC_KEY, value=SPEC.to_json())
    onnx.save_model(model, tmp_path / "m.onnx")
    assert "takes {} and gives ['depth'], but its spec says 'image'" in refusal(tmp_path / "m.onnx")


def test_a_truncated_onnx_is_refused(exported, tmp_path):
    path = tmp_path / "cut.onnx"
    content = (exported / "one.onnx").read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert "cut.onnx can't be opened by ONNX Runtime" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_a_file_that_is_no_onnx_is_refused(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    refusal(tmp_path / "m.onnx")


def test_a_missing_model_is_named(tmp_path):
    assert refusal(tmp_path / "gone.onnx") == f"No model at {tmp_path / 'gone.onnx'}."


def test_an_unknown_file_type_and_an_unknown_device_are_refused(exported, tmp_path):
    (tmp_path / "m.h5").touch()
    assert "No installed backend opens 'm.h5'" in refusal(tmp_path / "m.h5")
    assert "runs on auto, cpu, cuda, cuda:N or openvino, not 'tpu'" in refusal(exported / "one.onnx", "tpu")


def test_the_suffix_may_be_in_capitals(exported, tmp_path):
    path = tmp_path / "M.ONNX"
    path.write_bytes((exported / "one.onnx").read_bytes())
    assert open_backend(path, "cpu", 1).spec == SPEC


@pytest.mark.skipif(
    "CUDAExecutionProvider" in pytest.importorskip("onnxruntime").get_available_providers(),
    reason="this onnxruntime has CUDA",
)
def test_cuda_where_there_is_none_is_an_error_rather_than_the_cpu(exported, recwarn):
    sentence = refusal(exported / "one.onnx", "cuda")
    assert "ONNX Runtime can't use cuda here" in sentence
    assert "pip uninstall -y onnxruntime && pip install onnxruntime-gpu" in sentence
    assert not recwarn.list


def test_auto_is_the_cpu_where_no_gpu_answers(exported, monkeypatch):
    monkeypatch.setattr(onnx_session, "has_nvidia_device", lambda: False)
    assert open_onnx(exported / "one.onnx", "auto", 1).device == "cpu"


def test_opening_leaves_nothing_behind(exported):
    before = sorted(path.name for path in exported.iterdir())
    open_backend(exported / "one.onnx", "cpu", 1).close()
    assert sorted(path.name for path in exported.iterdir()) == before


@pytest.mark.parametrize(
    ("gpu", "providers", "device", "reason"),
    [
        (False, ["CUDAExecutionProvider"], "cpu", "no NVIDIA GPU"),
        (True, ["CPUExecutionProvider"], "cpu", "onnxruntime-gpu"),
        (True, ["CUDAExecutionProvider"], "cuda", "an NVIDIA GPU is here"),
    ],
)
def test_auto_says_what_it_chose_and_why(monkeypatch, gpu, providers, device, reason):
    import onnxruntime

    monkeypatch.setattr(onnx_session, "has_nvidia_device", lambda: gpu)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    chosen, why = onnx_session.choose_device()
    assert chosen == device
    assert re.search(reason, why)


@pytest.mark.parametrize("hidden", ["", "-1", "-1,0"])
def test_gpus_that_are_hidden_from_cuda_are_hidden_from_auto(monkeypatch, hidden):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setattr(onnx_session.Path, "exists", lambda path: True)
    assert not onnx_session.has_nvidia_device()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert onnx_session.has_nvidia_device()


@pytest.mark.parametrize("device", [None, 1])
def test_a_device_that_is_no_name_is_one_sentence(exported, device):
    with pytest.raises(LightDepthError, match=f"cuda:N or openvino, not '{device}'"):
        open_backend(exported / "one.onnx", device)


def test_an_estimator_says_why_it_runs_where_it_runs(exported, monkeypatch):
    monkeypatch.setattr(onnx_session, "has_nvidia_device", lambda: False)
    assert DepthEstimator.load(exported / "one.onnx", threads=1).device_reason == "since no NVIDIA GPU is here"
    assert DepthEstimator.load(exported / "one.onnx", "cpu", 1).device_reason == "as asked for"
    assert DepthEstimator(FakeBackend()).device_reason == "the only one that fake has"
