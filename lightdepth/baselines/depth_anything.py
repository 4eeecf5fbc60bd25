"""Depth Anything V2, the baseline: its architecture from transformers, its own preprocessing, its own input size.

Depth Anything V2 (Yang et al. 2024) predicts relative inverse depth: larger is nearer, scale and shift are unknown.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from lightdepth_runtime.errors import LightDepthError, first_line
from lightdepth_runtime.spec import IMAGENET_MEAN, IMAGENET_STD, DepthKind

from ..checkpoints.checkpoint import count_parameters
from .names import DEPTH_ANYTHING_SMALL, HUB_REPOSITORIES

if TYPE_CHECKING:  # else every training and each of its data workers would import transformers
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

__all__ = [
    "DepthAnything",
    "Preprocessing",
    "depth_anything_size",
    "load_depth_anything",
    "small_config",
]

SMALL_PARAMETERS = 24_785_089
HUB_FILES: list[str] = ["config.json", "preprocessor_config.json", "model.safetensors"]
HUB_TIMEOUT_S = 10
MODEL_TYPE = "depth_anything"
RANDOM_SEED = 0


@dataclass(frozen=True)
class Preprocessing:
    """How Depth Anything wants a frame: the shorter side `size_px` or more, both sides a multiple of `multiple_px`."""

    size_px: int = 518
    multiple_px: int = 14
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


@dataclass(frozen=True)
class DepthAnything:
    """A network in evaluation mode with what is needed to feed it and to name it."""

    network: nn.Module  # (1, 3, h, w) -> (1, h, w)
    name: str
    weights: str
    kind: DepthKind
    parameters: int
    preprocessing: Preprocessing

    def digest(self) -> str:
        """Return a SHA-256 over the weights, wherever they came from."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.contiguous().numpy())
        return digest.hexdigest()


