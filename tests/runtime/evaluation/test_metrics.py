import math

import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.metrics import DepthMetrics, image_metrics, mean_metrics
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.pairs import load_pairs


def reference(prediction, truth, rows=slice(None), columns=slice(None)):
    """The formulas of Eigen et al. 2014, pixel by pixel in plain Python, for predictions inside the range."""
    p = [float(x) for x in prediction[rows, columns].ravel()]
    g = [float(x) for x in truth[rows, columns].ravel()]
    pairs = [(a, b) for a, b in zip(p, g, strict=True) if 1e-3 < b < 10]
    n = len(pairs)
    logs = [math.log(a) - math.log(b) for a, b in pairs]
    mean_log = sum(logs) / n
    ratios = [max(a / b, b / a) for a, b in pairs]
    return {
        "rmse_m": math.sqrt(sum((a - b) ** 2 for a, b in pairs) / n),
        "mae_m": sum(abs(a - b) for a, b in pairs) / n,
        "abs_rel": sum(abs(a - b) / b for a, b in pairs) / n,
        "sq_rel": sum((a - b) ** 2 / b for a, b in pairs) / n,
        "log10": sum(abs(math.log10(a) - math.log10(b)) for a, b in pairs) / n,
        "silog": 100 * math.sqrt(sum(d * d for d in logs) / n - mean_log**2),
        "delta1": sum(r < 1.25 for r in ratios) / n,
        "delta2": sum(r < 1.25**2 for r in ratios) / n,
        "delta3": sum(r < 1.25**3 for r in ratios) / n,
    }


@pytest.fixture
def truth_m(tum):
    return load_pairs(tum, "test").pairs[0].read().depth_m


def disturbed(truth_m):
    rng = np.random.default_rng(0)
    return np.float32(np.where(truth_m > 0, truth_m, 1.0) * rng.uniform(0.5, 1.9, truth_m.shape))


def test_every_metric_equals_its_formula_to_1e_6(truth_m):
    prediction = disturbed(truth_m)
    got = image_metrics(prediction, truth_m, get_protocol("none")).to_dict()
    assert got == pytest.approx(reference(prediction, truth_m), abs=1e-6)
    # The Eigen crop of 480x640 at a quarter of its size, rounded half to even.
    cropped = reference(prediction, truth_m, slice(11, 118), slice(10, 150))
    assert image_metrics(prediction, truth_m, get_protocol("eigen")).to_dict() == pytest.approx(cropped, abs=1e-6)


def test_a_perfect_prediction_scores_zero_errors_and_full_shares(truth_m):
    metrics = image_metrics(truth_m, truth_m, get_protocol("none"))
    assert metrics == DepthMetrics(0, 0, 0, 0, 0, 0, 1, 1, 1)


def test_holes_and_depth_past_the_range_change_nothing(truth_m):
    prediction = disturbed(truth_m)
    base = image_metrics(prediction, truth_m, get_protocol("none"))
    wild = np.where(truth_m == 0, np.float32(500), prediction)
    far = truth_m.copy()
    far[truth_m == 0] = 12.0
    assert image_metrics(wild, truth_m, get_protocol("none")) == base
    assert image_metrics(wild, far, get_protocol("none")) == base


def test_silog_ignores_scale_and_median_alignment_removes_it(truth_m):
    protocol = get_protocol("none")
    assert image_metrics(truth_m * np.float32(1.5), truth_m, protocol).silog == pytest.approx(0, abs=1e-4)
    aligned = image_metrics(truth_m * np.float32(1.5), truth_m, get_protocol("none", "median"))
    assert aligned.rmse_m == pytest.approx(0, abs=1e-5)


def test_predictions_are_clipped_after_alignment():
    truth = np.full((4, 4), 8.0, np.float32)
    prediction = np.full((4, 4), 40.0, np.float32)
    assert image_metrics(prediction, truth, get_protocol("none")).mae_m == pytest.approx(2.0)
    assert image_metrics(prediction, truth, get_protocol("none", "median")).mae_m == pytest.approx(0.0)
    assert image_metrics(np.zeros((4, 4), np.float32), truth, get_protocol("none")).mae_m == pytest.approx(7.999)


def test_a_prediction_of_another_size_is_resized_to_the_truth():
    columns = np.linspace(1, 5, 160, dtype=np.float32)
    truth = np.tile(columns, (120, 1))
    small = np.tile(columns.reshape(40, 4).mean(axis=1), (30, 1)).astype(np.float32)
    assert image_metrics(small, truth, get_protocol("none")).mae_m < 0.01


def test_a_truth_without_valid_pixels_is_refused_by_name():
    with pytest.raises(LightDepthError, match="kitchen/7 has no valid depth under protocol"):
        image_metrics(np.ones((4, 4), np.float32), np.zeros((4, 4), np.float32), get_protocol("none"), "kitchen/7")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_prediction_that_is_not_finite_is_refused_by_name(bad):
    truth = np.ones((4, 4), np.float32)
    with pytest.raises(LightDepthError, match="kitchen/7: the model's depth has NaN or infinite"):
        image_metrics(np.full((4, 4), bad, np.float32), truth, get_protocol("none"), "kitchen/7")


def test_the_mean_counts_each_image_the_same():
    one, two = DepthMetrics(*[1.0] * 9), DepthMetrics(*[2.0] * 9)
    assert mean_metrics([one, one, two]) == DepthMetrics(*[pytest.approx(4 / 3)] * 9)
    with pytest.raises(LightDepthError, match="No images were evaluated"):
        mean_metrics([])
