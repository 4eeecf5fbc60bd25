"""What a training run is made of: its pairs, what its checkpoints will be, the precision this machine can give."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.protocol import Protocol
from lightdepth_runtime.pairs import FrameData, Pair, PairSet, load_pairs, spread_indices
from lightdepth_runtime.pairs.packed import PackedPair
from lightdepth_runtime.pairs.pair import check_camera
from lightdepth_runtime.pairs.remote import url_of
from lightdepth_runtime.spec import Intrinsics, ModelSpec

from ..checkpoints.checkpoint import count_parameters
from ..config import PRESETS, TrainConfig
from ..data.extra import ExtraPair, add_extra_data, plain_pair, scale_to
from ..data.loader import no_readings
from ..data.split import split_pairs
from ..data.unlabelled import UnlabelledImage, load_unlabelled
from ..network.macs import count_gmacs
from ..runs.record import source_commit

__all__ = [
    "Say",
    "check_cameras",
    "check_compiler",
    "check_not_empty",
    "check_training_readings",
    "check_validation_readings",
    "describe",
    "load_training_data",
    "silent",
    "usable_precision",
]

PROBED = 32  # pairs, spread over the set, that are looked at; one with a reading is enough
SIGMA_NAME = "sigma"  # of the second output in every exported form
Say = Callable[[str], None]


def silent(_text: str) -> None:
    """Say nothing."""


def check_compiler() -> None:
    """Refuse `compile` where there is nothing to compile with, before the first step fails in PyTorch's depths.

    Raises:
        LightDepthError: no C++ compiler where torch.compile looks for one.
    """
    name = os.environ.get("CXX", "g++")
    if shutil.which(name) is None:
        raise LightDepthError(
            f"compile: true needs a C++ compiler, and there is no {name}; install one (apt install g++), name it in "
            "the variable CXX, or set compile to false."
        )


def load_training_data(config: TrainConfig, *, resume: bool = False) -> tuple[PairSet, PairSet | None]:
    """Return training and validation pairs; validation never touches a test split unless `val_data` names one.

    Further sets (`extra_data`) and images without depth (`unlabelled`) are added to the training pairs. With
    `val_fraction` 0 and no `val_data` everything is trained on and nothing validated.

    Raises:
        LightDepthError: no data given, or a fault in it.
    """
    if config.data_root is None:
        raise LightDepthError("No training data given; pass --data DIR (or set data_root in config.yaml).")
    if resume:
        extra = ", ".join(f"{{path: PATH, weight: {item.weight:g}}}" for item in config.extra_data)
        for place, option in (
            (config.data_root, "--data PATH"),
            (config.val_data, "--val-data PATH"),
            (config.unlabelled, "--set unlabelled=PATH"),
            *((item.path, f'--set "extra_data=[{extra}]"') for item in config.extra_data),
        ):
            if place is not None and not Path(place).exists() and not url_of(place):
                raise LightDepthError(
                    f"No data at {place}. A run goes on with the pairs that it began with; say where they lie now: "
                    f"--resume {option}."
                )
    unit = config.depth_unit()
    pairs, validation = _one_camera(load_pairs(config.data_root, "train", unit=unit, cache=config.cache())), None
    if config.val_data is not None:
        validation = load_pairs(config.val_data, "test", unit=unit, cache=config.cache())
        if config.canonical_focal:
            validation = _seen_by(config.camera() or pairs.intrinsics, validation)
    elif config.val_fraction > 0:
        pairs, validation = split_pairs(pairs, config.val_fraction, config.seed)
    pairs = add_extra_data(
        pairs,
        config.extra_data,
        config.camera() or pairs.intrinsics,
        canonical_focal=config.canonical_focal,
        cache=config.cache(),
    )
    if config.unlabelled is not None:
        notes: list[str] = []
        unlabelled = load_unlabelled(config.unlabelled, say=lambda text: notes.append(f"{config.unlabelled}: {text}"))
        pairs = replace(pairs, pairs=[*pairs.pairs, *unlabelled], notes=(*pairs.notes, *notes))
    return pairs, validation


def _one_camera(pairs: PairSet) -> PairSet:
    """Bring the depth of pairs of several cameras to the commonest one's focal length, and note it."""
    cameras = Counter(pair.intrinsics for pair in pairs.pairs if pair.intrinsics is not None)
    if len(cameras) < 2:
        return pairs
    (camera, _), unknown = cameras.most_common(1)[0], sum(pair.intrinsics is None for pair in pairs.pairs)
    brought = [_bring(pair, pair.intrinsics, camera) for pair in pairs.pairs]
    note = f"{len(cameras)} cameras: depth is brought to the focal length of the commonest ({camera.fx:.1f} px)"
    note += f"; {unknown} pairs don't tell theirs and stay as they are" if unknown else ""
    return replace(pairs, pairs=brought, intrinsics=camera, notes=(*pairs.notes, note))


