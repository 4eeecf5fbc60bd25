"""The training configuration: defaults < `config.yaml` < flags, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lightdepth_runtime.errors import LightDepthError, nearest
from lightdepth_runtime.spec import Intrinsics, check_input_size

from .network.model import Output

__all__ = ["PRESETS", "TrainConfig", "load_config"]

Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]

# What one line `model: NAME` stands for; each key can still be set by itself.
PRESETS: dict[str, dict[str, Any]] = {  # Any: values of the config's fields
    "resnet18": {
        "encoder": "resnet18",
        "decoder_channels": [256, 128, 64, 32],
        "image_height": 480,
        "image_width": 640,
    },
    "lite0": {
        "encoder": "tf_efficientnet_lite0",
        "decoder_channels": [96, 64, 48, 24],
        "image_height": 192,
        "image_width": 256,
    },
}


class TrainConfig(BaseModel):
    """Every key of `config.yaml`; that file says what each does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Literal["resnet18", "lite0"] = "resnet18"
    encoder: str = "resnet18"
    encoder_weights: str = "imagenet"
    start_from: str | None = None
    decoder_channels: Annotated[list[Count], Field(min_length=4, max_length=4)] = [256, 128, 64, 32]
    output: Output = "exp"
    image_height: Count = 480
    image_width: Count = 640

    data_root: str | None = None
    val_data: str | None = None
    val_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    intrinsics: Annotated[list[Number], Field(min_length=6, max_length=6)] | None = None
    max_depth_m: Positive = 10.0
    zoom_max: Annotated[float, Field(ge=1, le=4)] = 1.5
    zoom_share: Share = 0.5
    flip: bool = True
    color_jitter: Share = 0.2

    epochs: Count = 25
    passes_per_epoch: Count = 1
    batch_size: Count = 8
    accumulate: Count = 1
    sync_batchnorm: bool = True
    learning_rate: Positive = 1e-3
    encoder_lr_factor: Positive = 0.25
    weight_decay: Weight = 0.01
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    clip_norm: Positive = 1.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    loss: Literal["silog", "l1"] = "silog"
    silog_lambda: Share = 0.85
    gradient_weight: Weight = 0.25
    l1_weight: Weight = 0.1
    rmse_weight: Weight = 0.3

    distill_from: str | None = None
    unlabelled: str | None = None
    teacher_weight: Weight = 0.5
    feature_weight: Weight = 0.0
    teacher_cache: str | None = None

    precision: Literal["fp32", "fp16", "bf16"] = "fp16"
    tf32: bool = True
    compile: bool = False
    num_workers: Annotated[int, Field(ge=0)] = 2
    num_threads: Count | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:  # Any: pydantic passes whatever it was given
        """Put the preset's values under the keys that were not set, or set to null."""
        if not isinstance(values, dict):
            return values
        preset = PRESETS.get(str(values.get("model", "resnet18")), {})
        given = {key: value for key, value in values.items() if value is not None or key not in preset}
        return {**preset, **given}

    @model_validator(mode="after")
    def _check_teacher(self) -> TrainConfig:
        if self.distill_from is None and (self.unlabelled is not None or self.feature_weight):
            raise ValueError("unlabelled and feature_weight need a teacher: set distill_from")
        return self

    def camera(self) -> Intrinsics | None:
        """Return the camera that `intrinsics` [fx, fy, cx, cy, width, height] describes."""
        if self.intrinsics is None:
            return None
        fx, fy, cx, cy, width, height = self.intrinsics
        return Intrinsics(fx, fy, cx, cy, int(width), int(height))


def load_config(
    path: Path | None, overrides: Sequence[str] = (), flags: Mapping[str, Any] | None = None
) -> TrainConfig:
    """Read `path` (or nothing), then `key=value` strings, then flags, each over the one before.

    A layer that names a `model` brings its preset over the layers before it; its own keys stand over the preset.

    Raises:
        LightDepthError: unreadable file, unknown key (the nearest is named), or a value of the wrong kind.
    """
    layers = (
        _read_yaml(path) if path else {},
        dict(_parse_override(item) for item in overrides),
        {key: value for key, value in (flags or {}).items() if value is not None},
    )
    values: dict[str, Any] = {}  # Any: as in the file, pydantic checks it
    for layer in layers:
        values |= PRESETS.get(str(layer.get("model")), {})
        values |= layer
    return check_config(values)


def check_config(values: Mapping[str, Any]) -> TrainConfig:
    """Validate the values of a config; the first fault becomes one sentence.

    Raises:
        LightDepthError: an unknown key (the nearest is named), or a value of the wrong kind or out of range.
    """
    for key in values:
        if key not in TrainConfig.model_fields:
            raise LightDepthError(f"Unknown config key {key!r}{nearest(str(key), TrainConfig.model_fields)}.")
    try:
        config = TrainConfig.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "config"
        raise LightDepthError(f"Config key {key!r}: {first['msg']}, got {first['input']!r}.") from error
    check_input_size(config.image_height, config.image_width)
    config.camera()
    return config


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LightDepthError(f"Can't read the config {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LightDepthError(f"{path} is not valid YAML: {' '.join(str(error).split())[:200]}.") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise LightDepthError(f"{path} must hold `key: value` lines, got a {type(values).__name__}.")
    return cast(dict[str, Any], values)


def _parse_override(item: str) -> tuple[str, Any]:  # Any: YAML decides the type, pydantic checks it
    """Split `key=value`; numbers like 1e-4, which YAML 1.1 leaves as text, are read by the key's own type."""
    key, separator, text = item.partition("=")
    if not separator:
        raise LightDepthError(f"--set needs key=value, got {item!r}.")
    try:
        return key.strip(), yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise LightDepthError(f"--set {item!r}: the value is not valid YAML.") from error
