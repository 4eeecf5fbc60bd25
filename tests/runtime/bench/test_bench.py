import json
from functools import partial

import numpy as np
import pytest
from fakes.gpu_probe import FakeProbe

from lightdepth_runtime.backends import FakeBackend
from lightdepth_runtime.backends.baseline import BaselineSpec
from lightdepth_runtime.bench import bench as bench_module
from lightdepth_runtime.bench import candidate as candidate_module
from lightdepth_runtime.bench.bench import bench
from lightdepth_runtime.bench.candidate import Candidate
from lightdepth_runtime.bench.gpu_readings import measure_gpu
from lightdepth_runtime.bench.matmul_peak import measure_matmul_gflops
from lightdepth_runtime.bench.table import bench_table, ratio_lines
from lightdepth_runtime.bench.timing import Schedule
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.spec import ModelSpec

FRAME = np.zeros((60, 80, 3), np.uint8)
QUICK = Schedule(rounds=2, warm_up_calls=1, turn_ms=0.01)
ROW_KEYS = {
    "model", "parameters", "gmacs", "size_bytes", "backend", "precision", "input_height", "input_width",
    "latency_ms_p50", "latency_ms_p90", "latency_ms_p99", "images_per_s", "peak_memory_bytes", "weights", "scores",
    "call_ms_p50", "cold_start_ms", "matmul_share", "gpu",
}  # fmt: skip


class RecordingBackend(FakeBackend):
    def __init__(self, spec):
        super().__init__(spec)
        self.shapes = set()

    def run(self, batch):
        self.shapes.add(batch.shape)
        return super().run(batch)


def candidate(spec, size_bytes=1000, memory=None):
    return Candidate(RecordingBackend(spec), size_bytes, memory)


@pytest.fixture
def ours():
    spec = ModelSpec("ours", 64, 96, parameters=100, gmacs=2.0, training_data="rooms (pair list, 9 pairs)")
    return candidate(spec, memory=4000)


@pytest.fixture
def baseline():
    spec = BaselineSpec("other", "relative-inverse", 70, 98, parameters=300, weights="random", gmacs=6.0)
    return candidate(spec, size_bytes=5000, memory=8000)


def test_the_json_has_the_promised_keys(ours, baseline):
    result = json.loads(json.dumps(bench([baseline, ours], FRAME, QUICK).to_dict(), allow_nan=False))
    assert result["schema"] == "lightdepth.bench/1"
    assert {"lightdepth_version", "machine", "rows", "ratios"} <= set(result)
    assert [set(row) for row in result["rows"]] == [ROW_KEYS, ROW_KEYS]
    assert result["machine"]["cpu"]


def test_each_model_runs_at_its_own_input_size(ours, baseline):
    bench([baseline, ours], FRAME, QUICK)
    assert ours.backend.shapes == {(1, 3, 64, 96)}
    assert baseline.backend.shapes == {(1, 3, 70, 98)}


def test_ratios_divide_the_first_row_by_the_others(ours, baseline):
    result = bench([baseline, ours], FRAME, QUICK)
    ratio = result.ratios["other / ours"]
    first, second = result.rows
    assert ratio.latency_p50 == pytest.approx(first.latency_ms_p50 / second.latency_ms_p50)
    assert (ratio.parameters, ratio.gmacs, ratio.size, ratio.peak_memory) == (3, 3, 5, 2)


def test_percentiles_and_throughput_agree(ours):
    row = bench([ours], FRAME, QUICK).rows[0]
    assert row.latency_ms_p50 <= row.latency_ms_p90 <= row.latency_ms_p99
    assert row.images_per_s == pytest.approx(1000 / row.latency_ms_p50)


def test_random_weights_are_called_random(ours, baseline):
    untrained = candidate(ModelSpec("fresh", 32, 32, parameters=1))
    rows = bench([ours, baseline, untrained], FRAME, QUICK).rows
    assert [row.weights for row in rows] == ["trained", "random", "random"]


def test_models_of_one_name_keep_a_ratio_each(ours):
    fp16 = candidate(ModelSpec("ours", 64, 96, parameters=100, precision="fp16"))
    result = bench([ours, fp16, fp16, fp16], FRAME, QUICK)
    assert list(result.ratios) == ["ours fp16 / ours #2 fp16", "ours fp16 / ours #3 fp16"]
    assert [row[0] for row in bench_table(result).rows] == ["ours", "ours", "ours #2", "ours #3"]


def test_ratios_compare_only_models_of_one_precision(ours, baseline):
    fp16 = candidate(ModelSpec("ours", 64, 96, parameters=100, precision="fp16"))
    assert list(bench([baseline, fp16, ours], FRAME, QUICK).ratios) == ["other / ours fp32"]


