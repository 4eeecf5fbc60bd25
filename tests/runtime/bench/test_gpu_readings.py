import sys
import time
from types import SimpleNamespace

import pytest
from fakes.cuda import FakeCudart, install_cuda

from lightdepth_runtime.bench.gpu_readings import (
    GpuSample,
    NvmlProbe,
    TegraProbe,
    measure_gpu,
    open_gpu_probe,
    parse_tegrastats,
)
from lightdepth_runtime.errors import LightDepthError

ORIN_NANO = (
    "05-16-2024 10:21:14 RAM 2641/7620MB (lfb 4x4MB) SWAP 0/3810MB (cached 0MB) CPU [4%@1510,1%@1510,0%@1510,0%@1510] "
    "EMC_FREQ 2%@2133 GR3D_FREQ 87%@[624] NVDEC off NVJPG off VIC off OFA off APE 200 cpu@49.5C soc2@48.5C gpu@50.125C "
    "tj@50.125C soc1@49.7C VDD_IN 7216mW/5016mW VDD_CPU_GPU_CV 2880mW/1041mW VDD_SOC 1520mW/1521mW"
)
AGX_ORIN = (
    "03-14-2023 10:52:28 RAM 3138/30536MB (lfb 6222x4MB) CPU [2%@1190,0%@1190] EMC_FREQ 1%@2133 "
    "GR3D_FREQ 12%@[611,611] CPU@47.343C GPU@43.812C tj@47.343C "
    "VDD_GPU_SOC 2396mW/2396mW VDD_CPU_CV 399mW/399mW VIN_SYS_5V0 3021mW/3021mW"
)
XAVIER = "RAM 2461/15823MB GR3D_FREQ 99%@1377 GPU@41C PMIC@100C GPU 4903mW/310mW CPU 310mW/310mW"


class FakeError(Exception):
    """Stands for NVMLError."""


class FakeNvml(SimpleNamespace):
    """NVML's functions that the probe calls, on a GPU that takes 50 W."""

    NVMLError = FakeError
    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0
    nvmlClocksThrottleReasonGpuIdle, nvmlClocksThrottleReasonSwPowerCap = 1, 4  # noqa: N815
    nvmlClocksThrottleReasonHwThermalSlowdown, nvmlClocksThrottleReasonAll = 64, 2047  # noqa: N815

    def __init__(self, *, has_counter=True, mask=4, gpus=1):
        super().__init__(gpus=gpus, log=[], has_counter=has_counter, mask=mask, start=time.perf_counter())

    def nvmlInit(self):  # noqa: N802  # NVML's own name, as the next ones
        self.log.append("init")

    def nvmlShutdown(self):  # noqa: N802
        self.log.append("shutdown")

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return f"gpu{index}"

    def nvmlDeviceGetHandleByPciBusId(self, bus_id):  # noqa: N802
        return f"gpu at {bus_id}"

    def nvmlDeviceGetCount(self):  # noqa: N802
        return self.gpus

    def nvmlDeviceGetPowerUsage(self, gpu):  # noqa: N802
        return 50_000

    def nvmlDeviceGetClockInfo(self, gpu, kind):  # noqa: N802
        assert kind == self.NVML_CLOCK_SM
        return 1410

    def nvmlDeviceGetTemperature(self, gpu, sensor):  # noqa: N802
        return 61

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, gpu):  # noqa: N802
        return self.mask

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu):  # noqa: N802
        if not self.has_counter:
            raise FakeError
        return (time.perf_counter() - self.start) * 50_000


def test_every_name_that_is_asked_of_nvml_exists_there():
    pynvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    for name in vars(FakeNvml):
        if name.startswith(("nvml", "NVML")):
            assert hasattr(pynvml, name), name


@pytest.mark.parametrize("has_counter", [True, False])
def test_energy_a_frame_is_power_times_its_time(has_counter):
    probe = NvmlProbe(FakeNvml(has_counter=has_counter))
    readings = measure_gpu(lambda: time.sleep(0.01), probe, seconds=0.35)
    assert readings.source == "nvml"
    assert 10 <= readings.frames <= 36
    assert readings.power_w == 50
    # 50 W for the time of a frame; the last frame may end past the limit on a busy machine
    assert readings.energy_per_frame_mj == pytest.approx(0.35 * 50_000 / readings.frames, rel=0.5)
    assert (readings.sm_clock_mhz, readings.temperature_c) == (1410, 61)
    assert readings.throttled_by == ["SwPowerCap"]
    probe.close()


def test_idle_and_chosen_clocks_are_no_throttling():
    assert NvmlProbe(FakeNvml(mask=1)).sample().throttled_by == ()
    assert NvmlProbe(FakeNvml(mask=1 | 64)).sample().throttled_by == ("HwThermalSlowdown",)


def test_what_a_device_does_not_support_is_unknown_and_not_an_error():
    nvml = FakeNvml()

    def unsupported(gpu):
        raise FakeError

    nvml.nvmlDeviceGetPowerUsage = unsupported
    readings = measure_gpu(lambda: None, NvmlProbe(nvml), seconds=0.0)
    assert readings.power_w is None
    assert readings.frames == 1


def test_no_driver_is_one_sentence():
    nvml = FakeNvml()

    def missing():
        raise FakeError("NVML Shared Library Not Found")

    nvml.nvmlInit = missing
    with pytest.raises(LightDepthError, match=r"no GPU readings here \(NVML Shared Library Not Found\)"):
        NvmlProbe(nvml)


def test_the_gpu_that_runs_the_model_is_read_whatever_number_nvml_gives_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(gpus=2))
    install_cuda(monkeypatch, FakeCudart(gpus=2))
    assert open_gpu_probe("cuda:1")._gpu == "gpu at 0000:64:00.0"
    assert open_gpu_probe("cuda")._gpu == "gpu at 0000:65:00.0"


def test_without_cuda_bindings_only_a_single_gpu_is_read(monkeypatch):
    monkeypatch.setenv("PATH", "")
    for name in ("cuda.bindings.runtime", "cuda.cudart"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    assert open_gpu_probe("cuda")._gpu == "gpu0"
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(gpus=2))
    with pytest.raises(LightDepthError, match=r"NVML sees 2 GPUs here, .*pip install 'cuda-bindings==13"):
        open_gpu_probe("cuda")


def test_a_missing_package_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LightDepthError, match="pip install nvidia-ml-py"):
        open_gpu_probe()


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        (ORIN_NANO, GpuSample(7.216, 624, 50.125)),
        (AGX_ORIN, GpuSample(5.816, 611, 43.812)),
        (XAVIER, GpuSample(None, 1377, 41)),
        ("no such line", GpuSample(None, None, None)),
    ],
)
def test_lines_of_tegrastats_are_read(line, sample):
    assert parse_tegrastats(line) == sample


def test_tegrastats_is_read_while_a_model_runs_and_ended():
    script = f"import time\nwhile True:\n    print({ORIN_NANO!r}, flush=True)\n    time.sleep(0.01)"
    probe = TegraProbe([sys.executable, "-c", script])
    readings = measure_gpu(lambda: time.sleep(0.01), probe, seconds=0.3)
    assert (readings.source, readings.power_w, readings.sm_clock_mhz) == ("tegrastats", pytest.approx(7.216), 624)
    assert readings.energy_per_frame_mj == pytest.approx(7216 * 0.3 / readings.frames, rel=0.5)
    probe.close()
    assert probe._process.poll() is not None
