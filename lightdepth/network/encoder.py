"""Encoders come from timm; their weights from its hub, from a file, or from nowhere."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import timm
from timm.models import FeatureInfo
from torch import nn

from lightdepth_runtime.errors import LightDepthError, nearest

from .weights import fit_names, read_state_dict

__all__ = ["build_encoder", "feature_channels"]

EXPECTED_REDUCTIONS = [2, 4, 8, 16, 32]


def build_encoder(name: str, weights: str) -> tuple[nn.Module, list[int]]:
    """Build a timm encoder that returns five feature maps, with the channels of each.

    Args:
        name: any timm model with features at 1/2 .. 1/32.
        weights: "imagenet", "none", or the path of a state dict; see `weights.read_state_dict`.

    Raises:
        LightDepthError: unknown name, other scales, hub out of reach, or a file that doesn't fit.
    """
    if not timm.is_model(name):
        raise LightDepthError(
            f"timm has no encoder {name!r}{nearest(name, timm.list_models())}. See timm.list_models()."
        )
    try:
        with _quiet_hub():
            encoder = timm.create_model(name, pretrained=weights == "imagenet", features_only=True)
    except Exception as error:  # timm's hub raises whatever its transport raises
        if weights != "imagenet":
            raise LightDepthError(f"timm can't build {name!r} as a feature encoder: {_first_line(error)}.") from error
        raise LightDepthError(
            f"The ImageNet weights of {name!r} can't be fetched ({_first_line(error)}). "
            "Set encoder_weights to the path of a local state dict, or to none for random weights."
        ) from error
    reductions = _info(encoder).reduction()
    if reductions != EXPECTED_REDUCTIONS:
        raise LightDepthError(
            f"Encoder {name!r} has features at {_scales(reductions)}; LightDepth needs {_scales(EXPECTED_REDUCTIONS)}. "
            "Choose one of timm's ResNet, RegNet, MobileNet or EfficientNet models."
        )
    if weights not in ("imagenet", "none"):
        _load_weights(encoder, Path(weights), name)
    return encoder, feature_channels(encoder)


def feature_channels(encoder: nn.Module) -> list[int]:
    """Return the channels of the five feature maps."""
    return _info(encoder).channels()


def _info(encoder: nn.Module) -> FeatureInfo:
    return cast(FeatureInfo, encoder.feature_info)  # timm sets it on every features_only model


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """Keep a line for each attempt to reach the hub off the terminal; the last failure still raises."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _load_weights(encoder: nn.Module, path: Path, name: str) -> None:
    """Load a whole model's state dict into the feature encoder; its classifier and final layers are left out."""
    if not path.is_file():
        raise LightDepthError(f"encoder_weights: no file {path}; give imagenet, none, or the path of a state dict.")
    wanted = encoder.state_dict()
    state = fit_names(read_state_dict(path, "encoder_weights"), wanted)
    missing = [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]
    if missing:
        raise LightDepthError(
            f"{path} lacks {len(missing)} of the {len(wanted)} tensors of {name!r} (first: {missing[0]}); it needs "
            "timm's names. See the README on encoder_weights."
        )
    for key, tensor in wanted.items():
        if key in state and state[key].shape != tensor.shape:
            raise LightDepthError(
                f"{path}: {key} has shape {tuple(state[key].shape)}, but {name!r} needs {tuple(tensor.shape)}."
            )
    encoder.load_state_dict({key: state.get(key, tensor) for key, tensor in wanted.items()})


def _scales(reductions: list[int]) -> str:
    return ", ".join(f"1/{reduction}" for reduction in reductions)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
