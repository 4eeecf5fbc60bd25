"""What a user may call a model: a file, the folder of a training run, or the name of a shipped one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import LightDepthError, nearest, nearest_path

__all__ = ["BEST", "SHIPPED_MODEL", "find_model", "shipped_models"]

SHIPPED_MODEL = Path(__file__).parent / "lite0.onnx"
BEST = "best.safetensors"  # of a run's folder, as `lightdepth train` leaves it


def shipped_models() -> dict[str, Path]:
    """Return the files of the shipped models by their names."""
    return {path.stem: path for path in sorted(SHIPPED_MODEL.parent.glob("*.onnx"))}


def find_model(model: Path | str | None = None, *, also: Iterable[str] = ()) -> Path:
    """Return the file of a model.

    Args:
        model: a file; a training run's folder, which stands for its best checkpoint; the name of a shipped model; or
            None for `lite0`. A file or a run in the current folder comes before a shipped model of its name.
        also: other names that the caller takes, for the error's text.

    Raises:
        LightDepthError: there is no such model; the nearest name is given.
    """
    if model is None:
        if not SHIPPED_MODEL.is_file():
            raise LightDepthError("This version ships no model; name a .onnx, .engine or .safetensors file.")
        return SHIPPED_MODEL
    path, shipped = Path(model), shipped_models()
    names = list(dict.fromkeys([*shipped, *also]))
    if path.is_file():
        return path
    if (path / BEST).is_file():
        return path / BEST
    if str(model) in shipped:
        return shipped[str(model)]
    if path.is_dir():
        raise LightDepthError(
            f"The folder {path} holds no {BEST}; name a training run that has finished an epoch, or a model file."
        )
    hint = nearest(str(model), names) or nearest_path(path)
    raise LightDepthError(
        f"No model at {path}{hint}; name a file, a training run's folder, or one of {', '.join(names)}."
    )
