"""Every key of the training configuration, checked before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from lightdepth_runtime.errors import LightDepthError, nearest

from .presets import FINETUNE, PRESETS

if TYPE_CHECKING:
    from lightdepth_runtime.pairs.depth_unit import DepthUnit
    from lightdepth_runtime.pairs.shard import ShardCache
    from lightdepth_runtime.spec import Intrinsics

__all__ = ["ExtraData", "TrainConfig", "brought_by", "check_config"]

Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Place = Annotated[str, AfterValidator(os.path.expanduser)]  # "~" in a file is the home folder, as in a shell


class ExtraData(BaseModel):
    """A further data set to train on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Place
    weight: Positive = 1.0


class TrainConfig(BaseModel):
    """Every key of `config.yaml`; the sentence below a key is its help, which `lightdepth config` prints."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    model: Literal["resnet18", "lite0"] = "resnet18"
    """Network, with encoder, decoder and input size: resnet18 (14.3 M parameters) or lite0 (3.6 M)."""
    encoder: str = "resnet18"
    """Encoder: any timm network with features at 1/2 .. 1/32. null: resnet18; lite0: tf_efficientnet_lite0."""
    encoder_weights: Place = "imagenet"
    """Encoder weights to begin with: imagenet (downloaded), none (random), or a timm state dict's path."""
    encoder_weights_partial: bool = False
    """Take an encoder_weights file that lacks tensors. Those are named and start random."""
    start_from: Place | None = None
    """Checkpoint to fine-tune: a file, a run's folder or lite0. It decides the network. null: encoder_weights."""
    preset: Literal["finetune"] | None = None
    """Settings for small data: finetune (docs/own-data.md names its keys). null: none."""
    start_share: Share = 0.0
    """Share of start_from's weights in those that are kept; the more, the less is forgotten. 0: none."""
    freeze_batchnorm: bool = False
    """Keep BatchNorm's statistics as start_from has them; those of a few rooms would replace them."""
    decoder_channels: Annotated[list[Count], Field(min_length=4, max_length=4)] = [256, 128, 64, 32]
    """Decoder widths at 1/16 .. 1/2. null: [256, 128, 64, 32]; lite0: [96, 64, 48, 24]."""
    output: Literal["exp", "softplus", "relu"] = "exp"
    """Output activation: exp (log depth), softplus, or relu (the original report's)."""
    confidence: bool = False
    """Predict sigma too, the network's estimate of its own relative error. null: as start_from does, else false."""
    image_height: Count = 480
    """Input height in pixels, divisible by 32. null: 480; lite0: 192."""
    image_width: Count = 640
    """Input width in pixels, divisible by 32. null: 640; lite0: 256."""

    data_root: Place | None = None
    """Training pairs: a folder, a pair list, or a packed folder's URL (s3://, gs://, hf://, https://)."""
    extra_data: list[ExtraData] = []
    """Further sets: [{path: DIR, weight: 0.5}] shows half of that set's pairs in each pass."""
    canonical_focal: bool = True
    """Scale the depth of extra_data and val_data to the focal length of data_root's camera."""
    val_data: Place | None = None
    """Validation pairs: a folder or a pair list. null: a val_fraction of the training pairs."""
    val_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the training pairs to validate on: whole scenes, or a block of each where there are few. 0: none."""
    intrinsics: Annotated[list[Number], Field(min_length=6, max_length=6)] | None = None
    """Camera: [fx, fy, cx, cy, width, height] in pixels. null: as the packaging says."""
    depth_scale: str | float | None = None
    """Stored depth units per metre: a number, or a name such as tum, kitti or sunrgbd. null: as packaged."""
    max_depth_m: Positive = 10.0
    """Depth in metres from which ground truth is not trained on."""
    zoom_max: Annotated[float, Field(ge=1, le=4)] = 1.5
    """Strongest random crop-and-zoom. Depth is divided by the zoom."""
    zoom_share: Share = 0.5
    """Share of the pairs that are zoomed. The others stay whole."""
    roll_deg: Annotated[float, Field(ge=0, le=45)] = 0.0
    """Largest turn of the zoomed pairs about the optical axis, either way, in degrees. 0: off."""
    flip: bool = True
    """Mirror half of the pairs."""
    color_jitter: Share = 0.2
    """Share by which gamma, brightness and channels vary. 0: off."""
    shuffle_shards: Annotated[int, Field(ge=0)] = 32
    """Shards of packed data whose pairs are mixed at a time, wherever they lie. 0: all pairs are."""
    shard_cache: Place | None = None
    """Folder of the shards that come from a URL. null: ~/.cache/lightdepth/shards."""
    shard_cache_gb: Positive = 32.0
    """Most that shard_cache may take, in GB."""
    border: Annotated[float, Field(ge=0, le=0.25)] = 0.0
    """Share of the frame at each edge whose truth is not trained on. NYU's white border: 0.02."""

    epochs: Count = 25
    """Number of epochs. Each is validated and saved."""
    passes_per_epoch: Count = 1
    """How often an epoch goes through the pairs. More for small data."""
    batch_size: Count = 8
    """Images per batch, in each process (GPU)."""
    accumulate: Count = 1
    """Batches whose gradients are summed to one step."""
    sync_batchnorm: bool = True
    """Compute BatchNorm's statistics over the batches of all GPUs together."""
    learning_rate: Positive = 1e-3
    """Peak learning rate of the OneCycle schedule."""
    encoder_lr_factor: Positive = 0.25
    """Share of the learning rate for a pretrained encoder."""
    weight_decay: Weight = 0.01
    """AdamW's weight decay, not on biases and BatchNorm."""
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of all steps in which the learning rate rises."""
    clip_norm: Positive = 1.0
    """Largest norm of the gradient."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the averaged weights, which are kept. 0: the newest weights."""
    loss: Literal["silog", "l1"] = "silog"
    """Loss: silog (with the terms below) or l1 (metres, the original report's)."""
    silog_lambda: Share = 0.85
    """How far silog forgives a wrong scale: 0 not at all, 1 wholly."""
    gradient_weight: Weight = 0.25
    """Weight of gradient matching beside silog."""
    l1_weight: Weight = 0.1
    """Weight of the mean |log error| beside silog."""
    rmse_weight: Weight = 0.3
    """Weight of the RMSE in metres beside silog."""
    confidence_weight: Weight = 0.1
    """Weight of sigma's likelihood beside the losses of depth."""

    distill_from: Place | Annotated[list[Place], Field(min_length=1)] | None = None
    """Teacher: a model, Depth Anything V2's folder or name, or a list of metric models to average."""
    unlabelled: Place | None = None
    """Folder of images without depth, which the teacher alone labels."""
    teacher_weight: Weight = 0.5
    """Weight of the loss against the teacher's depth."""
    feature_weight: Weight = 0.0
    """Weight of matching the features of a teacher that is a checkpoint."""
    teacher_cache: Place | None = None
    """Folder of the teacher's predictions. null: ~/.cache/lightdepth/teachers."""

    precision: Literal["fp32", "fp16", "bf16"] = "fp16"
    """Precision: fp16 (CUDA; a CPU trains in fp32 and says so), bf16 or fp32."""
    tf32: bool = True
    """Round the inputs of FP32 convolutions on NVIDIA GPUs to 10 bits: several times faster."""
    compile: bool = False
    """Use torch.compile: minutes at the start, then faster steps."""
    num_workers: Annotated[int, Field(ge=0)] = 2
    """Processes that read and augment. 0: none."""
    num_threads: Count | None = None
    """PyTorch's CPU threads. null: its own choice."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of weights, order, augmentation and validation split."""

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:  # Any: pydantic passes whatever it was given
        """Put the preset's values under the keys that were not set, or set to null."""
        if not isinstance(values, dict):
            return values
        brought = brought_by(values)
        model = values.get("model") or brought.get("model", "resnet18")
        preset = {"confidence": False, **PRESETS.get(str(model), {}), **brought}
        given = {key: value for key, value in values.items() if value is not None or key not in preset}
        return {**preset, **given}

    @model_validator(mode="after")
    def _check_together(self) -> TrainConfig:
        if self.start_share and self.start_from is None:
            raise ValueError("start_share and preset: finetune need a checkpoint: set start_from (--start-from lite0)")
        if self.distill_from is None and (self.unlabelled is not None or self.feature_weight):
            raise ValueError("unlabelled and feature_weight need a teacher: set distill_from")
        if self.feature_weight and isinstance(self.distill_from, list):
            raise ValueError("feature_weight matches the features of one teacher: name a single one in distill_from")
        return self

    def teachers(self) -> list[str]:
        """Return the models that `distill_from` names."""
        if self.distill_from is None:
            return []
        return [self.distill_from] if isinstance(self.distill_from, str) else self.distill_from

    def camera(self) -> Intrinsics | None:
        """Return the camera that `intrinsics` [fx, fy, cx, cy, width, height] describes."""
        from lightdepth_runtime.spec import Intrinsics  # here, as below: help pages need the keys, but no NumPy

        return None if self.intrinsics is None else Intrinsics.from_numbers(self.intrinsics)

    def cache(self) -> ShardCache:
        """Return the cache of shards that come from a URL."""
        from lightdepth_runtime.pairs.shard import ShardCache

        limit_bytes = int(self.shard_cache_gb * 1e9)
        return (
            ShardCache(limit_bytes=limit_bytes)
            if self.shard_cache is None
            else ShardCache(Path(self.shard_cache), limit_bytes)
        )

    def depth_unit(self) -> DepthUnit | None:
        """Return the unit that `depth_scale` names."""
        from lightdepth_runtime.pairs.depth_unit import parse_depth_unit

        return None if self.depth_scale is None else parse_depth_unit(self.depth_scale)


