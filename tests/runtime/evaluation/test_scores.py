import json
import time

import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.metrics import DepthMetrics, image_metrics, join_sums, mean_metrics, range_sums
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.evaluation.scores import Scorer


def pixel_sums(predicted, truth):
    return range_sums(predicted, truth, ())[0]


def pictures(count, seed=0, height=24, width=32):
    """Pairs of truth and a prediction with a different error for each picture, with holes in the truth."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        truth = rng.uniform(0.5, 9.5, (height, width)).astype(np.float32)
        prediction = truth * rng.uniform(0.7, 1.4) * rng.uniform(0.9, 1.1, truth.shape).astype(np.float32)
        truth[rng.random(truth.shape) < rng.uniform(0, 0.6)] = 0  # so that images differ in valid pixels
        yield prediction.astype(np.float32), truth


def scorer(count=12, protocol="none", scenes=3, **options):
    chosen = Scorer(get_protocol(protocol), **options)
    for number, (prediction, truth) in enumerate(pictures(count)):
        chosen.add([(prediction, truth)], f"image {number}", f"scene {number % scenes}")
    return chosen


def test_both_averages_come_from_one_pass():
    scores = scorer().scores()
    per_image = [image_metrics(p, t, get_protocol("none")) for p, t in pictures(12)]
    assert scores.per_image.to_dict() == pytest.approx(mean_metrics(per_image).to_dict(), rel=1e-12)
    masks = [(p[t > 0].astype(np.float64), t[t > 0].astype(np.float64)) for p, t in pictures(12)]
    predicted = np.concatenate([p for p, _ in masks]).clip(1e-3, 10)
    truth = np.concatenate([t for _, t in masks])
    log_difference = np.log(predicted) - np.log(truth)
    expected = {
        "rmse_m": np.sqrt(np.mean((predicted - truth) ** 2)),
        "mae_m": np.mean(np.abs(predicted - truth)),
        "abs_rel": np.mean(np.abs(predicted - truth) / truth),
        "silog": 100 * np.std(log_difference),
        "delta1": np.mean(np.maximum(predicted / truth, truth / predicted) < 1.25),
    }
    got = scores.pooled.to_dict()
    assert {name: got[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    assert scores.pooled.rmse_m > scores.per_image.rmse_m, "by Jensen, as images differ"


def test_the_headline_is_what_the_protocol_averages():
    scores = scorer().scores()
    assert scores.headline("per-image") is scores.per_image
    assert scores.headline("pooled") is scores.pooled


def test_sums_of_two_parts_are_the_sums_of_the_whole():
    rng = np.random.default_rng(3)
    truth = rng.uniform(0.5, 9, 1000)
    predicted = truth * rng.uniform(0.5, 2, 1000)
    whole = DepthMetrics.from_sums(pixel_sums(predicted, truth)).to_dict()
    parts = join_sums(np.stack([pixel_sums(predicted[i::3], truth[i::3]) for i in range(3)]))
    assert DepthMetrics.from_sums(parts).to_dict() == pytest.approx(whole, rel=1e-12)


def test_silog_keeps_its_digits_however_far_the_scale_is_off():
    truth = np.random.default_rng(0).uniform(1, 2, 10_000)
    noisy = truth * np.exp(np.random.default_rng(1).normal(0, 1e-6, truth.shape))
    halves = [pixel_sums(noisy[half] * 1e9, truth[half]) for half in (slice(5000), slice(5000, None))]
    assert DepthMetrics.from_sums(join_sums(np.stack(halves))).silog == pytest.approx(
        100 * np.std(np.log(noisy / truth)), rel=1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize("averaging", ["per-image", "pooled"])
def test_the_interval_is_that_of_an_explicit_bootstrap(averaging):
    protocol = get_protocol("none" if averaging == "per-image" else "densedepth")
    chosen = Scorer(protocol)
    images = list(pictures(40))
    for number, (prediction, truth) in enumerate(images):
        chosen.add([(prediction, truth)], str(number), f"scene {number // 2}")
    scores = chosen.scores()
    rng = np.random.default_rng(7)
    draws = []
    for _ in range(400):
        again = Scorer(protocol)
        for scene in rng.integers(0, 20, 20):
            for number in (2 * scene, 2 * scene + 1):
                again.add([images[number]])
        draws.append(again._images)
    if averaging == "per-image":
        values = [np.mean([image.metrics.abs_rel for image in drawn]) for drawn in draws]
    else:
        pooled = [join_sums(np.stack([image.sums for image in drawn])) for drawn in draws]
        values = [DepthMetrics.from_sums(sums).abs_rel for sums in pooled]
    low, high = np.percentile(values, [2.5, 97.5])
    width = high - low
    assert scores.resampled == "scenes"
    assert scores.interval["abs_rel"] == pytest.approx((low, high), abs=0.2 * width)


def test_the_interval_holds_the_average_and_never_changes():
    first, second = scorer(30).scores(), scorer(30).scores()
    assert first.interval == second.interval
    for name, (low, high) in first.interval.items():
        assert low <= getattr(first.per_image, name) <= high


def test_few_scenes_are_resampled_by_image():
    assert scorer(12, scenes=3).scores().resampled == "images"


def test_one_image_has_an_interval_of_no_width():
    scores = scorer(1).scores()
    assert all(low == pytest.approx(high) for low, high in scores.interval.values())


def test_scenes_stand_from_the_worst_to_the_best_with_their_own_means():
    scores = scorer(12, scenes=3).scores()
    assert [scene.samples for scene in scores.scenes] == [4, 4, 4]
    errors = [scene.metrics.abs_rel for scene in scores.scenes]
    assert errors == sorted(errors, reverse=True)
    assert np.mean(errors) == pytest.approx(scores.per_image.abs_rel)


def test_depth_ranges_split_the_pixels_and_add_up_to_the_pool():
    scores = scorer().scores()
    total = sum(part.pixels for part in scores.ranges)
    assert total == sum((t > 0).sum() for _, t in pictures(12))
    mean = sum(part.pixels * part.metrics.mae_m for part in scores.ranges) / total
    assert mean == pytest.approx(scores.pooled.mae_m)
    assert [part.low_m for part in scores.ranges] == [0, 1, 2, 3, 4, 6, 8]


def test_a_range_begins_with_its_lower_limit():
    chosen = Scorer(get_protocol("none"))
    chosen.add([(np.full((1, 2), 2.0, np.float32), np.float32([[2.0, 1.9999]]))])
    assert [(part.low_m, part.pixels) for part in chosen.scores().ranges] == [(1.0, 1), (2.0, 1)]


def test_the_worst_images_are_named():
    scores = scorer(25, scenes=5).scores()
    errors = [image.metrics.abs_rel for image in scores.worst]
    assert len(errors) == 10
    assert errors == sorted(errors, reverse=True)
    worst = max(enumerate(pictures(25)), key=lambda item: image_metrics(*item[1], get_protocol("none")).abs_rel)[0]
    assert scores.worst[0].name == f"image {worst}"


def test_the_tables_are_valid_json():
    values = json.loads(json.dumps(scorer().scores().to_dict(), allow_nan=False))
    assert set(values["averages"]) == {"per-image", "pooled"}
    assert len(values["interval_95"]["rmse_m"]) == 2


def test_relative_depth_is_scored_after_its_alignment():
    chosen = Scorer(get_protocol("none", "scale-shift"), "relative-inverse")
    for _, truth in pictures(3):
        chosen.add([(np.where(truth > 0, 3 / np.maximum(truth, 0.1) + 1, 0).astype(np.float32), truth)])
    assert chosen.scores().per_image.rmse_m == pytest.approx(0, abs=1e-4)


def test_no_images_are_refused():
    with pytest.raises(LightDepthError, match="No images were evaluated"):
        Scorer(get_protocol("none")).scores()


def test_scorers_of_two_parts_are_one_of_the_whole():
    parts = [Scorer(get_protocol("none")), Scorer(get_protocol("none"))]
    for number, (prediction, truth) in enumerate(pictures(12)):
        parts[number // 7].add([(prediction, truth)], f"image {number}", f"scene {number % 3}")
    parts[0].add([(prediction, np.zeros_like(truth))], "empty")
    parts[0].merge(parts[1])
    got, expected = parts[0].scores(), scorer(12).scores()
    assert parts[0].left_out == ["empty"]
    assert got.per_image == expected.per_image
    assert got.interval == expected.interval
    assert got.pooled.to_dict() == pytest.approx(expected.pooled.to_dict(), rel=1e-12)


def test_sums_of_many_pixels_are_those_of_plain_formulas():
    """Over the chunks that are summed at a time, in ranges with and without pixels."""
    rng = np.random.default_rng(5)
    truth = rng.gamma(4, 0.7, 100_000).clip(0.01, 9.9)
    predicted = truth * rng.lognormal(0.1, 0.3, truth.shape)
    edges = (1.0, 2.0, 4.0, 50.0)
    for sums, low, high in zip(range_sums(predicted, truth, edges), (0, *edges), (*edges, 99), strict=True):
        inside = (low <= truth) & (truth < high)
        p, g = predicted[inside], truth[inside]
        assert sums[0] == len(g)
        if not len(g):
            continue
        d = np.log(p) - np.log(g)
        expected = {
            "rmse_m": np.sqrt(np.mean((p - g) ** 2)),
            "mae_m": np.mean(np.abs(p - g)),
            "abs_rel": np.mean(np.abs(p - g) / g),
            "sq_rel": np.mean((p - g) ** 2 / g),
            "log10": np.mean(np.abs(np.log10(p) - np.log10(g))),
            "silog": 100 * np.std(d),
            **{f"delta{k}": np.mean(np.maximum(p / g, g / p) < 1.25**k) for k in (1, 2, 3)},
        }
        assert DepthMetrics.from_sums(sums).to_dict() == pytest.approx(expected, rel=1e-11)


def test_a_whole_picture_costs_at_most_fifteen_milliseconds():
    """Measured in one core's time; the best of ten, since the machine has other work."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.5, 9.5, (480, 640)).astype(np.float32)
    chosen, spent_s = Scorer(get_protocol("eigen")), []
    for _ in range(10):
        start = time.thread_time()
        chosen.add([(truth * np.float32(1.1), truth)])
        spent_s.append(time.thread_time() - start)
    assert min(spent_s) < 0.015
