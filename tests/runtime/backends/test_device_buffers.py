import enum
import sys
import types

import pytest
from fakes.cuda import FakeCudart

from lightdepth_runtime.backends import device_buffers
from lightdepth_runtime.backends.device_buffers import CudaDevice, GpuInfo, load_cudart, open_cuda
from lightdepth_runtime.errors import LightDepthError


def test_the_older_spelling_of_the_bindings_is_found(monkeypatch):
    older = types.ModuleType("cuda.cudart")
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    monkeypatch.setitem(sys.modules, "cuda.cudart", older)
    assert load_cudart() is older


def test_missing_bindings_name_the_install_command(monkeypatch):
    for name in device_buffers._MODULES:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(LightDepthError, match="pip install cuda-bindings"):
        load_cudart()


@pytest.mark.parametrize("answer", [(0, 0), (35, None), (100, 0)])
def test_no_device_is_an_error(answer):
    with pytest.raises(LightDepthError, match="CUDA finds no GPU here"):
        open_cuda(types.SimpleNamespace(cudaGetDeviceCount=lambda: answer))


def test_a_device_is_opened():
    assert isinstance(open_cuda(types.SimpleNamespace(cudaGetDeviceCount=lambda: (0, 2))), CudaDevice)


def test_the_fake_has_no_name_that_cuda_lacks():
    cudart = FakeCudart()
    real = pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings are not installed")
    assert {name for name in dir(cudart) if not name.startswith("_")} <= set(dir(real))
    for group in ("cudaMemcpyKind", "cudaStreamCaptureMode"):
        assert set(vars(getattr(cudart, group))) <= set(dir(getattr(real, group)))


def test_the_gpu_describes_itself():
    assert CudaDevice(FakeCudart()).gpu() == GpuInfo("Fake GPU", "sm87")
    assert CudaDevice(FakeCudart(gpus=2), 1).pci_bus_id() == "0000:64:00.0"


def test_a_driver_older_than_the_bindings_says_what_to_install():
    status = enum.IntEnum("Status", {"cudaErrorInsufficientDriver": 35})(35)
    cudart = types.SimpleNamespace(cudaGetDeviceCount=lambda: (status, None))
    with pytest.raises(LightDepthError, match=r"pip install 'cuda-bindings==12\.\*' 'onnxruntime-gpu<1\.27'"):
        open_cuda(cudart)
