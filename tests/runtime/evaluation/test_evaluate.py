import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lightdepth_runtime.backends.fake import FakeBackend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import SHIPPED_MODEL, DepthEstimator
from lightdepth_runtime.evaluation.evaluate import OwnModel, evaluate
from lightdepth_runtime.evaluation.metrics import image_metrics, mean_metrics
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.pairs import load_pairs

METRICS = ["rmse_m", "mae_m", "abs_rel", "sq_rel", "log10", "silog", "delta1", "delta2", "delta3"]


def brightness(image):
    return 1 + image.mean(axis=2, dtype=np.float32) / 64


class Batches(FakeBackend):
    """A backend that takes eight frames at a time."""

    largest_batch = 8

    def __init__(self):
        super().__init__()
        self.sizes = []

    def run(self, batch):
        self.sizes.append(len(batch))
        return super().run(batch)


def test_the_result_is_the_mean_of_the_images_with_all_that_compares_it(tum):
    pairs, protocol = load_pairs(tum, "test"), get_protocol("eigen")
    frames = [pair.read() for pair in pairs.pairs]
    expected = mean_metrics([image_metrics(brightness(f.image), f.depth_m, protocol) for f in frames])
    result = evaluate(brightness, pairs, protocol, model="brightness").to_dict()
    assert json.loads(json.dumps(result)) == result
    assert {name: result[name] for name in METRICS} == pytest.approx(expected.to_dict(), rel=1e-12)
    described = ["schema", "lightdepth_version", "model", "protocol", "data", "samples", "left_out"]
    assert list(result)[:16] == [*described, *METRICS]
    assert (result["schema"], result["model"], result["samples"]) == ("lightdepth.eval/1", "brightness", 2)
    assert result["protocol"]["id"] == protocol.id
    assert result["data"] == {"name": "tum", "packaging": "pair list", "split": "test"}


def test_data_in_the_current_folder_has_a_name_too(tum, monkeypatch):
    monkeypatch.chdir(tum)
    result = evaluate(brightness, load_pairs(Path(), "test"), get_protocol("none"), model="m")
    assert result.data == "tum"


def test_flip_tta_averages_the_image_and_its_mirror(tum):
    def left_is_far(image):
        ramp = np.linspace(5, 1, image.shape[1], dtype=np.float32)
        return np.tile(ramp, (image.shape[0], 1))

    pairs = load_pairs(tum, "test")
    flipped = evaluate(left_is_far, pairs, get_protocol("none", flip_tta=True), model="m")
    flat = evaluate(lambda image: np.full(image.shape[:2], 3, np.float32), pairs, get_protocol("none"), model="m")
    assert flipped.metrics.to_dict() == pytest.approx(flat.metrics.to_dict(), abs=1e-5)
    assert flipped.protocol.id != flat.protocol.id


def test_a_mirror_image_scored_as_another_sample_meets_the_mirrored_truth(tum):
    def left_is_far(image):
        ramp = np.linspace(5, 1, image.shape[1], dtype=np.float32)
        return np.tile(ramp, (image.shape[0], 1))

    pairs, protocol = load_pairs(tum, "test"), replace(get_protocol("none"), flip_as_sample=True)
    result = evaluate(left_is_far, pairs, protocol, model="m")
    scores = []
    for frame in (pair.read() for pair in pairs.pairs):
        for depth_m in (frame.depth_m, np.ascontiguousarray(frame.depth_m[:, ::-1])):
            scores.append(image_metrics(left_is_far(frame.image), depth_m, protocol))
    assert result.metrics.to_dict() == pytest.approx(mean_metrics(scores).to_dict())
    assert result.samples == 2


def test_progress_sees_every_pair(tum):
    seen = []

    def watch(pairs):
        for pair in pairs:
            seen.append(pair.name)
            yield pair

    pairs = load_pairs(tum, "test")
    evaluate(brightness, pairs, get_protocol("none"), model="m", progress=watch)
    assert seen == [pair.name for pair in pairs.pairs]


