"""What an NVIDIA GPU says of itself while a model runs: power, energy, clocks, temperature, throttling."""

from __future__ import annotations

import importlib
import re
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

from ..backends.device import cuda_index
from ..backends.device_buffers import open_cuda
from ..errors import LightDepthError

__all__ = ["GpuProbe", "GpuReadings", "GpuSample", "NvmlProbe", "TegraProbe", "measure_gpu", "open_gpu_probe"]

SAMPLE_EVERY_S = 0.1  # NVML renews power about that often
NO_LIMIT = {"GpuIdle", "None", "ApplicationsClocksSetting", "UserDefinedClocks", "DisplayClockSetting", "All"}
REASON_PREFIX = "nvmlClocksThrottleReason"


@dataclass(frozen=True)
class GpuSample:
    """One reading; None where the device doesn't tell."""

    power_w: float | None
    sm_clock_mhz: float | None
    temperature_c: float | None
    throttled_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class GpuReadings:
    """A model running by itself for some seconds: means of power and clock, the highest temperature.

    The energy is the whole board's, or of a Jetson's module, for each frame of batch 1, its idle share included.
    """

    source: str
    frames: int
    power_w: float | None
    energy_per_frame_mj: float | None
    sm_clock_mhz: float | None
    temperature_c: float | None
    throttled_by: list[str]


class NvmlProbe:
    """A GPU through NVIDIA's management library (package nvidia-ml-py, extra `nvml`).

    NVML numbers GPUs by their place on the bus and looks past CUDA_VISIBLE_DEVICES; CUDA does neither. So their numbers
    name different GPUs, and the address on the bus says which is meant.

    Args:
        nvml: the package; None imports it.
        bus_id: the GPU's address on the bus; None is the only one here.

    Raises:
        LightDepthError: no package, no driver, no GPU, or several and no address.
    """

    source = "nvml"

    def __init__(self, nvml: ModuleType | None = None, bus_id: str | None = None) -> None:
        if nvml is None:
            try:
                nvml = importlib.import_module("pynvml")
            except ImportError as error:
                raise LightDepthError(
                    "GPU readings need the package nvidia-ml-py; install it with: pip install nvidia-ml-py"
                ) from error
        self._nvml = nvml
        try:
            nvml.nvmlInit()
            if bus_id is None and (count := nvml.nvmlDeviceGetCount()) > 1:
                raise LightDepthError(
                    f"NVML sees {count} GPUs here, and only cuda-bindings tell which of them runs the model; install "
                    "those of the driver's CUDA: pip install 'cuda-bindings==13.*' (or 12.*)"
                )
            self._gpu = (
                nvml.nvmlDeviceGetHandleByIndex(0) if bus_id is None else nvml.nvmlDeviceGetHandleByPciBusId(bus_id)
            )
        except nvml.NVMLError as error:
            raise LightDepthError(f"NVML gives no GPU readings here ({error}).") from error
        self._reasons = {
            name.removeprefix(REASON_PREFIX): getattr(nvml, name)
            for name in dir(nvml)
            if name.startswith(REASON_PREFIX) and name.removeprefix(REASON_PREFIX) not in NO_LIMIT
        }

    def sample(self) -> GpuSample:
        """Read power, clock, temperature and what slows the clock down."""
        nvml, gpu = self._nvml, self._gpu
        power_mw = self._ask(nvml.nvmlDeviceGetPowerUsage, gpu)
        mask = self._ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, gpu) or 0
        return GpuSample(
            None if power_mw is None else power_mw / 1e3,
            self._ask(nvml.nvmlDeviceGetClockInfo, gpu, nvml.NVML_CLOCK_SM),
            self._ask(nvml.nvmlDeviceGetTemperature, gpu, nvml.NVML_TEMPERATURE_GPU),
            tuple(sorted(name for name, bit in self._reasons.items() if int(mask) & bit)),
        )

    def energy_mj(self) -> float | None:
        """Return the board's millijoules since the driver was loaded (Volta and newer)."""
        return self._ask(self._nvml.nvmlDeviceGetTotalEnergyConsumption, self._gpu)

    def close(self) -> None:
        """Release the library."""
        self._nvml.nvmlShutdown()

    def _ask(self, question: Callable[..., float], *arguments: object) -> float | None:
        try:
            return float(question(*arguments))
        except self._nvml.NVMLError:  # this device doesn't support it
            return None


