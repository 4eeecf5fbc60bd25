"""A set that reaches 80 m is learned from the shipped model of rooms, exported and scored over its whole range."""

import json

import cv2
import numpy as np
import pytest

from lightdepth.config import load_config
from lightdepth.export import export_checkpoint
from lightdepth.training.train import train
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.evaluation.evaluate import evaluate
from lightdepth_runtime.evaluation.protocol import ProtocolParts, choose_protocol
from lightdepth_runtime.pairs import load_pairs, parse_depth_unit

TIMES = 8  # a scene so much larger, seen by the same camera, gives the same picture


@pytest.fixture
def street(tum, tmp_path):
    """The TUM pairs as scenes eight times as large, sparse as a laser sees them, in KITTI's unit."""
    for split in ("train", "test"):
        for name in ("color", "depth"):
            (tmp_path / "street" / split / name).mkdir(parents=True)
        for number, pair in enumerate(load_pairs(tum, split).pairs):
            frame = pair.read()
            stored = np.rint(frame.depth_m * TIMES * 256).astype(np.uint16)
            stored[np.random.default_rng(number).random(stored.shape) < 0.5] = 0
            for name, values in (("color", frame.image[:, :, ::-1]), ("depth", stored)):
                assert cv2.imwrite(str(tmp_path / "street" / split / name / f"{number}.png"), values)
    return tmp_path / "street"


@pytest.mark.slow
def test_a_set_of_80_m_is_learned_exported_and_scored_to_its_end(street, tmp_path):
    settings = ["max_depth_m=80", "image_height=64", "image_width=96", "epochs=6", "passes_per_epoch=6", "batch_size=4"]
    settings += ["learning_rate=3e-4", "zoom_max=1", "num_workers=0", "precision=fp32"]
    places = {"data_root": str(street), "val_data": str(street), "depth_scale": "kitti", "start_from": "lite0"}
    said = []
    run = train(load_config(None, settings, places), tmp_path / "run", say=said.append)
    assert any("times what lite0 sees" in line for line in said)
    epochs = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    unit = parse_depth_unit("kitti")
    pairs = load_pairs(street, "test", unit=unit)
    with DepthEstimator.load("lite0") as estimator:
        before = evaluate(estimator, pairs, choose_protocol("none", ProtocolParts(max_depth_m=80)), model="lite0")
    assert min(epoch["rmse_m"] for epoch in epochs) < 0.4 * before.metrics.rmse_m
    assert epochs[-1]["loss"] < 0.8 * epochs[0]["loss"]

    export_checkpoint(run.best, tmp_path / "street.onnx", data=street, unit=unit)
    with DepthEstimator.load(tmp_path / "street.onnx") as estimator:
        protocol = choose_protocol(None, packaging=pairs.packaging, range_m=estimator.spec.max_depth_m)
        assert (protocol.max_depth_m, protocol.crop) == (80, "none")
        result = evaluate(estimator, pairs, protocol, model="street")
        assert float(np.median(estimator(pairs.pairs[0].read().image))) > 5
    best = min(epochs, key=lambda epoch: epoch["rmse_m"])
    assert result.metrics.rmse_m == pytest.approx(best["rmse_m"], rel=1e-3)
    assert estimator.spec.scores["protocol"] == protocol.id