def _seen_by(camera: Intrinsics | None, validation: PairSet) -> PairSet:
    """Bring the depth of validation pairs to the training camera's focal length where both are known, and note it."""
    if camera is None:
        return validation
    brought = [_bring(pair, pair.intrinsics or validation.intrinsics, camera) for pair in validation.pairs]
    count = sum(isinstance(pair, ExtraPair) for pair in brought)
    if not count:
        return validation
    note = f"Validation: depth of {count} of {len(brought)} pairs is brought to the training camera's focal length"
    return replace(validation, pairs=brought, intrinsics=camera, notes=(*validation.notes, note))


def _bring(pair: Pair, own: Intrinsics | None, camera: Intrinsics) -> Pair:
    """Return the pair with its depth at the camera's focal length, or as it is where its own is unknown or the same."""
    return pair if own is None or own == camera else ExtraPair(pair, 1.0, scale_to(camera, own), camera)


def check_not_empty(pairs: PairSet) -> None:
    """Refuse a split without pairs."""
    if not len(pairs):
        raise LightDepthError(f"{pairs.root} has no {pairs.split} pairs; give a folder or list that has some.")


def check_cameras(pairs: PairSet, camera: Intrinsics | None = None) -> None:
    """Refuse a camera of another shape than its images; of more than a few cameras some are looked at.

    Args:
        pairs: each tells its own camera, or none.
        camera: that of all, over what they tell.

    Raises:
        LightDepthError: there is such a camera; the image is named.
    """
    first: dict[Intrinsics, Pair] = {}
    for pair in map(plain_pair, pairs.pairs):
        if (known := camera or pair.intrinsics) is not None:
            first.setdefault(known, pair)
    cameras = list(first.items())
    for index in spread_indices(len(cameras), PROBED) if cameras else []:
        known, pair = cameras[index]
        # A packed pair's size is known without fetching it.
        size = (pair.height, pair.width) if isinstance(pair, PackedPair) else pair.read().depth_m.shape
        check_camera(known, pair.name, size)


def check_training_readings(training: PairSet, max_depth_m: float) -> None:
    """Refuse pairs from which nothing can be learned.

    Raises:
        LightDepthError: none of some pairs has a reading under `max_depth_m`.
    """
    probe = training.spread(PROBED)
    if not _any(probe, lambda frame: (frame.depth_m > 0) & (frame.depth_m < max_depth_m)):
        raise no_readings(len(probe), max_depth_m, [pair.name for pair in probe.pairs])


def check_validation_readings(validation: PairSet, protocol: Protocol) -> None:
    """Refuse pairs that would give no score.

    Raises:
        LightDepthError: none of some pairs has valid depth under the protocol.
    """
    probe = validation.spread(PROBED)
    if not _any(probe, lambda frame: protocol.valid(protocol.view(frame.image, frame.depth_m)[1])):
        raise LightDepthError(
            f"None of {len(probe)} validation pairs has valid depth under protocol {protocol.describe()!r}; check the "
            "depth files' unit and max_depth_m, or choose other pairs with --val-data, seed or val_fraction (0: none)."
        )


def _any(pairs: PairSet, counts: Callable[[FrameData], NDArray[np.bool_]]) -> bool:
    return any(counts(pair.read()).any() for pair in pairs.pairs)


def describe(config: TrainConfig, network: nn.Module, training: PairSet) -> ModelSpec:
    """Write down what the checkpoints of this run will be."""
    return ModelSpec(
        name=config.model if config.encoder == PRESETS[config.model]["encoder"] else config.encoder,
        input_height=config.image_height,
        input_width=config.image_width,
        parameters=count_parameters(network),
        gmacs=count_gmacs(network, config.image_height, config.image_width),
        max_depth_m=config.max_depth_m,
        sigma_tensor=SIGMA_NAME if config.confidence else None,
        training_data=_describe_data(config, training),
        intrinsics=config.camera() or training.intrinsics,
        source_commit=source_commit(),
    )


def _describe_data(config: TrainConfig, training: PairSet) -> str:
    """Say in one line what is trained on."""
    without_depth = sum(isinstance(pair, UnlabelledImage) for pair in training.pairs)
    extra = sum(isinstance(pair, ExtraPair) for pair in training.pairs)
    parts = [f"{training.packaging}, {len(training) - without_depth - extra} pairs"]
    if extra:
        names = ", ".join(Path(item.path).stem for item in config.extra_data)
        parts.append(f"{extra} pairs of {names}")
    if without_depth:
        parts.append(f"{without_depth} images without depth")
    if teachers := config.teachers():
        parts.append(f"teacher {' + '.join(Path(teacher).name for teacher in teachers)}")
    return f"{training.name} ({', '.join(parts)})"


def usable_precision(precision: str, say: Say) -> str:
    """Return the precision that this device will really use; a change is said.

    On a CPU PyTorch's fp16 autocast is ignored by Accelerate, which would train in FP32 and not tell.
    """
    if precision == "fp16" and not torch.cuda.is_available():
        say("precision fp16 needs a CUDA GPU; there is none here, so this run trains in fp32.")
        return "fp32"
    return precision
