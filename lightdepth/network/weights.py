"""State dicts as other code saves them: wrapped in a dictionary, with a prefix before every name."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from lightdepth_runtime.errors import LightDepthError, first_line

__all__ = ["check_shapes", "fit_names", "read_state_dict"]

# Under which key training code keeps the weights beside its optimiser, the likeliest first.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params", "model_ema")
COMPILED = "_orig_mod."  # what torch.compile puts before the names of a compiled module


def read_state_dict(path: Path, key: str) -> dict[str, Tensor]:
    """Read the tensors of a safetensors or PyTorch file without running code that a pickle may hold.

    Args:
        path: `.safetensors`, or what `torch.save` wrote: a state dict, or one inside a dictionary (`WRAPPERS`).
        key: the config's, for errors.

    Raises:
        LightDepthError: a file that can't be read, or one without a state dict.
    """
    if path.suffix.lower() == ".onnx":
        raise LightDepthError(
            f"{key}: {path} is exported already; name the run's folder or the .safetensors file that it came from."
        )
    try:
        if path.suffix.lower() == ".safetensors":
            content: Any = load_file(path)  # Any: checked below
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise LightDepthError(
            f"{key}: {path} can't be read as a state dict: it holds more than tensors, and reading it could run its "
            "code, or it is no PyTorch file. Save the weights alone: torch.save(model.state_dict(), PATH)."
        ) from error
    except Exception as error:  # safetensors, zipfile and pickle each raise their own
        raise LightDepthError(
            f"{key}: {path} can't be read as a state dict: it is damaged, or no PyTorch file ({first_line(error, 80)}"
            "). Copy it again, or save the weights alone: torch.save(model.state_dict(), PATH)."
        ) from error
    tensors = _unwrap(content)
    if not tensors:
        raise LightDepthError(
            f"{key}: {path} is not a state dict of tensors; looked in it and under {', '.join(WRAPPERS)}. Save "
            "the weights alone: torch.save(model.state_dict(), PATH)."
        )
    return {name.replace(COMPILED, ""): tensor for name, tensor in tensors.items()}


def fit_names(state: Mapping[str, Tensor], wanted: Iterable[str]) -> dict[str, Tensor]:
    """Return the tensors behind the prefix (like `module.` or `model.encoder.`) that most wanted names stand behind."""
    names = list(wanted)
    first = next((name for name in names if any(key.endswith(name) for key in state)), None)
    if first is None:
        return dict(state)
    prefixes = [key.removesuffix(first) for key in state if key == first or key.endswith(f".{first}")]
    best = max(prefixes, key=lambda prefix: sum(prefix + name in state for name in names), default="")
    return {key.removeprefix(best): tensor for key, tensor in state.items() if key.startswith(best)}


def check_shapes(
    path: Path, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], network: str = "the configured network"
) -> None:
    """Compare names and shapes before loading, so that the error names the first difference."""
    got, needed = ({key: tuple(tensor.shape) for key, tensor in one.items()} for one in (state, wanted))
    for key in (*needed, *got):
        if got.get(key) != needed.get(key):
            raise LightDepthError(
                f"{path} doesn't fit {network}: {key} is {got.get(key, 'absent')}, needed {needed.get(key, 'absent')}."
            )


def _unwrap(content: Any) -> dict[str, Tensor]:  # Any: whatever the file holds
    if not isinstance(content, Mapping):
        return {}
    # Beside wrapped weights may stand other tensors, such as the best accuracy.
    wrapped = next((found for name in WRAPPERS if (found := _unwrap(content.get(name)))), None)
    return wrapped or {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
