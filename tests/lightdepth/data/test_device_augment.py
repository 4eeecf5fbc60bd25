"""The device's views against the CPU's: the same windows, readings and colours."""

import cv2
import numpy as np
import pytest
import torch

from lightdepth.config import load_config
from lightdepth.data.augment import Augmentation, View, draw_view
from lightdepth.data.device_augment import DeviceAugmentation, view_depth, view_image, view_labels
from lightdepth.data.frames import Frame, collate_frames, nearest_readings
from lightdepth.data.loader import build_loader
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.preprocess import preprocess
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.spec import ModelSpec

ALIKE = ((480, 640),) * 4
MIXED = ((480, 640), (65, 97), (240, 320), (479, 641), (96, 128), (33, 40))
STRONG = Augmentation(zoom_max=3.0, zoom_share=0.8)
COLOURLESS = Augmentation(zoom_max=3.0, zoom_share=0.8, color=0)
GREY_LEVEL = 1 / 255 / 0.224  # one of 256, in normalised units


def draw_frames(tum, settings, *, sizes=ALIKE, depth_size=(96, 128)):
    """Real frames, each resampled to a size of its own, with a random view and a plane as a teacher's depth."""
    recorded = [pair.read() for pair in load_pairs(tum, "train").pairs]
    frames = []
    for number, (height, width) in enumerate(sizes):
        frame = recorded[number % len(recorded)]
        image = cv2.resize(frame.image, (width, height), interpolation=cv2.INTER_AREA)
        depth_m = cv2.resize(frame.depth_m, (width, height), interpolation=cv2.INTER_NEAREST)
        rows, columns = np.mgrid[0:60, 0:80].astype(np.float32)
        view = draw_view(height, width, settings, np.random.default_rng(number))
        label_m = 2 + columns / 80 + rows / 60 + number
        readings = nearest_readings(view, *depth_size)
        frames.append(Frame(image, depth_m, *readings, label_m, view, f"{number}.png"))
    return frames, collate_frames(frames, max_depth_m=10)


@pytest.mark.parametrize("size", [(480, 640), (192, 256), (96, 128), (32, 64), (224, 224)])
@pytest.mark.parametrize("sizes", [ALIKE, MIXED])
def test_depth_is_the_cpus_to_the_last_bit(tum, size, sizes):
    frames, batch = draw_frames(tum, STRONG, sizes=sizes, depth_size=size)
    for frame, depth_m in zip(frames, view_depth(batch).numpy(), strict=True):
        np.testing.assert_array_equal(depth_m, frame.view.depth(frame.depth_m, *size))


@pytest.mark.parametrize("size", [(192, 256), (96, 128), (64, 160)])
@pytest.mark.parametrize("sizes", [ALIKE, MIXED])
def test_an_image_is_the_cpus_to_a_grey_level(tum, size, sizes):
    spec = ModelSpec("tiny", *size, 1)
    frames, batch = draw_frames(tum, COLOURLESS, sizes=sizes)
    for frame, image in zip(frames, view_image(batch, spec).numpy(), strict=True):
        expected = preprocess(frame.view.image(frame.image, *size), spec)
        difference = np.abs(image - expected) / GREY_LEVEL
        assert difference.max() < 2.1  # OpenCV's weights have 11 bits, and both round
        assert difference.mean() < 0.2


def test_colours_are_the_cpus_exactly(tum):
    spec = ModelSpec("tiny", 96, 128, 1)
    frames, batch = draw_frames(tum, Augmentation(zoom_max=1.0, color=0.4), sizes=((96, 128),) * 6)
    assert len({bool(frame.view.is_mirrored) for frame in frames}) == 2
    for frame, image in zip(frames, view_image(batch, spec).numpy(), strict=True):
        np.testing.assert_allclose(image, preprocess(frame.view.image(frame.image, 96, 128), spec), atol=1e-6)


@pytest.mark.parametrize("sizes", [ALIKE, MIXED])
def test_a_teachers_depth_shows_the_same_view(tum, sizes):
    frames, batch = draw_frames(tum, STRONG, sizes=sizes)
    for frame, label_m in zip(frames, view_labels(batch, 96, 128).numpy(), strict=True):
        expected = frame.view.dense_depth(frame.label_m, *frame.depth_m.shape, 96, 128)
        np.testing.assert_allclose(label_m, expected, atol=2e-3)  # warpAffine places to 1/32 of a pixel


def test_a_known_window_is_cropped_enlarged_mirrored_and_its_depth_divided():
    image = np.zeros((4, 8, 3), np.uint8)
    image[1:3, 2:6] = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    depth_m = np.zeros((4, 8), np.float32)
    depth_m[1:3, 2:6] = [[2, 4, 0, 6], [8, 10, 12, 14]]
    view = View(1, 2, 2, 4, 2.0, is_mirrored=True, color_table=None)
    frame = Frame(image, depth_m, *nearest_readings(view, 4, 8), None, view, "one")
    batch = collate_frames([frame], max_depth_m=10)
    expected_m = np.float32([[3, 0, 2, 1], [7, 6, 5, 4]]).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(view_depth(batch)[0].numpy(), expected_m)
    plain = ModelSpec("tiny", 32, 64, 1, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    corner = view_image(batch, plain)[0, :, 0, 0] * 255  # the window's top right pixel
    np.testing.assert_allclose(corner.numpy(), [9, 10, 11], atol=1e-4)


def test_both_loaders_give_the_same_views_in_the_same_order(tum):
    pairs, spec = load_pairs(tum, "train"), ModelSpec("tiny", 64, 96, 1, max_depth_m=2.0)
    loaded = []
    for place in ("cpu", "device"):
        config = load_config(None, ["num_workers=0", "batch_size=2", "passes_per_epoch=2", f"augment_on={place}"])
        loader, sampler = build_loader(pairs.pairs, spec, config, pin_memory=False)
        sampler.epoch = 3
        loaded.append(list(loader))
    on_cpu, frames = loaded
    on_device = [DeviceAugmentation(spec)(batch) for batch in frames]
    assert [batch.names for batch in on_cpu] == [batch.names for batch in on_device]
    for one, other in zip(on_cpu, on_device, strict=True):
        assert torch.equal(one.depth_m, other.depth_m)
        assert (one.image - other.image).abs().mean() < 0.5 * GREY_LEVEL
        assert one.teacher_m is other.teacher_m is None


def test_views_without_depth_are_one_sentence_with_the_files(tum):
    frames, _ = draw_frames(tum, STRONG, sizes=((96, 128),) * 2)
    unlabelled = [frame._replace(label_m=None) for frame in frames]
    with pytest.raises(LightDepthError, match=r"no valid depth: 0.png, 1.png; check the depth files' unit"):
        collate_frames(unlabelled, max_depth_m=0.1)
    empty = [frame._replace(depth_m=np.zeros_like(frame.depth_m)) for frame in frames]
    assert collate_frames(empty, max_depth_m=10).label_m is not None  # the teacher has some