def test_a_prediction_that_fails_names_its_image(tum):
    def broken(image):
        raise LightDepthError("This model was closed; load it again.")

    with pytest.raises(LightDepthError, match=r"0057_rgb.jpg: This model was closed; load it again\."):
        evaluate(broken, load_pairs(tum, "test"), get_protocol("none"), model="m")


def test_a_damaged_pair_is_named(tum_copy):
    path = tum_copy / "freiburg3_cabinet" / "0057_rgb.jpg"
    path.write_bytes(path.read_bytes()[:800])
    with pytest.raises(LightDepthError, match=r"0057_rgb.jpg is truncated"):
        evaluate(brightness, load_pairs(tum_copy, "test"), get_protocol("none"), model="m")


def test_no_pairs_are_refused(tum):
    with pytest.raises(LightDepthError, match="No images were evaluated"):
        evaluate(brightness, load_pairs(tum, "test").subset([], "none"), get_protocol("none"), model="m")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_frame_without_a_reading_is_left_out_and_counted(tum_copy, workers):
    whole = evaluate(brightness, load_pairs(tum_copy, "test").subset([0], "test"), get_protocol("none"), model="m")
    pairs = load_pairs(tum_copy, "test")
    cv2.imwrite(str(pairs.pairs[1].depth_path), np.zeros((120, 160), np.uint16))
    result = evaluate(brightness, pairs, get_protocol("none"), model="m", workers=workers)
    assert (result.samples, result.left_out) == (1, 1)
    assert result.metrics == whole.metrics
    assert result.to_dict()["left_out"] == 1


def test_pairs_without_any_reading_are_refused(tum_copy):
    pairs = load_pairs(tum_copy, "test")
    for pair in pairs.pairs:
        cv2.imwrite(str(pair.depth_path), np.zeros((120, 160), np.uint16))
    with pytest.raises(LightDepthError, match=r"None of the 2 pairs of tum has valid depth.*unit"):
        evaluate(brightness, pairs, get_protocol("none"), model="m")


@pytest.mark.parametrize("protocol", ["none", "adabins", "guidedepth"])
def test_batches_score_as_single_frames_do(tum, protocol):
    pairs, chosen = load_pairs(tum, "train"), get_protocol(protocol)
    with DepthEstimator(FakeBackend()) as estimator:
        single = evaluate(estimator, pairs, chosen, model="m")
    backend = Batches()
    with DepthEstimator(backend) as estimator:
        batched = evaluate(estimator, pairs, chosen, model="m", batch_size=3)
    assert batched.metrics == single.metrics
    assert max(backend.sizes) > 1


def test_batches_of_a_model_with_sigma_score_as_single_frames_do(tum):
    class Both(Batches):
        def run_both(self, batch):
            self.sizes.append(len(batch))
            return super().run_both(batch)

    pairs, chosen = load_pairs(tum, "train"), get_protocol("none")
    backend = Both()
    backend.spec = backend.spec.with_changes(sigma_tensor="sigma")
    with DepthEstimator(backend) as estimator:
        single, batched = (evaluate(estimator, pairs, chosen, model="m", batch_size=size) for size in (1, 3))
    assert 3 in backend.sizes
    assert batched.confidence == single.confidence
    assert batched.metrics == single.metrics


def test_workers_with_models_of_their_own_score_as_one_process_does(tum):
    pairs, chosen = load_pairs(tum, "train"), get_protocol("densedepth")
    own = OwnModel(SHIPPED_MODEL, "cpu", 1)
    with DepthEstimator.load(device="cpu", threads=1) as estimator:
        one, two = (evaluate(estimator, pairs, chosen, model="m", workers=workers, own=own) for workers in (1, 2))
    assert one.to_dict() == two.to_dict()
    assert one.confidence is not None


@pytest.mark.parametrize("protocol", ["none", "densedepth"])
def test_several_processes_score_as_one_to_the_bit(tum, protocol):
    pairs, chosen = load_pairs(tum, "train"), get_protocol(protocol)
    one, two = (evaluate(brightness, pairs, chosen, model="m", workers=workers) for workers in (1, 2))
    assert one.to_dict() == two.to_dict()
