"""Names of devices: "cuda" and "cuda:1" are the first and the second NVIDIA GPU."""

import re

from ..errors import LightDepthError

__all__ = ["cuda_index"]


def cuda_index(device: str) -> int | None:
    """Return which GPU a name means: 0 for "cuda", N for "cuda:N", None for a device that isn't CUDA.

    Raises:
        LightDepthError: "cuda:" with something else behind it than a number.
    """
    if device == "cuda":
        return 0
    if not device.startswith("cuda:"):
        return None
    if not re.fullmatch(r"cuda:\d{1,3}", device):
        raise LightDepthError(f"A GPU is named cuda or cuda:N, with N from 0 on, got {device!r}.")
    return int(device.removeprefix("cuda:"))
