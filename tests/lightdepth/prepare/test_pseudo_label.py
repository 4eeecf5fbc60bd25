import json
import shutil

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from lightdepth.cli.app import app
from lightdepth.prepare.pseudo_label import agreed_depth, write_pseudo_labels
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.spec import Intrinsics


class Ramp:
    """A metric teacher whose depth grows with the brightness, and with the column where `bias` is set."""

    source, kind, id, own = "ramp.onnx", "metric", "0" * 64, None
    intrinsics = Intrinsics(500.0, 500.0, 320.0, 240.0, 640, 480)

    def __init__(self, bias=0.0, batch_size=1):
        self.bias, self.asked, self.batch_size, self.batches = bias, 0, batch_size, []

    def __call__(self, image):
        self.asked += 1
        columns = np.linspace(-1, 1, image.shape[1], dtype=np.float32)
        return (1 + image[..., 0] / np.float32(64)) * np.exp(self.bias * columns)

    def predict_batch(self, images):
        self.batches.append(len(images))
        return [self(image) for image in images]

    def depth_factor(self, focal_px, height, width):
        return self.intrinsics.depth_factor(focal_px, height, width)


@pytest.fixture
def photos(tum, tmp_path):
    shutil.copytree(tum, tmp_path / "photos")
    return tmp_path / "photos"


def test_labels_are_pairs_to_train_on_in_millimetres(photos, tmp_path):
    labels = write_pseudo_labels(Ramp(), [photos], tmp_path / "out")
    pairs = load_pairs(tmp_path / "out", "train")
    assert len(pairs) == labels.images == labels.written > 3
    assert labels.kept_share == pytest.approx(1.0)
    frame, unit = pairs.pairs[0].read(), pairs.pairs[0].depth_unit
    assert unit == "millimetres"
    np.testing.assert_allclose(frame.depth_m, 1 + frame.image[..., 0] / 64, atol=0.0006)
    assert len(list((tmp_path / "out").glob("*_depth.png"))) == len(pairs)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("width", [64, 48])
def test_a_label_is_read_as_its_photograph_stands_whichever_way_it_was_held(tmp_path, orientation, width):
    pil = pytest.importorskip("PIL.Image")
    (tmp_path / "photos").mkdir()
    exif = pil.Exif()
    exif[0x0112] = orientation
    pixels = np.random.default_rng(3).integers(0, 256, (48, width, 3), np.uint8)
    pil.fromarray(pixels).save(tmp_path / "photos/a.png", exif=exif)
    write_pseudo_labels(Ramp(), [tmp_path / "photos"], tmp_path / "out")
    frame = load_pairs(tmp_path / "out", "train").pairs[0].read()
    np.testing.assert_allclose(frame.depth_m, 1 + frame.image[..., 0] / 64, atol=0.0006)


def test_a_teacher_that_takes_batches_gets_images_with_their_mirror_images(photos, tmp_path):
    one, many = Ramp(bias=0.02), Ramp(bias=0.02, batch_size=8)
    write_pseudo_labels(one, [photos], tmp_path / "one")
    labels = write_pseudo_labels(many, [photos], tmp_path / "many")
    assert set(one.batches) == {2}
    assert set(many.batches[:-1]) == {8}
    assert sum(many.batches) == 2 * labels.images
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "many" / path.name).read_bytes()


def agreed(teacher, image, most_disagreement):
    return agreed_depth(teacher(image), teacher(image[:, ::-1]), image.shape[:2], 1.0, most_disagreement)


def test_pixels_of_which_the_mirror_image_says_otherwise_are_left_out():
    image = np.full((48, 101, 3), 64, np.uint8)
    depth_m = agreed(Ramp(bias=0.1), image, 0.101)
    # The two differ by 0.2 |x|, x from -1 to 1: the middle half agrees to 0.101.
    columns = np.abs(np.linspace(-1, 1, 101))
    assert np.array_equal(depth_m[0] > 0, columns <= 0.505)
    np.testing.assert_allclose(depth_m[0, 50], 2.0, rtol=1e-6)
    assert (agreed(Ramp(bias=0.1), image, 0.3) > 0).all()


def test_depth_that_is_no_number_or_beyond_millimetres_is_left_out():
    class Odd(Ramp):
        def __call__(self, image):
            depth_m = np.full(image.shape[:2], 2, np.float32)
            depth_m[0], depth_m[1], depth_m[2], depth_m[3] = np.nan, np.inf, 0, 70
            return depth_m

    depth_m = agreed(Odd(), np.zeros((8, 8, 3), np.uint8), 0.1)
    assert (depth_m[:4] == 0).all()
    assert (depth_m[4:] == 2).all()


