"""What a user may call a checkpoint: a file, a run's folder, or a shipped model's name; and the network it holds.

Nothing here imports PyTorch: the configuration asks before anything is loaded.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from lightdepth_runtime.errors import LightDepthError, nearest
from lightdepth_runtime.models.find import BEST, shipped_models

__all__ = ["CONFIG_KEY", "SHIPPED_FOLDER", "find_checkpoint", "network_of"]

CONFIG_KEY = "lightdepth_config"
SHIPPED_FOLDER = Path(__file__).parent
# What a checkpoint decides of a run that starts from it.
_NETWORK_KEYS = ("model", "encoder", "decoder_channels", "output", "confidence", "image_height", "image_width")
_LARGEST_HEADER = 100_000_000  # bytes, as the safetensors format allows


def find_checkpoint(name: Path | str) -> Path:
    """Return the weights' file that a name stands for: a file, a run's folder (its best), or a shipped model.

    Raises:
        LightDepthError: there is no such checkpoint; the shipped ones are named.
    """
    path = Path(name)
    if path.is_file():
        return path
    if (path / BEST).is_file():
        return path / BEST
    shipped = {file.stem: file for file in sorted(SHIPPED_FOLDER.glob("*.safetensors"))}
    if str(name) in shipped:
        return shipped[str(name)]
    if path.is_dir():
        raise LightDepthError(f"The folder {path} holds no {BEST}; name a training run that has finished an epoch.")
    if str(name) in shipped_models():
        raise LightDepthError(
            f"{name} ships as an ONNX file alone, without a checkpoint; checkpoints that ship: {', '.join(shipped)}."
        )
    names = ", ".join(shipped) or "none in this version"
    raise LightDepthError(
        f"No checkpoint at {path}; name a .safetensors file, a training run's folder, or a shipped model ({names})"
        f"{nearest(str(name), shipped)}."
    )


def network_of(name: str) -> dict[str, Any]:  # Any: values of the config's keys
    """Return the config's keys that say which network a checkpoint holds; empty for weights of other programs.

    Raises:
        LightDepthError: there is no such checkpoint.
    """
    path = find_checkpoint(name)
    return dict(_read_network(path, path.stat().st_mtime_ns))


@lru_cache(maxsize=16)
def _read_network(path: Path, _changed_ns: int) -> dict[str, Any]:  # Any: values of the config's keys
    """Read the metadata of a safetensors file: 8 bytes of length, then JSON."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length < _LARGEST_HEADER else {}
        config = json.loads(header.get("__metadata__", {}).get(CONFIG_KEY, "{}"))
    except (OSError, ValueError, AttributeError):
        return {}  # another format: its shapes are compared when it is loaded
    return {key: config[key] for key in _NETWORK_KEYS if key in config}
