"""Configuration files: defaults < `config.yaml` < flags, and every key printed with its help."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from lightdepth_runtime.errors import LightDepthError

from .keys import TrainConfig, brought_by, check_config
from .presets import FOLLOWING, PRESETS

__all__ = ["describe_config", "load_config"]

HEAD = """\
# LightDepth's training configuration: every key with its default.
# `lightdepth train` reads ./config.yaml, or --config FILE; --set key=value changes one key for one run.
# The run of the original report: 640x480, batch 32, 50 epochs, learning rate 1e-4, L1, fp16, ImageNet weights:
#   lightdepth train --data DIR --batch-size 32 --epochs 50 --learning-rate 1e-4
#                    --set loss=l1 --set output=relu --set encoder=resnet18.tv_in1k"""
SECTIONS = {  # by the first key of each
    "model": "Network",
    "data_root": "Data",
    "epochs": "Training",
    "distill_from": "Teacher",
    "precision": "Machine",
}
HELP_COLUMN = 24


def load_config(
    path: Path | None, overrides: Sequence[str] = (), flags: Mapping[str, Any] | None = None
) -> TrainConfig:
    """Read `path` (or nothing), then `key=value` strings, then flags, each over the one before.

    A layer that names a `model`, a `preset` or a checkpoint to start from brings what that stands for over the layers
    before it; its own keys stand over it. Strings and flags are one layer: both were given with the command.

    Raises:
        LightDepthError: unreadable file, unknown key (the nearest is named), or a value of the wrong kind.
    """
    given = dict(_parse_override(item) for item in overrides)
    given |= {key: value for key, value in (flags or {}).items() if value is not None}
    values: dict[str, Any] = {}  # Any: as in the file, pydantic checks it
    for layer in (_read_yaml(path) if path else {}, given):
        values |= {**PRESETS.get(str(layer.get("model")), {}), **brought_by(layer), **layer}
    return check_config(values)


def describe_config(config: TrainConfig | None = None) -> str:
    """Return a config as YAML with every key, its value and its help.

    Args:
        config: None for the defaults; keys that follow from `model` or `start_from` are then null.
    """
    lines = [HEAD] if config is None else []
    for key, field in TrainConfig.model_fields.items():
        if key in SECTIONS:
            lines.append(f"\n# {SECTIONS[key]}")
        value = getattr(config, key) if config else None if key in FOLLOWING else field.default
        is_plain = isinstance(value, str) and yaml.safe_load(value) == value
        text = value if is_plain else json.dumps(value)
        lines.append(f"{key}: {text}".ljust(HELP_COLUMN) + f"  # {field.description}")
    return "\n".join(lines).lstrip("\n") + "\n"


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