def small_config() -> DepthAnythingConfig:
    """Describe Depth Anything V2 Small: a DINOv2-small backbone and a DPT head, 24,785,089 parameters."""
    from transformers import DepthAnythingConfig, Dinov2Config

    backbone = Dinov2Config(
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=6,
        image_size=518,
        patch_size=14,
        out_features=["stage3", "stage6", "stage9", "stage12"],  # type: ignore[call-arg]  # from a mixin pyright misses
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    return DepthAnythingConfig(backbone_config=backbone)  # its own defaults are Small's head


def load_depth_anything(weights: str, name: str = DEPTH_ANYTHING_SMALL) -> DepthAnything:
    """Load Depth Anything V2.

    Args:
        weights: "hub" (from the Hugging Face hub or its local cache), "random" (Small, for speed and size alone), or a
            local folder in transformers' format, of any size.
        name: of `HUB_REPOSITORIES`, which of them the hub is asked for.

    Raises:
        LightDepthError: an unknown name, or the hub is out of reach, the folder is missing, of another architecture, or
            damaged.
    """
    if name not in HUB_REPOSITORIES:
        raise LightDepthError(f"Unknown baseline {name!r}; --against takes {', '.join(HUB_REPOSITORIES)}.")
    if weights == "random":
        if name != DEPTH_ANYTHING_SMALL:
            raise LightDepthError(f"Random weights are made for {DEPTH_ANYTHING_SMALL} alone, not for {name}.")
        from transformers import DepthAnythingForDepthEstimation

        with torch.random.fork_rng():
            torch.manual_seed(RANDOM_SEED)
            return _describe(DepthAnythingForDepthEstimation(small_config()), "random", Preprocessing())
    folder = _download(name) if weights == "hub" else Path(weights)
    model = _describe(_load_folder(folder), folder.name, _read_preprocessing(folder))
    return replace(model, name=name, weights="hub") if weights == "hub" else model


def depth_anything_size(height: int, width: int, settings: Preprocessing) -> tuple[int, int]:
    """Return the input size for a frame: aspect kept, shorter side at least `size_px`, rounded to the multiple.

    480x640 becomes 518x686. The rule is `Resize(..., resize_method="lower_bound", ensure_multiple_of=14)` of the
    authors' code (depth_anything_v2/util/transform.py).
    """
    scale = max(settings.size_px / height, settings.size_px / width)
    return _to_multiple(scale * height, settings), _to_multiple(scale * width, settings)


def _to_multiple(length_px: float, settings: Preprocessing) -> int:
    rounded = round(length_px / settings.multiple_px) * settings.multiple_px
    if rounded < settings.size_px:
        rounded = math.ceil(length_px / settings.multiple_px) * settings.multiple_px
    return rounded


def _describe(network: DepthAnythingForDepthEstimation, weights: str, preprocessing: Preprocessing) -> DepthAnything:
    parameters = count_parameters(network)
    kind: DepthKind = "metric" if network.config.depth_estimation_type == "metric" else "relative-inverse"
    name = DEPTH_ANYTHING_SMALL
    if kind == "metric" or parameters != SMALL_PARAMETERS:
        name = f"depth-anything-v2-{kind.split('-')[0]}-{parameters / 1e6:.1f}M"
    return DepthAnything(_DepthOnly(network).eval(), name, weights, kind, parameters, preprocessing)


class _DepthOnly(nn.Module):
    """Return the depth tensor alone, so that the graph has one output."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network(pixel_values=image).predicted_depth  # (1, 3, h, w) -> (1, h, w)


def _download(name: str) -> Path:
    """Return the folder of the hub's files, from the local cache where they are there."""
    repository = HUB_REPOSITORIES[name]
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, allow_patterns=HUB_FILES, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        # One request without the hub's own retries: out of reach is said after a second, not after a minute.
        get_hf_file_metadata(hf_hub_url(repository, HUB_FILES[0]), timeout=HUB_TIMEOUT_S)
        return Path(snapshot_download(repository, allow_patterns=HUB_FILES))
    except Exception as error:  # the hub's client and its transport raise many classes
        reason = first_line(error, 120)
        raise LightDepthError(
            f"The weights of {repository} can't be fetched ({reason}); pass --against-weights PATH with a folder that "
            f"holds them, or --against-weights random to compare speed and size of {DEPTH_ANYTHING_SMALL} alone."
        ) from error


def _load_folder(folder: Path) -> DepthAnythingForDepthEstimation:
    """Load a folder in transformers' format; every tensor must be there and fit."""
    from transformers import DepthAnythingForDepthEstimation
    from transformers.utils import logging as hf_logging

    kind = _read_json(folder / "config.json").get("model_type")
    if kind != MODEL_TYPE:
        raise LightDepthError(
            f"{folder} holds a {kind!r} model; the baseline needs {MODEL_TYPE!r} (Depth Anything V2 in transformers' "
            "format)."
        )
    progress_bar_was_on = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    try:
        loaded = cast(
            "tuple[DepthAnythingForDepthEstimation, dict[str, Any]]",  # Any: lists of tensor names
            DepthAnythingForDepthEstimation.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True, dtype=torch.float32
            ),
        )
    except Exception as error:  # transformers raises OSError, ValueError, RuntimeError, safetensors its own
        reason = first_line(error, 160)
        raise LightDepthError(
            f"{folder} can't be loaded as Depth Anything V2 ({reason}). Download it again."
        ) from error
    finally:
        if progress_bar_was_on:
            hf_logging.enable_progress_bar()
    network, report = loaded
    missing = [*report["missing_keys"], *report["mismatched_keys"]]
    if missing:
        raise LightDepthError(
            f"{folder} lacks {len(missing)} tensors that its config.json needs (one is {missing[0]}); "
            "download it again."
        )
    return network


def _read_preprocessing(folder: Path) -> Preprocessing:
    """Read preprocessor_config.json where there is one; else the published values hold."""
    path = folder / "preprocessor_config.json"
    values = _read_json(path) if path.is_file() else {}
    default = Preprocessing()
    return Preprocessing(
        size_px=int(values.get("size", {}).get("height", default.size_px)),
        multiple_px=int(values.get("ensure_multiple_of", default.multiple_px)),
        mean=cast(tuple[float, float, float], tuple(values.get("image_mean", default.mean))),
        std=cast(tuple[float, float, float], tuple(values.get("image_std", default.std))),
    )


def _read_json(path: Path) -> dict[str, Any]:  # Any: a JSON object
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LightDepthError(
            f"No {path.name} in {path.parent}; --against-weights takes hub, random, or a folder in transformers' "
            "format."
        ) from error
    except ValueError as error:
        raise LightDepthError(f"{path} is not valid JSON; download the folder again.") from error
