"""Encoders come from timm; their weights from its hub, from a file, or from nowhere."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import timm
from timm.models import FeatureInfo
from torch import nn

from lightdepth_runtime.errors import LightDepthError, first_line, nearest

from .weights import check_shapes, fit_names, read_state_dict

__all__ = ["build_encoder", "feature_channels"]

EXPECTED_REDUCTIONS = [2, 4, 8, 16, 32]


def build_encoder(name: str, weights: str, *, partial: bool = False) -> tuple[nn.Module, list[int], list[str]]:
    """Build a timm encoder that returns five feature maps; return it, the channels of each, and what stays random.

    Args:
        name: any timm model with features at 1/2 .. 1/32.
        weights: "imagenet", "none", or the path of a state dict; see `weights.read_state_dict`.
        partial: let the file lack tensors. A residual block that lacks a convolution begins as its shortcut alone: the
            weight of its last BatchNorm is 0 (Goyal et al. 2017), so that random weights don't disturb the others.

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
            raise LightDepthError(f"timm can't build {name!r} as a feature encoder: {first_line(error)}.") from error
        raise LightDepthError(
            f"The ImageNet weights of {name!r} can't be fetched ({first_line(error)}). "
            "Set encoder_weights to the path of a local state dict, or to none for random weights."
        ) from error
    reductions = _info(encoder).reduction()
    if reductions != EXPECTED_REDUCTIONS:
        raise LightDepthError(
            f"Encoder {name!r} has features at {_scales(reductions)}; LightDepth needs {_scales(EXPECTED_REDUCTIONS)}. "
            "Choose one of timm's ResNet, RegNet, MobileNet or EfficientNet models."
        )
    is_file = weights not in ("imagenet", "none")
    missing = _load_weights(encoder, Path(weights), name, partial=partial) if is_file else []
    return encoder, feature_channels(encoder), missing


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


def _load_weights(encoder: nn.Module, path: Path, name: str, *, partial: bool) -> list[str]:
    """Load a whole model's state dict into the feature encoder; its classifier and final layers are left out.

    Returns the names of the tensors that the file lacks.
    """
    if not path.is_file():
        raise LightDepthError(f"encoder_weights: no file {path}; give imagenet, none, or the path of a state dict.")
    wanted = encoder.state_dict()
    state = fit_names(read_state_dict(path, "encoder_weights"), wanted)
    missing = [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]
    if missing and (not partial or not wanted.keys() & state.keys()):
        hint = "" if partial else "; set encoder_weights_partial to true if it is meant to lack some"
        raise LightDepthError(
            f"{path} lacks {len(missing)} of the {len(wanted)} tensors of {name!r} (first: {missing[0]}); it needs "
            f"timm's names{hint}. See docs/training.md on encoder_weights."
        )
    parts = {key.partition(".")[0] for key in wanted}
    more = [key for key in state if key not in wanted and key.partition(".")[0] in parts]
    if more:
        raise LightDepthError(
            f"{path} is of a larger network than {name!r}: it has {len(more)} more tensors in the same parts (first: "
            f"{more[0]}). Name its own with --set encoder=NAME."
        )
    filled = {**wanted, **{key: tensor for key, tensor in state.items() if key in wanted}}
    check_shapes(path, filled, wanted, repr(name))
    encoder.load_state_dict(filled)
    for block_name, block in encoder.named_modules():
        zero_last = getattr(block, "zero_init_last", None)  # timm's residual blocks have it
        if zero_last is not None and any(key.startswith(f"{block_name}.") for key in missing):
            zero_last()
    return missing


def _scales(reductions: list[int]) -> str:
    return ", ".join(f"1/{reduction}" for reduction in reductions)
