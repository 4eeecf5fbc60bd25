from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from lightdepth_export.onnx.metadata import load_onnx, spec_of
from lightdepth_export.onnx.trace import OPSET, export_onnx
from lightdepth_runtime.errors import LightDepthError

FP32_TOLERANCE_M = 1e-4  # other summation order; seen: 2e-6 at depths of 2 to 4 m


def run(model, batch):
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"image": batch})[0]


def test_the_graph_computes_what_pytorch_does(each, batches):
    network, graph = each
    for batch in batches:
        with torch.inference_mode():
            expected = network(torch.from_numpy(batch)).numpy()
        np.testing.assert_allclose(run(graph, batch), expected, atol=FP32_TOLERANCE_M)


def test_the_graph_is_clean_and_of_the_promised_opset(each):
    ops = Counter(node.op_type for node in each[1].graph.node)
    assert not ops.keys() & {"BatchNormalization", "Cast", "Shape", "Identity", "Constant", "Gather"}
    assert ops["Resize"] == 5
    assert [(o.domain, o.version) for o in each[1].opset_import] == [("", OPSET)]


def test_the_file_holds_no_path_of_the_machine_that_wrote_it(fp32):
    content = fp32.SerializeToString()
    assert b"site-packages" not in content
    assert b"model.py" not in content


def test_names_and_sizes_come_from_the_spec(dynamic):
    graph = dynamic.graph
    assert [v.name for v in graph.input] == ["rgb"]
    assert [v.name for v in graph.output] == ["metres"]
    assert [d.dim_param or d.dim_value for d in graph.output[0].type.tensor_type.shape.dim] == ["batch", 1, 64, 96]


def test_a_dynamic_batch_gives_each_image_its_own_result(dynamic, tiny, batches):
    session = onnxruntime.InferenceSession(dynamic.SerializeToString())
    together = session.run(None, {"rgb": np.concatenate(batches)})[0]
    with torch.inference_mode():
        alone = [tiny(torch.from_numpy(batch)).numpy() for batch in batches]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=FP32_TOLERANCE_M)


def test_the_file_is_one_piece_and_the_callers_network_stays_as_it_was(make_tiny, spec, batches, tmp_path, capfd):
    network = make_tiny("softplus")
    with torch.inference_mode():
        expected = network(torch.from_numpy(batches[0])).numpy()
    network.train()
    export_onnx(network, spec, tmp_path / "m.onnx")
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    assert spec_of(load_onnx(tmp_path / "m.onnx")) == spec
    assert all(module.training for module in network.modules())
    np.testing.assert_allclose(run(onnx.load(tmp_path / "m.onnx"), batches[0]), expected, atol=FP32_TOLERANCE_M)


class Unexportable(nn.Module):
    """Branches on the values of its input."""

    def forward(self, x):
        return x[:, :1] if x.sum() > 0 else x[:, 1:2]


def test_a_network_that_cannot_be_traced_is_one_clear_error_and_leaves_no_file(spec, tmp_path):
    with pytest.raises(LightDepthError, match="can't export this network"):
        export_onnx(Unexportable(), spec, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_importing_the_rest_of_the_package_needs_no_torch():
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import lightdepth_export.onnx.fp16, lightdepth_export.onnx.fp16_simulation, lightdepth_export.parity.gate\n"
        "assert 'lightdepth' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_checker_accepts_the_graph(each):
    onnx.checker.check_model(each[1], full_check=True)
