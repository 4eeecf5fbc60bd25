import cv2
import numpy as np
import pytest

from lightdepth_runtime.backends.fake import FakeBackend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.evaluation.evaluate import evaluate
from lightdepth_runtime.evaluation.protocol import ProtocolParts, choose_protocol
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.spec import Intrinsics

ON = choose_protocol("none", ProtocolParts(focal=True))


def estimator(camera):
    backend = FakeBackend()
    backend.spec = backend.spec.with_changes(intrinsics=camera)
    return DepthEstimator(backend)


def test_predictions_are_scaled_to_the_camera_of_each_pair(tum_copy):
    rows = (tum_copy / "train.txt").read_text()
    (tum_copy / "own.txt").write_text("# intrinsics: 200 200 79.5 59.5 160 120\n" + rows)
    pairs = load_pairs(tum_copy / "own.txt", "train")
    ours = estimator(Intrinsics(100, 100, 79.5, 59.5, 160, 120))
    plain, scaled = (evaluate(ours, pairs, protocol, model="m") for protocol in (choose_protocol("none"), ON))
    doubled = evaluate(lambda image: 2 * ours(image), pairs, choose_protocol("none"), model="m")
    assert scaled.metrics.rmse_m == pytest.approx(doubled.metrics.rmse_m)
    assert scaled.metrics.rmse_m != pytest.approx(plain.metrics.rmse_m)
    assert (scaled.focal_unknown, scaled.protocol.id.endswith("_focal")) == (0, True)


def test_a_camera_for_another_shape_of_frame_is_refused_and_one_held_upright_is_not(tum_copy):
    rows = (tum_copy / "train.txt").read_text()
    ours = estimator(Intrinsics(100, 100, 79.5, 59.5, 160, 120))
    (tum_copy / "cut.txt").write_text("# intrinsics: 200 200 79.5 44.5 160 90\n" + rows)
    with pytest.raises(LightDepthError, match="has 160x120 pixels and its camera is for 160x90"):
        evaluate(ours, load_pairs(tum_copy / "cut.txt", "train"), ON, model="m")
    scores = []
    for camera in ("200 200 79.5 59.5 160 120", "200 200 59.5 79.5 120 160"):
        (tum_copy / "own.txt").write_text(f"# intrinsics: {camera}\n{rows}")
        scores.append(evaluate(ours, load_pairs(tum_copy / "own.txt", "train"), ON, model="m").metrics.rmse_m)
    assert scores[0] == pytest.approx(scores[1])


def test_what_has_no_camera_is_scored_as_it_is_and_counted(tum_copy):
    rows = [row for row in (tum_copy / "train.txt").read_text().splitlines() if row and not row.startswith("#")]
    (tum_copy / "own.txt").write_text("\n".join(rows))
    pairs = load_pairs(tum_copy / "own.txt", "train")
    result = evaluate(estimator(Intrinsics(100, 100, 79.5, 59.5, 160, 120)), pairs, ON, model="m")
    assert result.focal_unknown == len(rows)
    assert np.isclose(result.metrics.rmse_m, evaluate(estimator(None), pairs, ON, model="m").metrics.rmse_m)


def test_a_pair_without_valid_depth_is_not_counted_among_those_without_a_camera(tum_copy):
    rows = [row for row in (tum_copy / "train.txt").read_text().splitlines() if row and not row.startswith("#")]
    (tum_copy / "own.txt").write_text("\n".join(rows))
    pairs = load_pairs(tum_copy / "own.txt", "train")
    cv2.imwrite(str(pairs.pairs[1].depth_path), np.zeros((120, 160), np.uint16))
    result = evaluate(estimator(Intrinsics(100, 100, 79.5, 59.5, 160, 120)), pairs, ON, model="m")
    assert (result.samples, result.left_out, result.focal_unknown) == (len(rows) - 1, 1, len(rows) - 1)


def test_a_crop_that_cuts_the_frame_itself_is_refused():
    with pytest.raises(LightDepthError, match="fastdepth"):
        choose_protocol("fastdepth", ProtocolParts(focal=True))
