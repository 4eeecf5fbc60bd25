"""How a run with a teacher is set up: what the teacher says of each image, and what the network is trained for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from lightdepth_runtime.pairs import PairSet
from lightdepth_runtime.progress import track

from ..checkpoints.checkpoint import Checkpoint
from ..config import TrainConfig
from ..data.sample import Lessons
from ..network.encoder import feature_channels
from ..network.model import LightDepth
from ..teacher.cache import cache_folder, label_pairs
from ..teacher.ensemble import open_teacher
from ..teacher.teacher import load_feature_teacher
from .inputs import Say
from .losses import DepthLoss
from .objective import FeatureStudent, Objective

__all__ = ["Teaching", "ask_teacher", "choose_objective"]


@dataclass(frozen=True)
class Teaching:
    """What a teacher gives a run."""

    teacher_id: str  # SHA-256
    lessons: Lessons
    network: Checkpoint | None  # where its features are matched


def ask_teacher(config: TrainConfig, training: PairSet, accelerator: Accelerator, say: Say) -> Teaching | None:
    """Have the config's teacher predict every training image that its cache lacks; None where there is no teacher.

    Raises:
        LightDepthError: no such teacher, one that can't teach this, or an image that can't be read.
    """
    sources = config.teachers()
    if not sources:
        return None
    network = load_feature_teacher(sources[0]) if config.feature_weight else None
    with open_teacher(sources, threads=config.num_threads) as teacher:
        folder = cache_folder(config.teacher_cache)
        say(f"Teacher: {teacher.source}; its predictions are kept in {folder}")
        labels = label_pairs(
            teacher,
            training,
            folder,
            share=(accelerator.process_index, accelerator.num_processes),
            gather=gather_object,
            progress=lambda numbers: track(numbers, "Asking the teacher", len(numbers)),
        )
        return Teaching(teacher.id, Lessons(labels, network.spec if network else None), network)


def choose_objective(
    config: TrainConfig, network: LightDepth, teaching: Teaching | None, accelerator: Accelerator
) -> tuple[Objective, nn.Module]:
    """Return the objective and what is trained for it: the network, or the network with maps of its features."""
    loss = DepthLoss(config.loss, config.silog_lambda, config.gradient_weight, config.l1_weight, config.rmse_weight)
    if teaching is None or teaching.network is None:
        return Objective(loss, config.confidence_weight, config.teacher_weight), network
    encoder = teaching.network.model.encoder.to(accelerator.device)

    def features(image: Tensor) -> Sequence[Tensor]:
        with accelerator.autocast():
            return encoder(image)

    student = FeatureStudent(network, feature_channels(network.encoder), feature_channels(encoder))
    weights = config.confidence_weight, config.teacher_weight, config.feature_weight
    return Objective(loss, *weights, features), student