def brought_by(values: Mapping[str, Any]) -> dict[str, Any]:  # Any: values of the config's keys
    """Return what `preset` and `start_from` stand for; a checkpoint isn't opened where all that it says is given."""
    brought = dict(FINETUNE) if values.get("preset") == "finetune" else {}
    start = values.get("start_from")
    if isinstance(start, str) and not all(values.get(key) is not None for key in PRESETS["resnet18"]):
        from ..checkpoints.find import network_of

        brought |= network_of(str(Path(start).expanduser()))
    return brought


def check_config(values: Mapping[str, Any]) -> TrainConfig:
    """Validate the values of a config; the first fault becomes one sentence.

    Raises:
        LightDepthError: an unknown key (the nearest is named), or a value of the wrong kind or out of range.
    """
    from lightdepth_runtime.spec import check_input_size

    for key in values:
        if key not in TrainConfig.model_fields:
            raise LightDepthError(f"Unknown config key {key!r}{nearest(str(key), TrainConfig.model_fields)}.")
    try:
        config = TrainConfig.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # of keys that don't fit together: the message says it all
            message = first["msg"].removeprefix("Value error, ")
            raise LightDepthError(f"The config doesn't fit together: {message}.") from error
        key = ".".join(str(part) for part in first["loc"])
        raise LightDepthError(f"Config key {key!r}: {first['msg']}, got {first['input']!r}.") from error
    check_input_size(config.image_height, config.image_width)
    config.camera()
    config.depth_unit()
    return config
