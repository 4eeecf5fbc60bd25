import pytest

from lightdepth_export.onnx.forms import purpose


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("m.onnx", "FP32, for any device"),
        ("m.fp16.onnx", "FP16, for TensorRT and GPUs"),
        ("m.int8.onnx", "INT8, for TensorRT alone"),
        ("m.int8.cpu.frame.onnx", "INT8, for x86 CPUs: ONNX Runtime, or --device openvino; takes a camera's frame"),
        ("m.fp16.engine", ""),
    ],
)
def test_a_file_says_what_it_is_for(name, use):
    assert purpose(name) == use
