import numpy as np
import pytest
import torch

from lightdepth.checkpoints.checkpoint import count_parameters, save_checkpoint
from lightdepth.config import load_config
from lightdepth.network.model import LightDepth
from lightdepth.teacher.cache import label_pairs
from lightdepth.teacher.ensemble import Ensemble, open_teacher
from lightdepth.teacher.teacher import Teacher
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.preprocess import resize_depth
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.spec import Intrinsics, ModelSpec

SETTINGS = ("encoder=resnet10t", "encoder_weights=none", "decoder_channels=[8, 8, 8, 8]")


def write(path, seed, size, camera=None):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = LightDepth("resnet10t", decoder_channels=[8, 8, 8, 8])
    config = load_config(None, [*SETTINGS, f"image_height={size[0]}", f"image_width={size[1]}"])
    save_checkpoint(path, network, ModelSpec(path.stem, *size, count_parameters(network), intrinsics=camera), config)
    return str(path)


@pytest.fixture
def members(tmp_path):
    return [write(tmp_path / "a.safetensors", 1, (64, 96)), write(tmp_path / "b.safetensors", 2, (96, 128))]


@pytest.fixture
def image(tum):
    return load_pairs(tum, "test").pairs[0].read().image


def test_an_ensemble_is_the_mean_of_log_depth_over_members_and_mirror_images(members, image):
    with Ensemble(members, "cpu", 1) as ensemble:
        got = ensemble(image)
    assert got.shape == (96, 128)  # the largest member's
    logs = []
    for source in members:
        with Teacher(source, "cpu", 1) as teacher:
            logs += [np.log(teacher(image)), np.log(teacher(np.ascontiguousarray(image[:, ::-1])))[:, ::-1]]
    expected = np.exp(np.mean([resize_depth(np.ascontiguousarray(log), 96, 128) for log in logs], axis=0))
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    assert got.dtype == np.float32


def test_a_member_of_another_camera_is_brought_to_the_first_ones(tmp_path, image):
    camera = Intrinsics(130, 130, 80, 60, 160, 120)
    longer = Intrinsics(260, 260, 80, 60, 160, 120)
    own = write(tmp_path / "own.safetensors", 1, (64, 96), camera)
    same = write(tmp_path / "same.safetensors", 1, (64, 96), longer)  # the same weights
    with Ensemble([own], "cpu", 1) as alone, Ensemble([own, same], "cpu", 1) as both:
        # What the longer camera's network calls z is z / 2 through the first one's: in the mean of logs z / sqrt(2).
        np.testing.assert_allclose(both(image), alone(image) / np.sqrt(2), rtol=1e-4)
        assert both.intrinsics == camera


def test_order_and_members_make_other_ids_so_that_no_cache_is_shared(members, tum, tmp_path):
    with Ensemble(members, "cpu", 1) as one, Ensemble(members[::-1], "cpu", 1) as other:
        assert one.id != other.id
        pairs = load_pairs(tum, "test")
        label = label_pairs(one, pairs, tmp_path / "cache")[0]
        np.testing.assert_allclose(label.read(), one(pairs.pairs[0].read().image), rtol=1e-3)  # kept as float16


def test_one_name_is_the_model_itself_and_a_relative_one_is_refused_in_company(members, tiny_depth_anything):
    with open_teacher(members[:1], "cpu", 1) as teacher:
        assert isinstance(teacher, Teacher)
    with pytest.raises(LightDepthError, match=r"predicts relative depth.*metric models only"):
        open_teacher([members[0], str(tiny_depth_anything)], "cpu", 1)