def test_what_was_not_counted_is_said_to_be_so():
    unknown = candidate(ModelSpec("unknown", 32, 32, parameters=1))
    result = bench([unknown, unknown], FRAME, QUICK)
    table = bench_table(result)
    shown = {column.name: cell.text for column, cell in zip(table.columns, table.cells()[0], strict=True)}
    assert (shown["GMAC"], shown["memory, MB"], shown["cold start, ms"]) == ("-", "-", "-")
    assert "GMAC" not in ratio_lines(result)[0]
    assert "precision" in [column.name for column in table.narrow().columns], "forms of one model are told apart"


def test_a_busy_machine_is_reported(monkeypatch, ours):
    monkeypatch.setattr(bench_module.CpuWatch, "others_share", lambda self: 0.5)
    result = bench([ours], FRAME, QUICK)
    assert any("Other processes took 50%" in warning for warning in result.warnings)
    assert result.settings["cpu_share_of_others"] == 0.5


def test_an_idle_machine_is_not_warned_about(monkeypatch, ours):
    monkeypatch.setattr(bench_module.CpuWatch, "others_share", lambda self: 0.01)
    assert not any("Other processes" in warning for warning in bench([ours], FRAME, QUICK).warnings)


def test_a_model_that_takes_frames_is_refused(tmp_path, monkeypatch):
    spec = ModelSpec("ours", 64, 96, parameters=100, frame_height=480, frame_width=640)
    monkeypatch.setattr(candidate_module, "open_backend", lambda *_: FakeBackend(spec))
    path = tmp_path / "m.frame.onnx"
    path.write_bytes(b"model")
    with pytest.raises(LightDepthError, match="camera's frame"):
        candidate_module.open_candidate(path, memory=False)


def test_the_share_of_the_matrix_product_counts_two_operations_a_mac(ours):
    row = bench([ours], FRAME, QUICK, matmul_gflops=50.0).rows[0]
    assert row.matmul_share == pytest.approx(2 * 2.0 / (row.latency_ms_p50 / 1e3) / 50.0)


def test_without_a_measured_product_or_counted_macs_there_is_no_share(ours):
    unknown = candidate(ModelSpec("unknown", 32, 32, parameters=1))
    assert bench([ours], FRAME, QUICK).rows[0].matmul_share is None
    assert bench([unknown], FRAME, QUICK, matmul_gflops=50.0).rows[0].matmul_share is None


def test_the_whole_call_gives_depth_of_the_frames_size(ours, baseline):
    assert ours.whole_call(FRAME)().shape == baseline.whole_call(FRAME)().shape == FRAME.shape[:2]


def test_the_matrix_product_is_measured_in_a_process_of_its_own():
    assert 0.1 < measure_matmul_gflops(1) < 10_000


def test_models_on_a_gpu_get_its_readings_and_those_on_the_cpu_none(ours, baseline, monkeypatch):
    monkeypatch.setattr(bench_module, "measure_gpu", partial(measure_gpu, seconds=0.2))
    baseline.backend.device = "cuda"
    probe = FakeProbe()
    result = bench([baseline, ours], FRAME, QUICK, open_probe=lambda _: probe)
    on_gpu, on_cpu = result.to_dict()["rows"]
    assert on_cpu["gpu"] is None
    assert (on_gpu["gpu"]["power_w"], on_gpu["gpu"]["throttled_by"]) == (5.0, ["SwPowerCap"])
    assert result.settings["gpu_readings"] == "fake"
    assert probe.closed
    table = bench_table(result)
    assert table.columns[-1].name == "clock limited by"
    assert [row[-1].text for row in table.cells()] == ["SwPowerCap", "-"]


def test_a_gpu_that_tells_nothing_leaves_the_reason(ours):
    def none(_):
        raise LightDepthError("NVML gives no GPU readings here (no driver).")

    ours.backend.device = "cuda"
    result = bench([ours], FRAME, QUICK, open_probe=none)
    assert result.rows[0].gpu is None
    assert result.settings["gpu_readings"] == "none: NVML gives no GPU readings here (no driver)."
    ours.backend.device = "cpu"
    assert bench([ours], FRAME, QUICK).settings["gpu_readings"] == "none: no model ran on a GPU"


def test_each_gpu_is_read_by_a_probe_of_its_own(ours, baseline, monkeypatch):
    monkeypatch.setattr(bench_module, "measure_gpu", lambda _, probe: probe.device)
    ours.backend.device, baseline.backend.device = "cuda:1", "cuda"
    probes = []

    def open_probe(device):
        probes.append(FakeProbe(device))
        return probes[-1]

    assert [row.gpu for row in bench([baseline, ours], FRAME, QUICK, open_probe=open_probe).rows] == ["cuda", "cuda:1"]
    assert all(probe.closed for probe in probes)
