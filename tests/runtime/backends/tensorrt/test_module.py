import sys
import types

import pytest

from lightdepth_runtime.backends.tensorrt.module import collect_log, flavour_of, load_tensorrt
from lightdepth_runtime.errors import LightDepthError


def fake():
    trt = types.ModuleType("tensorrt")
    trt.ILogger = type("ILogger", (), {})
    return trt


@pytest.mark.parametrize(
    ("flavour", "command"), [("tensorrt", "pip install tensorrt"), ("tensorrt_rtx", "pip install tensorrt-rtx")]
)
def test_a_missing_module_names_its_install_command(monkeypatch, flavour, command):
    monkeypatch.setitem(sys.modules, flavour, None)
    with pytest.raises(LightDepthError, match=f"{command}.$"):
        load_tensorrt(flavour)


def test_an_unknown_flavour_names_the_known_ones():
    with pytest.raises(LightDepthError, match="choose tensorrt or tensorrt_rtx"):
        load_tensorrt("tensorrt_lean")


def test_the_flavour_is_the_modules_name():
    assert flavour_of(types.ModuleType("tensorrt")) == "tensorrt"
    assert flavour_of(types.ModuleType("tensorrt_rtx")) == "tensorrt_rtx"


def test_one_logger_serves_the_process_and_each_listener_hears_its_own_time():
    trt = fake()
    with collect_log(trt) as (logger, first):
        logger.log(1, "an error")
        with collect_log(trt) as (again, second):
            again.log(2, "a warning")
            again.log(4, "Layers:\nName: a, LayerType: b\nother")
            again.log(3, "information")
    logger.log(1, "later")
    assert again is logger
    assert (first.errors, first.warnings) == (["an error"], ["a warning"])
    assert (second.errors, second.layers) == ([], ["Name: a, LayerType: b"])


def test_a_silent_failure_says_that_there_was_no_reason():
    with collect_log(fake()) as (_, log):
        assert log.reason() == "TensorRT gave no reason"


def test_repeated_errors_are_told_once():
    with collect_log(fake()) as (logger, log):
        for message in ("a", "b", "a"):
            logger.log(0, message)
    assert log.reason() == "a | b"
