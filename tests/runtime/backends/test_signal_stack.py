"""OpenVINO models closed out of order must not leave a freed stack for signals behind."""

import subprocess
import sys

import pytest

CODE = """
import os, signal
from lightdepth_runtime import DepthEstimator

first, second = (DepthEstimator.load(device="openvino", threads=1) for _ in range(2))
first.close()
second.close()
signal.signal(signal.SIGINT, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGINT)
"""


def test_ctrl_c_after_two_models_were_closed_is_handled():
    pytest.importorskip("openvino")
    result = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, "handled\n")
