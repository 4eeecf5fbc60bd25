"""Run a new engine on a few frames and hold its metres to ONNX Runtime's, before anybody relies on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import onnx
from numpy.typing import NDArray

from lightdepth_runtime.backends.backend import Backend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.preprocess import preprocess, resize_rgb
from lightdepth_runtime.spec import ModelSpec, Precision

from ..onnx.backend import open_graph

__all__ = ["TOLERANCES", "SelfTest", "golden_frames", "known_cause", "self_test"]

FRAME_HEIGHT, FRAME_WIDTH = 240, 320
# Largest difference as a share of the frame's largest depth. FP32: another order of summation. FP16: 11 bits of
# mantissa through some sixty layers, with the head in FP32. INT8: a value beside a step of the grid may fall to either
# side of it.
TOLERANCES: dict[Precision, float] = {"fp32": 1e-3, "fp16": 2e-2, "int8": 1e-1}
TF32_TOLERANCE = TOLERANCES["fp16"]  # its mantissa has 11 bits too


@dataclass(frozen=True)
class SelfTest:
    """The largest difference from ONNX Runtime in metres over all frames, and what was allowed where it occurred."""

    frames: int
    max_abs_diff_m: float
    tolerance_m: float


def self_test(engine: Backend, model: onnx.ModelProto, *, flavour: str, version: str, tf32: bool = False) -> SelfTest:
    """Compare an engine with its ONNX graph as ONNX Runtime computes it on the CPU, operator by operator.

    Args:
        engine: just built.
        model: what it was built from.
        flavour: "tensorrt" or "tensorrt_rtx", for the error.
        version: of that.
        tf32: whether FP32 convolutions may round their inputs.

    Raises:
        LightDepthError: the depth differs by more than the tolerance; gives the difference, and the cause where it is
            known.
    """
    spec, size = engine.spec, getattr(engine, "largest_batch", 1)
    share = TF32_TOLERANCE if tf32 and spec.precision == "fp32" else TOLERANCES[spec.precision]
    reference = open_graph(model, fuse=spec.precision != "int8")
    frames = golden_frames()
    tests = []
    for frame in frames:
        batch = _batch_of(frame, spec)
        wanted, got = (backend.run(np.repeat(batch, size, axis=0))[:1] for backend in (reference, engine))
        difference_m = np.abs(got.astype(np.float64) - wanted)
        largest_m = float(difference_m.max()) if np.isfinite(difference_m).all() else float("nan")
        tests.append(SelfTest(len(frames), largest_m, share * float(wanted.max())))
    reference.close()
    worst = max(tests, key=lambda test: np.nan_to_num(test.max_abs_diff_m / test.tolerance_m, nan=np.inf))
    if not worst.max_abs_diff_m <= worst.tolerance_m:  # NaN too
        cause = known_cause(model, flavour, version)
        raise LightDepthError(
            f"The engine of {spec.name} is wrong: its depth is up to {worst.max_abs_diff_m:.3g} m from ONNX Runtime's "
            f"on the same frames, and {worst.tolerance_m:.2g} m is allowed for {spec.precision}; nothing was written. "
            f"{cause or 'Take another precision or another version of TensorRT, and report this one.'}"
        )
    return worst


def _batch_of(frame: NDArray[np.uint8], spec: ModelSpec) -> NDArray[np.float32]:
    """Return a frame (H, W, 3) as the network takes it: (1, 3, h, w), or with preprocessing inside (1, H, W, 3)."""
    if spec.frame_height is None or spec.frame_width is None:
        return preprocess(frame, spec)[None]
    return cast("NDArray[np.float32]", resize_rgb(frame, spec.frame_height, spec.frame_width)[None])  # uint8


def golden_frames() -> list[NDArray[np.uint8]]:
    """Return the frames of the test, uint8 RGB (240, 320, 3): ramps, edges and noise, the same on every machine."""
    rows, columns = np.mgrid[0:FRAME_HEIGHT, 0:FRAME_WIDTH]
    ramp = np.stack([rows * 255 / FRAME_HEIGHT, columns * 255 / FRAME_WIDTH, 255 - rows * 255 / FRAME_HEIGHT], axis=2)
    boxes = np.where(((rows // 40 + columns // 64) % 2 == 0)[:, :, None], [200, 150, 90], [40, 70, 120])
    noise = np.random.default_rng(0).normal(0, 20, (FRAME_HEIGHT, FRAME_WIDTH, 3))
    return [np.clip(frame, 0, 255).astype(np.uint8) for frame in (ramp, boxes, ramp / 2 + boxes / 2 + noise)]


def known_cause(model: onnx.ModelProto, flavour: str, version: str) -> str | None:
    """Name the cause of wrong depth where it is known.

    TensorRT 10.3, which JetPack 6 brings, is reported to compute wrong depth for transformer networks such as Depth
    Anything V2; convolutional ones are reported right.
    """
    has_attention = any(node.op_type in ("Softmax", "Attention") for node in model.graph.node)
    if flavour == "tensorrt" and version.startswith("10.3.") and has_attention:
        return (
            f"TensorRT {version} is known to compute wrong depth for transformer networks; run the ONNX file on CUDA, "
            "or build with a later TensorRT."
        )
    return None
