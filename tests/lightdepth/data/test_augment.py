from dataclasses import replace

import cv2
import numpy as np
import pytest

from lightdepth.data.augment import Augmentation, View, draw_view, without_border
from lightdepth_runtime.images.preprocess import preprocess
from lightdepth_runtime.pairs import FrameData, load_pairs
from lightdepth_runtime.spec import ModelSpec

HEIGHT, WIDTH = 480, 640


def marked(row, column, size=40, depth=3.0):
    """A black frame at 2 m with a white square at `depth` metres and a hole beside it."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    depth_m = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    image[row : row + size, column : column + size] = 255
    depth_m[row : row + size, column : column + size] = depth
    return FrameData(image, depth_m)


def image_of(view, image, height, width):
    """Return the view before normalisation: uint8 (H, W, 3)."""
    plain = ModelSpec("view", height, width, parameters=0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return np.rint(view.network_input(image, plain) * 255).astype(np.uint8).transpose(1, 2, 0)


def augment(frame, height, width, settings, rng):
    view = draw_view(*frame.depth_m.shape, settings, rng)
    return FrameData(image_of(view, frame.image, height, width), view.depth(frame.depth_m, height, width))


def center(mask):
    rows, columns = np.nonzero(mask)
    return rows.mean(), columns.mean()


@pytest.mark.parametrize("settings", [Augmentation(color=0), Augmentation(color=0, zoom_share=1.0, roll_deg=12.0)])
@pytest.mark.parametrize("size", [(480, 640), (96, 128), (192, 256)])
def test_a_marker_moves_alike_in_image_depth_and_mask(size, settings):
    for seed in range(20):
        frame = marked(200, 280)
        frame.depth_m[200:240, 280:320] = 0  # the marker is a hole in depth
        out = augment(frame, *size, settings, np.random.default_rng(seed))
        assert out.image.shape == (*size, 3)
        assert out.depth_m.shape == size
        in_image, in_depth = out.image[:, :, 0] > 127, out.depth_m == 0
        assert in_depth.any()
        # to a third of an output pixel; a plain nearest resize is half a pixel off
        np.testing.assert_allclose(center(in_image), center(in_depth), atol=0.34)


@pytest.mark.parametrize("roll_deg", [0.0, 12.0])
def test_all_markers_agree_on_average_to_a_tenth_of_a_pixel(roll_deg):
    offsets = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        frame = marked(int(rng.integers(120, 300)), int(rng.integers(150, 420)))
        out = augment(frame, 96, 128, Augmentation(color=0, flip=False, roll_deg=roll_deg), rng)
        offsets.append(np.subtract(center(out.image[:, :, 0] > 127), center(out.depth_m > out.depth_m.min())))
    np.testing.assert_allclose(np.mean(offsets, axis=0), 0, atol=0.1)


def test_a_zoom_divides_depth_by_what_it_enlarges():
    zooms = []
    for seed in range(30):
        out = augment(marked(200, 280), HEIGHT, WIDTH, Augmentation(2.0, 1.0, color=0), np.random.default_rng(seed))
        background, marker = np.unique(out.depth_m)
        zoom = 2.0 / background
        assert marker == pytest.approx(3.0 / zoom, rel=1e-6)
        width_px = (out.depth_m == marker).sum(axis=1).max()
        assert width_px / 40 == pytest.approx(zoom, rel=0.06)
        zooms.append(zoom)
    assert min(zooms) < 1.2
    assert 1.7 < max(zooms) <= 2.01


def test_holes_stay_holes_and_depth_is_never_invented(tum):
    frame = load_pairs(tum, "train").pairs[0].read()
    known = np.unique(frame.depth_m)
    for seed in range(10):
        out = augment(frame, 64, 96, Augmentation(zoom_max=1.0), np.random.default_rng(seed))
        assert (out.depth_m == 0).any()
        assert np.isin(out.depth_m, known).all()


def test_the_share_that_is_not_zoomed_stays_whole_to_its_last_pixel():
    frame = marked(200, 280)
    frame.image[0], frame.image[-1], frame.image[:, 0], frame.image[:, -1] = 255, 255, 255, 255
    whole = 0
    for seed in range(80):
        settings = Augmentation(zoom_max=2.0, zoom_share=0.25, color=0)
        out = augment(frame, HEIGHT, WIDTH, settings, np.random.default_rng(seed))
        is_whole = bool((out.image[[0, -1]] == 255).all() and (out.image[:, [0, -1]] == 255).all())
        assert is_whole == (out.depth_m.min() == 2.0)  # an unzoomed depth is not divided
        whole += is_whole
    assert 48 < whole < 72


def test_flip_mirrors_both_half_of_the_time_and_can_be_turned_off():
    frame = marked(200, 100)
    left = 0
    for seed in range(60):
        out = augment(frame, HEIGHT, WIDTH, Augmentation(zoom_max=1.0, color=0), np.random.default_rng(seed))
        in_image, in_depth = center(out.image[:, :, 0] > 127), center(out.depth_m > out.depth_m.min())
        np.testing.assert_allclose(in_image, in_depth, atol=0.6)
        left += in_image[1] < WIDTH / 2
        still = Augmentation(zoom_max=1.0, color=0, flip=False)
        assert center(augment(frame, HEIGHT, WIDTH, still, np.random.default_rng(seed)).depth_m > 2.5)[1] < WIDTH / 2
    assert 15 < left < 45


def test_color_changes_the_image_and_never_the_depth(tum):
    frame = load_pairs(tum, "train").pairs[0].read()
    plain = augment(frame, 64, 96, Augmentation(zoom_max=1.0, flip=False, color=0), np.random.default_rng(5))
    vivid = augment(frame, 64, 96, Augmentation(zoom_max=1.0, flip=False, color=0.2), np.random.default_rng(5))
    np.testing.assert_array_equal(plain.depth_m, vivid.depth_m)
    assert vivid.image.dtype == np.uint8
    change = np.abs(plain.image.astype(int) - vivid.image).mean()
    assert 1 < change < 60


def test_the_same_generator_gives_the_same_pair_and_the_input_is_not_touched(tum):
    frame = load_pairs(tum, "train").pairs[0].read()
    image, depth_m = frame.image.copy(), frame.depth_m.copy()
    one, two, other = (augment(frame, 64, 96, Augmentation(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.image, two.image)
    np.testing.assert_array_equal(one.depth_m, two.depth_m)
    assert (one.image != other.image).any()
    np.testing.assert_array_equal(frame.image, image)
    np.testing.assert_array_equal(frame.depth_m, depth_m)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (65, 97)])
def test_odd_and_tiny_frames_are_taken(size):
    frame = FrameData(np.zeros((*size, 3), np.uint8), np.ones(size, np.float32))
    out = augment(frame, 32, 64, Augmentation(), np.random.default_rng(0))
    assert out.image.shape == (32, 64, 3)
    assert out.depth_m.shape == (32, 64)


@pytest.mark.parametrize("roll_deg", [0.0, 10.0])
def test_a_teachers_map_shows_the_same_view_as_the_measured_depth(roll_deg):
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    depth_m = 2 + columns / WIDTH + rows / HEIGHT  # a plane: every resampling of it can be told
    small = cv2.resize(depth_m, (160, 120), interpolation=cv2.INTER_AREA)
    for seed in range(20):
        settings = Augmentation(zoom_max=2.0, zoom_share=0.7, roll_deg=roll_deg)
        view = draw_view(HEIGHT, WIDTH, settings, np.random.default_rng(seed))
        measured, taught = view.depth(depth_m, 96, 128), view.dense_depth(small, HEIGHT, WIDTH, 96, 128)
        assert taught.dtype == np.float32
        inside = np.s_[2:-2, 2:-2]  # the small map's outermost pixels end half a pixel before the frame does
        # 0.006: what nearest and linear resampling of this plane may differ by, half an output pixel each way
        np.testing.assert_allclose(taught[inside], measured[inside], atol=0.006)
        assert abs(float((taught - measured)[inside].mean())) < 1e-3


def test_a_mirrored_view_mirrors_the_teachers_map_too():
    view = View(0, 0, HEIGHT, WIDTH, 1.0, is_mirrored=True, color_table=None)
    assert np.array_equal(
        view.dense_depth(np.float32([[1, 2], [3, 4]]), HEIGHT, WIDTH, 2, 2), np.float32([[2, 1], [4, 3]])
    )


def test_a_border_is_neither_taught_nor_shown_in_a_zoomed_view():
    depth_m = np.full((100, 200), 2.0, np.float32)
    inner = without_border(depth_m, 0.02)
    assert (inner[2:-2, 4:-4] == 2).all()
    assert (inner == 2).sum() == 96 * 192
    assert without_border(depth_m, 0) is depth_m
    rng = np.random.default_rng(0)
    views = [draw_view(100, 200, Augmentation(border=0.02), rng) for _ in range(200)]
    zoomed = [view for view in views if view.zoom > 1]
    assert 60 < len(zoomed) < 140
    for view in zoomed:
        assert view.top >= 2
        assert view.left >= 4
        assert view.top + view.height <= 98
        assert view.left + view.width <= 196


def test_a_rolled_view_is_turned_by_its_angle_stays_inside_and_keeps_the_zooms_depth():
    depth_m = np.tile(
        2 + np.arange(HEIGHT, dtype=np.float32)[:, None] / HEIGHT, WIDTH
    )  # falls straight down; in the view its slope tells angle and zoom
    settings = Augmentation(zoom_max=1.8, zoom_share=1.0, flip=False, border=0.02, roll_deg=15.0)
    rolls = []
    for seed in range(40):
        view = draw_view(HEIGHT, WIDTH, settings, np.random.default_rng(seed))
        seen = view.dense_depth(depth_m, HEIGHT, WIDTH, 96, 128)[1:-1, 1:-1] * view.zoom
        down, across = np.gradient(seen)
        assert np.degrees(np.arctan2(across.mean(), down.mean())) == pytest.approx(view.roll_deg, abs=0.1)
        assert np.hypot(across, down).mean() == pytest.approx(view.height / 96 / HEIGHT, rel=0.01)
        # With the border's readings taken away, a view that reached into it would show holes.
        assert (view.depth(without_border(depth_m, 0.02 - 2 / HEIGHT), 96, 128) > 0).all()
        rolls.append(view.roll_deg)
    assert min(rolls) < -10
    assert max(rolls) > 10


@pytest.mark.parametrize("seed", range(4))
def test_colours_and_normalisation_in_one_look_up_equal_one_after_the_other(tum, seed):
    frame, spec = load_pairs(tum, "train").pairs[0].read(), ModelSpec("m", 64, 96, parameters=0)
    view = draw_view(*frame.depth_m.shape, Augmentation(), np.random.default_rng(seed))
    seen = cv2.LUT(image_of(replace(view, color_table=None), frame.image, 64, 96), view.color_table)
    np.testing.assert_array_equal(view.network_input(frame.image, spec), preprocess(seen, spec))
