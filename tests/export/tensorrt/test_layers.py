import json

import pytest

from lightdepth_export.tensorrt.layers import check_precision, layers_from_inspector, layers_from_log, report_layers
from lightdepth_runtime.errors import LightDepthError


def row(name, kind, types, nodes):
    inputs = ", ".join(f"{{ Name: x, Dimensions: [1,3,96,128], Datatype: {t}, Format: (NHWC) Channel }}" for t in types)
    metadata = "\x1f".join(f"[ONNX Layer: {node}]" for node in nodes)
    return (
        f"Name: {name}, LayerType: {kind}, Inputs: [ {inputs}], Constants: [ {{ Name: w, Datatype: Float, Format: "
        f"(Linear) }}], Outputs: [ {{ Name: y, Datatype: Float, Format: (NHWC) }}], TacticName: t, StreamId: 0, "
        f"Metadata: {metadata}"
    )


def report(*kinds):
    rows = [row(f"c{i}_myl0_{i}", "correlation", [kind], [f"c{i}", "relu"]) for i, kind in enumerate(kinds)]
    return report_layers(layers_from_log(rows), [f"c{i}" for i in range(len(kinds))])


def test_a_convolution_has_the_type_of_its_own_input():
    rows = [row("conv_1_myl0_3", "correlation", ["Half", "Float"], ["conv_1", "add"])]
    assert report_layers(layers_from_log(rows), ["conv_1"]).convolutions == {"conv_1": "Half"}


def test_casts_and_rescaling_around_a_convolution_do_not_count():
    rows = [
        row("__myl_CastConc_myl0_0", "kgen", ["Float"], ["cast", "conv"]),
        row("conv_myl0_1", "correlation", ["Int8"], ["conv"]),
        row("__myl_MulAdd_myl0_2", "kgen", ["Float"], ["conv", "relu_QuantizeLinear"]),
    ]
    assert report_layers(layers_from_log(rows), ["conv"]).convolutions == {"conv": "Int8"}


def test_a_convolution_inside_a_generated_kernel_is_found():
    rows = [row("__myl_FcAdd_myl0_48", "kgen", ["Half", "Half"], ["conv", "add"])]
    assert report_layers(layers_from_log(rows), ["conv"]).convolutions == {"conv": "Half"}


def test_the_widest_layer_decides_where_several_compute_a_convolution():
    rows = [row(f"part{i}", "correlation", [kind], ["conv"]) for i, kind in enumerate(["Half", "Float", "Int8"])]
    assert report_layers(layers_from_log(rows), ["conv"]).convolutions == {"conv": "Float"}


def test_names_that_begin_alike_are_kept_apart():
    rows = [row("conv_10", "correlation", ["Half"], ["conv_10"]), row("conv_1", "correlation", ["Float"], ["conv_1"])]
    assert report_layers(layers_from_log(rows), ["conv_1", "conv_10"]).convolutions == {
        "conv_1": "Float",
        "conv_10": "Half",
    }


@pytest.mark.parametrize("lines", [[], ["Layer: another LayerType: wording"]])
def test_no_layer_lines_fail_loudly(lines):
    with pytest.raises(LightDepthError, match="described 0 layers for 1 convolutions"):
        report_layers(layers_from_log(lines), ["conv"])


@pytest.mark.parametrize(
    "tensor",
    [
        {"Name": "x", "Datatype": "Half", "Format": "(NHWC)"},
        {"Name": "x", "Format/Datatype": "Half"},
        {"Name": "x", "Format/Datatype": "Channel major FP16 format where channel % 8 == 0"},
    ],
)
def test_the_inspectors_wordings_of_half_are_read(tensor):
    layer = {
        "Name": "conv_1 + relu_1",
        "LayerType": "CaskConvolution",
        "ParameterType": "Convolution",
        "Inputs": [tensor],
        "Metadata": "[ONNX Layer: conv_1]\x1e[ONNX Layer: relu_1]",
    }
    reformat = {
        "Name": "Reformatting CopyNode for Input Tensor 0 to conv_1",
        "LayerType": "Reformat",
        "Inputs": [{"Name": "x", "Format/Datatype": "Row major linear FP32"}],
        "Metadata": "[ONNX Layer: conv_1]",
    }
    text = json.dumps({"Layers": [reformat, layer], "Bindings": ["image", "depth"]})
    assert report_layers(layers_from_inspector(text), ["conv_1"]).convolutions == {"conv_1": "Half"}


def test_an_inspector_without_metadata_is_read_by_layer_names():
    layer = {"Name": "conv_1 + relu_1", "LayerType": "CaskConvolution", "Inputs": [{"Format/Datatype": "Int8 NHWC32"}]}
    text = json.dumps({"Layers": [layer, "a bare name"]})
    found = report_layers(layers_from_inspector(text), ["conv_1", "conv_10"]).convolutions
    assert found == {"conv_1": "Int8", "conv_10": "unknown"}


def test_an_inspectors_answer_that_is_no_json_is_refused():
    with pytest.raises(LightDepthError, match="can't be read"):
        layers_from_inspector("Layers:")


def test_a_kept_head_alone_may_be_float_in_fp16():
    check_precision(report("Half", "Half", "Float"), "fp16", keep=["c2"])
    with pytest.raises(LightDepthError, match=r"1 of 3 convolutions are not Half in this fp16 engine: c1 \(Float\)"):
        check_precision(report("Half", "Float", "Float"), "fp16", keep=["c2"])


def test_a_convolution_that_was_not_found_is_no_proof():
    found = report_layers(layers_from_log([row("a", "correlation", ["Half"], ["a"])]), ["a", "lost", "head"])
    with pytest.raises(LightDepthError, match=r"lost \(unknown\)"):
        check_precision(found, "fp16", keep=["head"])


def test_kept_convolutions_may_differ_and_no_others():
    check_precision(report("Float", "Int8", "Int8"), "int8", keep=["c0"])
    with pytest.raises(LightDepthError, match=r"c2 \(Half\)"):
        check_precision(report("Float", "Int8", "Half"), "int8", keep=["c0"])


def test_an_engine_of_kept_convolutions_alone_proves_nothing():
    with pytest.raises(LightDepthError, match="nothing is proven"):
        check_precision(report("Float", "Float"), "int8", keep=["c0", "c1"])


def test_without_kept_convolutions_there_is_no_exception():
    check_precision(report("Float", "Float"), "fp32")
    with pytest.raises(LightDepthError, match=r"c1 \(Half\)"):
        check_precision(report("Float", "Half"), "fp32")
