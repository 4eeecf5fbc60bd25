import types

import pytest

from lightdepth_export.tensorrt.options import BatchRange, BuildOptions, compute_capability_names
from lightdepth_runtime.errors import LightDepthError

RTX = types.SimpleNamespace(
    ComputeCapability=types.SimpleNamespace(SM75=1, SM80=2, SM86=3, SM89=4, SM120=5, SM121=6, CURRENT=0)
)


@pytest.mark.parametrize("text", ["sm86", "SM86", "sm_86", "86", "8.6", " sm86 "])
def test_a_gpu_may_be_named_in_every_usual_form(text):
    assert compute_capability_names(RTX, (text,)) == ("sm86",)


def test_repeats_are_dropped_and_three_digits_understood():
    assert compute_capability_names(RTX, ("sm120", "12.0", "89")) == ("sm120", "sm89")


@pytest.mark.parametrize(("text", "whose"), [("sm87", "Jetson Orin"), ("9.0", "H100"), ("sm110", "Jetson Thor")])
def test_a_gpu_that_needs_tensorrt_proper_is_refused_with_its_name(text, whose):
    with pytest.raises(LightDepthError, match=rf"\({whose}\), only for sm75, .*with TensorRT: python -m"):
        compute_capability_names(RTX, (text,))


@pytest.mark.parametrize("text", ["", "current", "ampere", "sm"])
def test_other_words_are_refused(text):
    with pytest.raises(LightDepthError, match="doesn't build for"):
        compute_capability_names(RTX, (text,))


def test_named_gpus_need_tensorrt_rtx():
    with pytest.raises(LightDepthError, match="needs TensorRT-RTX"):
        compute_capability_names(types.SimpleNamespace(), ("sm86",))


@pytest.mark.parametrize("sizes", [(0, 1, 1), (2, 1, 4), (1, 4, 2)])
def test_a_batch_range_must_rise(sizes):
    with pytest.raises(LightDepthError, match="MIN <= OPT <= MAX"):
        BatchRange(*sizes)


def test_a_workspace_must_be_positive():
    with pytest.raises(LightDepthError, match="must be positive, got 0 bytes"):
        BuildOptions(workspace_bytes=0)
