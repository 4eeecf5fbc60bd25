"""Readings of a GPU that is always throttled by its power cap."""

from lightdepth_runtime.bench.gpu_readings import GpuSample


class FakeProbe:
    """A GPU that takes 5 W and counts its energy."""

    source = "fake"
    closed = False

    def __init__(self, device="cuda"):
        self.device = device

    def sample(self):
        return GpuSample(5.0, 900.0, 55.0, ("SwPowerCap",))

    def energy_mj(self):
        return None

    def close(self):
        self.closed = True