def test_a_focal_length_scales_depth_and_stands_in_the_list(photos, tmp_path):
    write_pseudo_labels(Ramp(), [photos], tmp_path / "out", focal_px=250.0)
    pairs = load_pairs(tmp_path / "out", "train")
    frame = pairs.pairs[0].read()
    # Half the focal length in pixels of an image a quarter as wide: half the field of view.
    np.testing.assert_allclose(frame.depth_m, 2 * (1 + frame.image[..., 0] / 64), atol=0.0006)
    assert pairs.intrinsics == Intrinsics(250.0, 250.0, 79.5, 59.5, 160, 120)


def test_an_interrupted_call_goes_on_and_its_list_appears_last(photos, tmp_path):
    def stop_after_two(jobs):
        yield from jobs[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pseudo_labels(Ramp(), [photos], tmp_path / "out", progress=stop_after_two)
    assert not (tmp_path / "out" / "train.txt").exists()
    teacher = Ramp()
    labels = write_pseudo_labels(teacher, [photos], tmp_path / "out")
    assert labels.images == labels.written + 2
    assert teacher.asked == 2 * labels.written  # the frame and its mirror image
    assert len(load_pairs(tmp_path / "out", "train")) == labels.images


def test_a_folder_of_other_labels_is_refused_and_stays_as_it_was(photos, tmp_path):
    out = tmp_path / "out"
    write_pseudo_labels(Ramp(), [photos], out)
    before = {path: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(LightDepthError, match="labels of another teacher or with other settings"):
        write_pseudo_labels(Ramp(), [photos], out, most_disagreement=0.2)
    own = tmp_path / "own"
    own.mkdir()
    (own / "train.txt").write_text("a.jpg a.png\n")
    with pytest.raises(LightDepthError, match=r"train\.txt that is not of pseudo-labels"):
        write_pseudo_labels(Ramp(), [photos], own)
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in own.iterdir()] == ["train.txt"]


def test_a_relative_teacher_is_refused_before_anything_is_written(photos, tmp_path):
    teacher = Ramp()
    teacher.kind = "relative-inverse"
    with pytest.raises(LightDepthError, match="scale and shift can't be known; use a metric teacher"):
        write_pseudo_labels(teacher, [photos], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_image_is_named_after_the_others_are_labelled(photos, tmp_path):
    broken = sorted(photos.rglob("*.jpg"))[1]
    broken.write_bytes(broken.read_bytes()[:5000])
    with pytest.raises(LightDepthError, match=rf"1 of \d+ images have no label.*{broken.name}"):
        write_pseudo_labels(Ramp(), [photos], tmp_path / "out")
    assert len(load_pairs(tmp_path / "out", "train")) == len(list(photos.rglob("*.jpg"))) - 1


def test_the_command_labels_with_the_shipped_model(photos, tmp_path):

    image_path = sorted(photos.rglob("*.jpg"))[0]
    result = CliRunner().invoke(app, ["pseudo-label", str(image_path), "-o", str(tmp_path / "out"), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "Labelled 1 images, " in result.output
    assert json.loads((tmp_path / "out" / "pseudo_labels.json").read_text())["most_disagreement"] == 0.1
    (pair,) = load_pairs(tmp_path / "out", "train").pairs
    frame = pair.read()
    with DepthEstimator.load(device="cpu") as estimator:
        seen = estimator(frame.image)
        mirrored = cv2.flip(estimator(cv2.flip(frame.image, 1)), 1)
    labelled = frame.depth_m > 0
    assert labelled.any()
    np.testing.assert_allclose(frame.depth_m[labelled], ((seen + mirrored) / 2)[labelled], atol=0.02)


def test_several_processes_write_what_one_writes(photos, tmp_path):
    for workers in (1, 2):
        write_pseudo_labels(Ramp(), [photos], tmp_path / str(workers), workers=workers)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "12")
    assert one == two


def test_what_no_list_can_hold_and_what_is_no_picture_is_told_and_the_rest_is_labelled(photos, tmp_path):
    odd = photos / "caf\udce9.jpg"
    shutil.copy(next(photos.rglob("*_rgb.jpg")), odd)
    (photos / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    said = []
    with pytest.raises(LightDepthError, match=r"1 of 7 images have no label.*can't stand in a pair list"):
        write_pseudo_labels(Ramp(), [photos], tmp_path / "out", say=said.append)
    assert "1 HEIC, which must be converted" in said[0]
    assert len(load_pairs(tmp_path / "out", "train")) == 6
