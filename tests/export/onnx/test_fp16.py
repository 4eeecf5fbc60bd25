from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from lightdepth_export.onnx.fp16 import to_fp16
from lightdepth_export.onnx.metadata import embed_spec, spec_of
from lightdepth_runtime.errors import LightDepthError


def types_of(model):
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    types = {v.name: v.type.tensor_type.elem_type for v in values}
    return types | {tensor.name: tensor.data_type for tensor in model.graph.initializer}


def copy_of(model):
    return onnx.ModelProto.FromString(model.SerializeToString())


@pytest.fixture(scope="module")
def each_fp16(each):
    return to_fp16(each[1])


def test_there_are_exactly_two_casts(each_fp16):
    assert Counter(node.op_type for node in each_fp16.graph.node)["Cast"] == 2


def test_input_and_output_stay_fp32(each_fp16):
    types = types_of(each_fp16)
    assert types["image"] == types["depth"] == TensorProto.FLOAT


def test_every_convolution_is_fp16_but_the_last(each_fp16):
    types = types_of(each_fp16)
    convolutions = [node for node in each_fp16.graph.node if node.op_type == "Conv"]
    kinds = [{types[name] for name in (*node.input, *node.output)} for node in convolutions]
    assert kinds[:-1] == [{TensorProto.FLOAT16}] * (len(kinds) - 1)
    assert kinds[-1] == {TensorProto.FLOAT}


def test_everything_after_the_head_cast_is_fp32(each_fp16):
    types = types_of(each_fp16)
    names = [node.name for node in each_fp16.graph.node]
    head = each_fp16.graph.node[names.index("cast_head") :]
    assert [node.op_type for node in head] == ["Cast", "Conv", "Clip", "Exp", "Mul", "Resize"]
    assert {types[name] for node in head for name in node.output} == {TensorProto.FLOAT}


def test_resize_scales_stay_fp32(each_fp16):
    types = types_of(each_fp16)
    resizes = [node for node in each_fp16.graph.node if node.op_type == "Resize"]
    assert {types[node.input[2]] for node in resizes} == {TensorProto.FLOAT}


def test_every_tensor_has_a_type_and_the_checker_passes(each_fp16):
    types = types_of(each_fp16)
    assert all(name in types for node in each_fp16.graph.node for name in node.output)
    onnx.checker.check_model(each_fp16, full_check=True)


def test_the_spec_says_fp16_and_the_argument_is_left_alone(fp32, spec):
    before = fp32.SerializeToString()
    assert spec_of(to_fp16(fp32)) == spec.with_changes(precision="fp16")
    assert fp32.SerializeToString() == before


def test_scores_of_the_fp32_file_are_not_claimed(fp32, spec):
    scored = copy_of(fp32)
    embed_spec(scored, spec.with_changes(scores={"rmse_m": 0.5}))
    assert spec_of(to_fp16(scored)).scores == {}
    assert spec_of(scored).scores == {"rmse_m": 0.5}


def test_the_file_halves(fp32, fp16):
    assert fp16.ByteSize() < 0.52 * fp32.ByteSize()


def test_a_dynamic_batch_stays_dynamic(dynamic):
    model = to_fp16(dynamic)
    assert model.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_a_weight_beyond_binary16_is_an_error_that_names_it(fp32):
    model = copy_of(fp32)
    weight = next(t for t in model.graph.initializer if len(t.dims) == 4)
    values = numpy_helper.to_array(weight).copy()
    values[0, 0, 0, 0] = 7e4
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    with pytest.raises(LightDepthError, match=f"{weight.name} reaches 70000"):
        to_fp16(model)


def test_a_nan_weight_is_an_error(fp32):
    model = copy_of(fp32)
    weight = next(t for t in model.graph.initializer if len(t.dims) == 4)
    values = np.full(tuple(weight.dims), np.nan, np.float32)
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    with pytest.raises(LightDepthError, match=f"{weight.name} reaches nan"):
        to_fp16(model)


def test_a_constant_shared_by_body_and_head_is_kept_in_both_precisions(fp32):
    model = copy_of(fp32)
    shared = numpy_helper.from_array(np.array(1.0, np.float32), "shared_one")
    model.graph.initializer.append(shared)
    nodes = list(model.graph.node)
    first, last = nodes[0], nodes[-1]
    for node in (first, last):
        position = list(model.graph.node).index(node)
        tensor = node.output[0]
        node.output[0] = f"{tensor}_before"
        scale = onnx.helper.make_node("Mul", [f"{tensor}_before", "shared_one"], [tensor], name=f"scale_{tensor}")
        model.graph.node.insert(position + 1, scale)
    types = types_of(to_fp16(model))
    assert types["shared_one"] == TensorProto.FLOAT
    assert types["shared_one_half"] == TensorProto.FLOAT16
