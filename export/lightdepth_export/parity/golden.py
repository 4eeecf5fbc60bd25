"""A golden example: one frame, what preprocessing makes of it, and the depth that must come out, as plain files.

A C++ or robot integrator checks his own code against them, step by step, without Python.
"""

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.atomic import make_folder, write_text
from lightdepth_runtime.backends import Backend
from lightdepth_runtime.backends.backend import depth_and_sigma
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.images.preprocess import preprocess
from lightdepth_runtime.spec import ModelSpec

from ..files import all_or_nothing
from .frames import Frame

__all__ = ["check_golden_folder", "write_golden"]

INPUT_TOLERANCE = 1e-6  # the same table look-up in FP32: only the order of subtract and divide may differ
RESIZE_TOLERANCE_GREY_LEVELS = 1  # a resize other than OpenCV's rounds ties differently


def write_golden(folder: Path, frame: Frame, backend: Backend, tolerances_m: dict[str, float]) -> Path:
    """Write frame, network input, network output and full-size depth as `.npy` and raw `.bin`, with spec and README.

    Args:
        folder: made anew; one that exists must be empty, or a golden folder, which is replaced.
        frame: any real image.
        backend: the exported FP32 model.
        tolerances_m: for each form of the model, the largest difference from `depth` in metres to expect.

    Raises:
        LightDepthError: the folder holds other files or can't be written.
    """
    check_golden_folder(folder)
    spec = backend.spec
    network_input = preprocess(frame.image, spec)[None]  # (H, W, 3) -> (1, 3, h, w)
    depth, sigma = depth_and_sigma(backend, network_input)  # (1, 1, h, w) each
    frame_depth, frame_sigma = DepthEstimator(backend).depth_and_sigma(frame.image)  # (H, W) each
    arrays = {
        "frame": np.ascontiguousarray(frame.image),
        "input": network_input,
        "depth": depth,
        "frame_depth": frame_depth,
    }
    if sigma is not None and frame_sigma is not None:
        arrays |= {"sigma": sigma, "frame_sigma": frame_sigma}
    with all_or_nothing(folder.absolute()) as temporary:
        golden = make_folder(temporary / folder.absolute().name)
        for name, array in arrays.items():
            np.save(golden / f"{name}.npy", array)
            (golden / f"{name}.bin").write_bytes(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        write_text(golden / "spec.json", spec.to_json() + "\n")
        write_text(golden / "README.md", _readme(arrays, spec, tolerances_m))
        if folder.exists():
            shutil.rmtree(folder)
    return folder


def check_golden_folder(folder: Path) -> None:
    """Refuse a folder whose files are not a golden example's: it would be replaced whole."""
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / "spec.json").is_file())):
        raise LightDepthError(f"{folder} holds other files; give --golden a new or empty folder.")


def _readme(arrays: dict[str, NDArray[np.generic]], spec: ModelSpec, tolerances_m: dict[str, float]) -> str:
    """Say what each file holds and how close is close enough."""
    meaning = {
        "frame": "camera frame, RGB, rows from the top",
        "input": f"network input `{spec.input_name}`: resized, (pixel / 255 - mean) / std",
        "depth": f"network output `{spec.output_name}`, metres",
        "sigma": f"network output `{spec.sigma_tensor}`: its estimate of the standard deviation of log depth",
        "frame_sigma": "the same with the calibration's sigma factor, if any, resized like depth",
        "frame_depth": "the same with the calibration of spec.json, if any, resized to the frame, bilinear, metres",
    }
    files = [f"| `{n}` | {a.dtype} | {' x '.join(map(str, a.shape))} | {meaning[n]} |" for n, a in arrays.items()]
    forms = [f"| {form} | {limit:.1e} |" for form, limit in tolerances_m.items()]
    std = min(spec.std)
    return "\n".join(
        [
            f"# Golden example of {spec.name}",
            "",
            "Each array is there twice: `.npy` for numpy, `.bin` the bare values, little-endian, last axis fastest.",
            "`spec.json` holds mean, standard deviation, sizes and tensor names.",
            "",
            "| file | type | shape | what |",
            "|---|---|---|---|",
            *files,
            "",
            "Check your code in this order:",
            "",
            "1. `frame` -> `input`. The resize is OpenCV's INTER_AREA where both sides shrink, else INTER_LINEAR, on",
            "   uint8, without keeping the aspect ratio. With OpenCV itself expect a difference of at most",
            f"   {INPUT_TOLERANCE:g}; with another resize, {RESIZE_TOLERANCE_GREY_LEVELS} grey level, "
            f"{RESIZE_TOLERANCE_GREY_LEVELS / 255 / std:.3f}.",
            "2. `input` -> `depth`, feeding the `input` given here. The largest difference to expect, in metres:",
            "",
            "| form | max, m |",
            "|---|---|",
            *forms,
            "",
            "3. `depth` -> `frame_depth`. Bilinear between pixel centres (OpenCV's INTER_LINEAR): 1e-5 m.",
            "",
        ]
    )
