"""Checkpoints: one safetensors file with weights, ModelSpec and config; loading runs no code from the file."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lightdepth_runtime.atomic import atomic_path, sha256_of_file
from lightdepth_runtime.errors import LightDepthError, nearest_path
from lightdepth_runtime.spec import SPEC_KEY, ModelSpec

from ..config import TrainConfig, check_config
from ..network.model import LightDepth
from ..network.weights import check_shapes, fit_names, read_state_dict
from .find import CONFIG_KEY, find_checkpoint

__all__ = ["Checkpoint", "build_model", "count_parameters", "load_checkpoint", "save_checkpoint", "without_weights"]

SIGMA_WEIGHTS = "head.to_sigma."


@dataclass(frozen=True)
class Checkpoint:
    """A trained network in evaluation mode, how to feed it, and how it was trained."""

    model: LightDepth
    spec: ModelSpec
    config: TrainConfig


def build_model(config: TrainConfig) -> LightDepth:
    """Build the network that a config describes, with the weights it begins with.

    Raises:
        LightDepthError: weights that can't be had or don't fit.
    """
    weights = "none" if config.start_from else config.encoder_weights
    model = LightDepth(
        config.encoder,
        weights,
        decoder_channels=config.decoder_channels,
        output=config.output,
        confidence=config.confidence,
        encoder_weights_partial=config.encoder_weights_partial,
    )
    if config.start_from:
        path = find_checkpoint(config.start_from)
        wanted = model.state_dict()
        state = _with_own_sigma(fit_names(read_state_dict(path, "start_from"), wanted), wanted)
        hint = "choose its own with --model; weights of an encoder alone go to encoder_weights"
        check_shapes(path, state, wanted, f"the configured network ({hint})")
        model.load_state_dict(state)
    return model


def without_weights(config: TrainConfig) -> TrainConfig:
    """Return a config whose network begins with random weights, for one that gets others right away."""
    return config.model_copy(update={"encoder_weights": "none", "start_from": None})


def _with_own_sigma(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a checkpoint's weights for a network that may predict sigma where the checkpoint's didn't, or not."""
    kept = {key: tensor for key, tensor in state.items() if not key.startswith(SIGMA_WEIGHTS) or key in own}
    return {**{key: tensor for key, tensor in own.items() if key.startswith(SIGMA_WEIGHTS)}, **kept}


def count_parameters(model: nn.Module) -> int:
    """Count trainable numbers, as the literature does (BatchNorm statistics are not parameters)."""
    return sum(parameter.numel() for parameter in model.parameters())


def save_checkpoint(path: Path, model: LightDepth, spec: ModelSpec, config: TrainConfig) -> None:
    """Write weights and metadata under a temporary name, then rename.

    Raises:
        LightDepthError: the file can't be written.
    """
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in model.state_dict().items()}
    metadata = {SPEC_KEY: spec.to_json(), CONFIG_KEY: config.model_dump_json()}
    with atomic_path(path) as temporary:
        try:
            save_file(state, temporary, metadata=metadata)
        except SafetensorError as error:  # a full disk among others
            raise LightDepthError(f"Can't write {path} ({error}); free some space or choose another folder.") from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Rebuild the network from a checkpoint; the spec gets the file's SHA-256.

    Config keys of another version are left out with a warning: the network's own are all it needs. Resuming a run is
    another matter, and refuses them.

    Raises:
        LightDepthError: missing, not a LightDepth checkpoint, damaged, or tensors of other shapes than its config's
            network.
    """
    if not path.is_file():
        raise LightDepthError(
            f"No checkpoint at {path}{nearest_path(path)}; name a run's folder or a .safetensors file."
        )
    if path.suffix == ".onnx":
        raise LightDepthError(
            f"{path} is exported already, and a checkpoint is needed here; name the run's folder or the .safetensors "
            "file that it came from."
        )
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        state = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise LightDepthError(
            f"{path} is not a readable safetensors checkpoint ({error}). Train one with `lightdepth train`."
        ) from error
    if SPEC_KEY not in metadata or CONFIG_KEY not in metadata:
        raise LightDepthError(
            f"{path} has weights but no LightDepth metadata; it was not written by `lightdepth train`."
        )
    spec = ModelSpec.from_json(metadata[SPEC_KEY])
    config = _read_config(path, metadata[CONFIG_KEY])
    model = build_model(without_weights(config))
    check_shapes(path, state, model.state_dict())
    model.load_state_dict(state)
    return Checkpoint(model.eval(), spec.with_changes(checkpoint_sha256=sha256_of_file(path)), config)


def _read_config(path: Path, text: str) -> TrainConfig:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise LightDepthError(f"{path} holds a config that is not JSON ({error}); the file is damaged.") from error
    if not isinstance(values, dict):
        raise LightDepthError(f"{path} holds a config that is a {type(values).__name__}; the file is damaged.")
    unknown = [key for key in values if key not in TrainConfig.model_fields]
    if unknown:
        # How it was trained is no longer of use; whether its network can still be built, the tensors' shapes say.
        warnings.warn(
            f"{path} was trained with config keys that this version doesn't know ({', '.join(unknown)}); they are left "
            "out.",
            stacklevel=3,
        )
    return check_config({key: value for key, value in values.items() if key not in unknown})
