"""The demo's report says what its models have seen."""

from pathlib import Path

import numpy as np

from lightdepth.export import DEMO_DATA
from lightdepth.report.demo import DemoResult, demo_scores, write_report
from lightdepth.runs.folder import RunFolder
from lightdepth_export.artifacts import ExportResult
from lightdepth_export.parity.gate import ParityReport, ParityThresholds
from lightdepth_runtime import DepthEstimator, evaluate, get_protocol, load_pairs
from lightdepth_runtime.bench.result import BenchResult


def test_the_report_says_on_what_the_shipped_model_was_trained(tmp_path):
    trained_on = DepthEstimator.load(device="cpu").spec.training_data
    pairs = load_pairs(DEMO_DATA, "test").spread(1)
    score = evaluate(lambda image: np.full((1, 1), 2, np.float32), pairs, get_protocol("eigen"), model="constant")
    parity = ParityReport("demo", "pairs", ParityThresholds(), ())
    export = ExportResult(Path("demo.onnx"), None, Path("demo.parity.json"), parity, "no engine")
    bench = BenchResult({}, {}, (), {}, ())
    result = DemoResult(RunFolder(tmp_path), (score,), export, bench, trained_on)
    text = write_report(result, tmp_path / "report.md").read_text()
    assert "freiburg1_rpy" in trained_on, "then the demo's frames are of recordings that it knows"
    assert trained_on in text
    assert "never trained" not in text
    assert demo_scores(result).rows[0][0] == "constant"