class TegraProbe:
    """A Jetson through its `tegrastats`: power of the whole module, GPU clock and temperature.

    Raises:
        LightDepthError: the program says nothing.
    """

    source = "tegrastats"

    def __init__(self, command: Sequence[str] | None = None) -> None:
        command = command or ["tegrastats", "--interval", str(int(SAMPLE_EVERY_S * 1e3))]
        try:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        except OSError as error:
            raise LightDepthError(f"tegrastats can't be run ({error.strerror}).") from error
        self._last = ""
        self._came = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        if not self._came.wait(timeout=5):
            self.close()
            raise LightDepthError("tegrastats gives no readings here; it needs a Jetson.")

    def _read(self) -> None:
        assert self._process.stdout is not None, "opened with a pipe"
        for line in self._process.stdout:
            self._last = line
            self._came.set()

    def sample(self) -> GpuSample:
        """Return the newest line's readings."""
        return parse_tegrastats(self._last)

    def energy_mj(self) -> float | None:
        """Return None: a Jetson has no counter, power over time stands for it."""
        return None

    def close(self) -> None:
        """Stop the program."""
        self._process.terminate()
        self._process.wait()


def parse_tegrastats(line: str) -> GpuSample:
    """Read one line of `tegrastats` (JetPack 5 and 6).

    Power is VDD_IN, the whole module's, where there is such a rail (Orin Nano and NX), else the sum of all rails (AGX).
    """
    rails = {name: float(now) for name, now in re.findall(r"\b(V\w+) (\d+)mW/\d+mW", line)}
    power_mw = rails.get("VDD_IN", sum(rails.values()) if rails else None)
    clocks = re.search(r"GR3D_FREQ \d+%@\[?(\d+)", line)
    temperature = re.search(r"\bgpu@(-?[\d.]+)C", line, re.IGNORECASE)
    return GpuSample(
        None if power_mw is None else power_mw / 1e3,
        float(clocks.group(1)) if clocks else None,
        float(temperature.group(1)) if temperature else None,
    )


GpuProbe = NvmlProbe | TegraProbe


def open_gpu_probe(device: str = "cuda") -> GpuProbe:
    """Open what this machine has for a GPU: a Jetson's tegrastats, else NVML.

    Args:
        device: a backend's, "cuda" or "cuda:N".

    Raises:
        LightDepthError: neither gives readings; says why.
    """
    if shutil.which("tegrastats"):
        return TegraProbe()
    try:
        bus_id = open_cuda(index=cuda_index(device) or 0).pci_bus_id()
    except LightDepthError:  # PyTorch needs no cuda-bindings
        bus_id = None
    return NvmlProbe(bus_id=bus_id)


def measure_gpu(run: Callable[[], object], probe: GpuProbe, *, seconds: float = 2.0) -> GpuReadings:
    """Run a model again and again for some seconds while the probe is sampled beside it.

    Args:
        run: one frame; returns when the device is done.
        probe: what to ask.
        seconds: how long; power meters average over a tenth of a second or more.
    """
    samples: list[GpuSample] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(SAMPLE_EVERY_S):
            samples.append(probe.sample())

    run()
    watcher = threading.Thread(target=watch)
    energy, start = probe.energy_mj(), time.perf_counter()
    watcher.start()
    frames = 0
    try:
        while frames == 0 or time.perf_counter() - start < seconds:
            run()
            frames += 1
    finally:
        elapsed_s, end_energy = time.perf_counter() - start, probe.energy_mj()
        stop.set()
        watcher.join()
    samples = samples or [probe.sample()]
    power_w = _mean([sample.power_w for sample in samples])
    if energy is not None and end_energy is not None:
        spent_mj = end_energy - energy
    else:
        spent_mj = None if power_w is None else power_w * elapsed_s * 1e3
    temperatures = [sample.temperature_c for sample in samples if sample.temperature_c is not None]
    return GpuReadings(
        source=probe.source,
        frames=frames,
        power_w=power_w,
        energy_per_frame_mj=None if spent_mj is None else spent_mj / frames,
        sm_clock_mhz=_mean([sample.sm_clock_mhz for sample in samples]),
        temperature_c=max(temperatures, default=None),
        throttled_by=sorted({reason for sample in samples for reason in sample.throttled_by}),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
