import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from lightdepth.checkpoints.checkpoint import count_parameters, save_checkpoint
from lightdepth.config import load_config
from lightdepth.data.extra import ExtraPair
from lightdepth.data.unlabelled import load_unlabelled
from lightdepth.network.model import LightDepth
from lightdepth.teacher.cache import TeacherLabel, label_pairs
from lightdepth.teacher.teacher import Teacher, load_feature_teacher
from lightdepth.training.inputs import load_training_data
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.alignment import DepthFit
from lightdepth_runtime.images.preprocess import resize_depth
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.pairs.file_pair import FilePair
from lightdepth_runtime.spec import Intrinsics, ModelSpec

CAMERA = Intrinsics(500.0, 500.0, 320.0, 240.0, 640, 480)
NETWORK = ("encoder=resnet10t", "encoder_weights=none", "decoder_channels=[8, 8, 8, 8]")


def write_teacher(path, seed=0, camera=None):
    """A random network of an input size that no student here has."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = LightDepth("resnet10t", decoder_channels=[8, 8, 8, 8])
    spec = ModelSpec("teacher", 96, 128, count_parameters(network), intrinsics=camera)
    config = load_config(None, [*NETWORK, "image_height=96", "image_width=128"])
    save_checkpoint(path, network, spec, config)
    return path


@pytest.fixture(scope="session")
def teacher_file(tmp_path_factory):
    return write_teacher(tmp_path_factory.mktemp("teacher") / "teacher.safetensors")


@pytest.fixture
def teacher(teacher_file):
    with Teacher(str(teacher_file), "cpu", 1) as opened:
        yield opened


@pytest.fixture
def calls(monkeypatch):
    asked = []
    original = Teacher.__call__

    def call(self, image):
        asked.append(1)
        return original(self, image)

    monkeypatch.setattr(Teacher, "__call__", call)
    return asked


def entries(folder):
    return sorted(folder.rglob("*.npy"))


def test_labels_are_the_teachers_depth_in_the_pairs_order(teacher, tum, tmp_path):
    pairs = load_pairs(tum, "train")
    labels = label_pairs(teacher, pairs, tmp_path)
    assert len(labels) == len(pairs) == len(entries(tmp_path))
    for label, pair in zip(labels, pairs.pairs, strict=True):
        expected = teacher(pair.read().image)
        assert expected.shape == (96, 128)
        np.testing.assert_allclose(label.read(), expected, rtol=2**-11)


def test_a_second_run_asks_nothing_and_another_teacher_everything_again(teacher, tum, tmp_path, calls):
    pairs = load_pairs(tum, "train")
    first = label_pairs(teacher, pairs, tmp_path)
    assert len(calls) == len(pairs)
    assert label_pairs(teacher, pairs, tmp_path) == first
    assert len(calls) == len(pairs)
    with Teacher(str(write_teacher(tmp_path / "other.safetensors", seed=1)), "cpu", 1) as other:
        second = label_pairs(other, pairs, tmp_path)
    assert len(calls) == 2 * len(pairs)
    assert not {label.path for label in first} & {label.path for label in second}


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip_a_bit, cut, empty, lambda path: path.unlink()])
def test_a_damaged_entry_is_made_again_and_no_other(teacher, tum, tmp_path, calls, damage):
    pairs = load_pairs(tum, "train")
    labels = label_pairs(teacher, pairs, tmp_path)
    before = labels[2].read()
    damage(labels[2].path)
    with pytest.raises(LightDepthError, match="damaged or gone; --resume makes it again"):
        labels[2].read()
    assert label_pairs(teacher, pairs, tmp_path) == labels
    assert len(calls) == len(pairs) + 1
    assert np.array_equal(labels[2].read(), before)


def test_an_interrupted_call_keeps_what_it_made(teacher, tum, tmp_path, calls, monkeypatch):
    pairs = load_pairs(tum, "train")
    counted = Teacher.__call__

    def interrupted(self, image):
        if len(calls) == 2:
            raise KeyboardInterrupt
        return counted(self, image)

    monkeypatch.setattr(Teacher, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        label_pairs(teacher, pairs, tmp_path)
    assert len(entries(tmp_path)) == 2
    monkeypatch.setattr(Teacher, "__call__", counted)
    label_pairs(teacher, pairs, tmp_path)
    assert len(calls) == len(pairs)


def test_several_processes_label_their_shares_and_end_with_the_same_labels(teacher, tum, tmp_path):
    pairs = load_pairs(tum, "train")
    alone = label_pairs(teacher, pairs, tmp_path / "alone")
    orders = []

    def note(numbers):
        orders.append(list(numbers))
        return numbers

    first = label_pairs(teacher, pairs, tmp_path / "two", share=(1, 2), progress=note)
    label_pairs(teacher, pairs, tmp_path / "two", share=(0, 2), progress=note, gather=lambda own: own + first)
    assert orders == [[2, 3], [0, 1]]
    labels = label_pairs(teacher, pairs, tmp_path / "two")
    assert [label.path.name for label in labels] == [label.path.name for label in alone]


@pytest.mark.parametrize("is_extra", [False, True])
def test_an_unchanged_set_is_not_read_again_and_a_changed_image_is(teacher, tum_copy, tmp_path, monkeypatch, is_extra):
    pairs = load_pairs(tum_copy, "train")
    found = pairs.pairs
    if is_extra:
        pairs = replace(pairs, pairs=[ExtraPair(pair, 0.5) for pair in found])
    labels = label_pairs(teacher, pairs, tmp_path)
    read = []
    original = FilePair.read
    monkeypatch.setattr(FilePair, "read", lambda self: read.append(self.name) or original(self))
    assert label_pairs(teacher, pairs, tmp_path) == labels
    assert read == []
    shutil.copy(found[1].color_path, found[0].color_path)
    changed = label_pairs(teacher, pairs, tmp_path)
    assert len(read) == len(pairs)
    assert changed[0].path == labels[1].path


def test_depth_is_scaled_from_the_teachers_camera_to_the_pairs(tum, tmp_path):
    path = write_teacher(tmp_path / "known.safetensors", camera=CAMERA)
    image, truth_m = np.zeros((480, 640, 3), np.uint8), np.zeros((480, 640), np.float32)
    twice = Intrinsics(1000.0, 1000.0, 320.0, 240.0, 640, 480)
    with Teacher(str(path), "cpu", 1) as teacher:
        prediction = teacher(image)
        assert teacher.fit(prediction, image, truth_m, twice) == DepthFit(scale=2.0)
        assert teacher.fit(prediction, image, truth_m, CAMERA) == DepthFit(scale=1.0)
        assert teacher.fit(prediction, image, truth_m, None) == DepthFit()


@pytest.mark.slow
def test_a_relative_teacher_is_fitted_to_each_images_truth(tiny_depth_anything, exported_once, tum, tmp_path):
    pairs = load_pairs(tum, "train")
    with Teacher(str(tiny_depth_anything), "cpu", 1) as teacher:
        assert teacher.kind == "relative-inverse"
        labels = label_pairs(teacher, pairs, tmp_path)
        for label, pair in zip(labels, pairs.pairs, strict=True):
            frame = pair.read()
            seen = frame.depth_m > 0
            disparity = resize_depth(teacher(frame.image), *seen.shape)[seen].astype(np.float64)
            design = np.stack([disparity, np.ones_like(disparity)], axis=1)
            solution = np.linalg.lstsq(design, 1 / frame.depth_m[seen].astype(np.float64), rcond=None)[0]
            # float16 predictions: 11 bits
            np.testing.assert_allclose([label.fit.scale, label.fit.shift], solution, rtol=0.02, atol=1e-4)
            assert np.median(label.read()) == pytest.approx(np.median(frame.depth_m[seen]), rel=0.5)


def test_a_metric_depth_anything_is_taken_at_its_word_and_needs_no_truth(
    tiny_depth_anything, exported_once, tum, tmp_path
):
    folder = tmp_path / "metric"
    shutil.copytree(tiny_depth_anything, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "depth_estimation_type": "metric", "max_depth": 20}))
    image = load_pairs(tum, "train").pairs[0].read().image
    with Teacher(str(folder), "cpu", 1) as teacher:
        assert teacher.kind == "metric"
        prediction = teacher(image)
        assert 0 < prediction.min() < prediction.max() < 20
        assert teacher.fit(prediction, image, np.zeros(image.shape[:2], np.float32), CAMERA) == DepthFit()


def test_a_relative_teacher_without_truth_is_refused_with_the_reason(tiny_depth_anything, exported_once, tum, tmp_path):
    config = load_config(None, [f"data_root={tum}", "val_fraction=0", f"unlabelled={tum}", "distill_from=x"])
    pairs, _ = load_training_data(config)
    with (
        Teacher(str(tiny_depth_anything), "cpu", 1) as teacher,
        pytest.raises(LightDepthError, match=r"\.jpg: .* relative inverse depth.* has none; use a metric teacher"),
    ):
        label_pairs(teacher, pairs, tmp_path)


def test_a_teacher_that_is_not_there_or_not_one_is_one_sentence(tmp_path):
    with pytest.raises(LightDepthError, match=r"No model at .*nothing\.onnx.* depth-anything-v2-small"):
        Teacher(str(tmp_path / "nothing.onnx"))
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(LightDepthError, match="not a readable safetensors checkpoint"):
        Teacher(str(tmp_path / "text.safetensors"))
    with pytest.raises(LightDepthError, match=r"No config\.json"):
        Teacher(str(tmp_path))


def test_images_without_depth_are_pairs_of_holes(tum, tmp_path):
    shutil.copytree(tum, tmp_path / "images")
    found = load_unlabelled(str(tmp_path / "images"))
    assert len(found) == len(list((tmp_path / "images").rglob("*_rgb.jpg")))
    frame = found[0].read()
    assert frame.depth_m.shape == frame.image.shape[:2]
    assert not frame.depth_m.any()
    with pytest.raises(LightDepthError, match="No image or folder"):
        load_unlabelled(str(tmp_path / "nowhere"))


def test_a_label_reads_back_in_metres(tmp_path, teacher, tum):
    (label, *_) = label_pairs(teacher, load_pairs(tum, "train"), tmp_path)
    doubled = TeacherLabel(label.path, DepthFit(scale=2.0))
    np.testing.assert_allclose(doubled.read(), 2 * label.read())


def test_a_runs_folder_stands_for_the_checkpoint_whose_features_are_matched(tmp_path):
    write_teacher(tmp_path / "best.safetensors")
    assert load_feature_teacher(str(tmp_path)).spec == load_feature_teacher(f"{tmp_path}/best.safetensors").spec
