import copy
import json
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch

from lightdepth.checkpoints.backend import TorchBackend
from lightdepth_export import artifacts
from lightdepth_export.artifacts import ExportOptions, export_model
from lightdepth_export.onnx.metadata import load_onnx, spec_of
from lightdepth_export.parity.gate import ParityThresholds
from lightdepth_runtime.backends.tensorrt.engine_file import EngineSidecar, sha256_of, write_engine
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.images.decode import read_image
from lightdepth_runtime.images.opencv import import_cv2
from lightdepth_runtime.pairs import load_pairs

FP16 = ExportOptions(fp16=True, threads=1)
IMPOSSIBLE = ExportOptions(fp16=True, threads=1, thresholds=ParityThresholds(fp16_rmse_change=0.0))


@pytest.fixture
def images(frames, tmp_path_factory):
    """Write the frames as image files without ground truth."""
    folder = tmp_path_factory.mktemp("images")
    for i, frame in enumerate(frames):
        import_cv2().imwrite(str(folder / f"{i}.png"), frame.image[:, :, ::-1])
    return sorted(folder.iterdir())


@pytest.fixture
def reference(tiny, spec):
    return TorchBackend(tiny, spec, "cpu")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_success_replaces_an_earlier_export_and_writes_nothing_else(tiny, reference, images, tmp_path):
    (tmp_path / "m.onnx").write_text("earlier")
    lines = []
    result = export_model(tiny, reference, tmp_path / "m.onnx", images, options=FP16, say=lines.append)
    assert names_in(tmp_path) == ["m.fp16.onnx", "m.onnx", "m.parity.json"]
    assert sorted(path.name for path in result.paths()) == names_in(tmp_path)
    assert (spec_of(load_onnx(result.fp32)).precision, spec_of(load_onnx(result.fp16)).precision) == ("fp32", "fp16")
    assert any("fp16-simulated" in line for line in lines)
    assert "python -m lightdepth_export.engine m.fp16.onnx" in result.engine_note
    report = json.loads(result.parity.read_text())
    assert list(report["steps"]) == ["onnx-fp32", "fp16-simulated"]
    assert report["steps"]["onnx-fp32"]["max_abs_diff_m"] < 1e-4
    assert 0 < report["steps"]["fp16-simulated"]["abs_rel"] < 0.005
    assert report["steps"]["fp16-simulated"]["overflow"]["margin"] > 10
    image = read_image(images[0])
    with DepthEstimator.load(result.fp32, device="cpu") as exported:
        assert exported(image) == pytest.approx(DepthEstimator(reference)(image), abs=1e-4)


def test_forms_of_an_earlier_export_do_not_stay_beside_a_new_one(tiny, reference, images, tmp_path):
    export_model(tiny, reference, tmp_path / "m.onnx", images, options=FP16)
    (tmp_path / "m.int8.cpu.frame.onnx").write_text("earlier")
    (tmp_path / "m.other.onnx").write_text("not an export's")
    lines = []
    export_model(tiny, reference, tmp_path / "m.onnx", images, say=lines.append)
    assert names_in(tmp_path) == ["m.onnx", "m.other.onnx", "m.parity.json"]
    assert sum("Removed" in line for line in lines) == 2


@pytest.mark.slow
def test_engines_of_an_earlier_export_go_and_those_of_the_same_network_stay(tiny, reference, images, tmp_path):
    written = export_model(tiny, reference, tmp_path / "m.onnx", images, options=FP16)
    for path in (written.fp32, written.fp16):
        values = dict.fromkeys(("min_shape", "opt_shape", "max_shape"), (1, 3, 64, 96))
        sidecar = EngineSidecar(
            spec=spec_of(load_onnx(path)), flavour="tensorrt", tensorrt_version="10", gpu_name="g", platform="p",
            compute_capabilities=(), onnx_file=path.name, onnx_sha256=sha256_of(path.read_bytes()), plan_size_bytes=4,
            plan_sha256=sha256_of(b"ftrt"), precision="fp32", **values,
        )  # fmt: skip
        write_engine(path.with_suffix(".engine"), b"ftrt", sidecar)
    (tmp_path / "m.int8.engine").write_bytes(b"ftrt without its JSON")
    export_model(tiny, reference, tmp_path / "m.onnx", images)  # the same network, and no FP16 form
    assert names_in(tmp_path) == ["m.engine", "m.engine.json", "m.onnx", "m.parity.json"]
    other = copy.deepcopy(tiny)
    with torch.no_grad():
        next(other.parameters()).mul_(1.01)
    export_model(other, TorchBackend(other, reference.spec, "cpu"), tmp_path / "m.onnx", images)
    assert names_in(tmp_path) == ["m.onnx", "m.parity.json"]


def test_a_range_beyond_ten_metres_is_judged_by_its_own_protocol(tiny, spec, tmp_path, tum_copy):
    for path in tum_copy.rglob("*_depth.png"):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED) * 10)
    far = TorchBackend(tiny, spec.with_changes(max_depth_m=60.0), "cpu")
    result = export_model(tiny, far, tmp_path / "m.onnx", load_pairs(tum_copy, "test"))
    assert result.report.protocol.id.startswith("crop-none_0.001-60m")
    assert result.report.steps[0].left_out == 0
    assert json.loads(result.parity.read_text())["protocol"]["max_depth_m"] == 60


def test_every_form_is_written_and_judged(tiny, reference, images, tmp_path):
    options = ExportOptions(fp16=True, int8=True, frame_size=(120, 160), golden=tmp_path / "golden", threads=1)
    result = export_model(tiny, reference, tmp_path / "m.onnx", images, options=options)
    forms = ["m", "m.fp16", "m.int8", "m.int8.cpu"]
    models = {f"{form}{frame}.onnx" for form in forms for frame in ("", ".frame")}
    assert set(names_in(tmp_path)) == {*models, "m.parity.json", "golden"}
    assert {path.name for path in result.paths()} == {*models, "m.parity.json"}
    steps = {step.step: step for step in result.report.steps}
    assert len(steps) == len(models)
    assert steps["int8-cpu"].precision == "int8"
    assert 0 < steps["int8-cpu"].abs_rel < 0.02
    assert steps["fp16-simulated-frame"].embedded
    assert (spec_of(load_onnx(tmp_path / "m.int8.frame.onnx")).frame_height) == 120
    assert "fp16-simulated" in (tmp_path / "golden" / "README.md").read_text()


def test_int8_keeps_more_in_fp32_where_only_the_form_that_takes_frames_loses_too_much(
    tiny, reference, images, tmp_path, monkeypatch
):
    seen = []

    def refuse_the_first(step, thresholds):
        seen.append(step.step)
        if seen == ["int8-tensorrt", "int8-tensorrt-frame"]:
            raise LightDepthError("a resize rounds otherwise")

    monkeypatch.setattr(artifacts, "gate", refuse_the_first)
    lines = []
    options = ExportOptions(int8=True, frame_size=(120, 160), threads=1)
    export_model(tiny, reference, tmp_path / "m.onnx", images, options=options, say=lines.append)
    assert sum("kept in FP32" in line for line in lines) == 1
    assert seen[2:6] == ["int8-tensorrt", "int8-tensorrt-frame", "int8-cpu", "int8-cpu-frame"]


@pytest.mark.parametrize("options", [ExportOptions(int8=True), ExportOptions(frame_size=(120, 160))])
def test_an_open_batch_goes_neither_with_int8_nor_with_frames(tiny, reference, images, options, tmp_path):
    with pytest.raises(LightDepthError, match="leave out the dynamic batch"):
        export_model(tiny, reference, tmp_path / "m.onnx", images, options=replace(options, dynamic_batch=True))


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine may build an engine")
def test_an_engine_that_cannot_be_built_fails_before_any_work(tiny, reference, images, tmp_path):
    with pytest.raises(LightDepthError, match=r"python -m lightdepth_export\.engine m\.fp16\.onnx"):
        export_model(tiny, reference, tmp_path / "m.onnx", images, options=replace(FP16, engine=True))
    assert names_in(tmp_path) == []


def test_an_engine_that_fails_costs_the_models_only_where_it_was_asked_for(
    tiny, reference, images, tmp_path, monkeypatch
):
    def refuse(path, options):
        raise LightDepthError("TensorRT-RTX doesn't know this GPU.")

    monkeypatch.setattr(artifacts, "can_build_here", lambda *_: None)
    monkeypatch.setattr(artifacts, "engine_here", refuse)
    result = export_model(tiny, reference, tmp_path / "m.onnx", images, options=FP16)
    assert result.engine_note.endswith("none was asked for: TensorRT-RTX doesn't know this GPU.")
    assert names_in(tmp_path) == ["m.fp16.onnx", "m.onnx", "m.parity.json"]
    with pytest.raises(LightDepthError, match="doesn't know this GPU"):
        export_model(tiny, reference, tmp_path / "n.onnx", images, options=replace(FP16, engine=True))


def test_an_engine_for_named_gpus_stands_beside_the_models(tiny, reference, images, tmp_path):
    pytest.importorskip("tensorrt_rtx")
    options = replace(FP16, engine_for=("sm86",))
    result = export_model(tiny, reference, tmp_path / "m.onnx", images, options=options)
    assert names_in(tmp_path) == ["m.fp16.engine", "m.fp16.engine.json", "m.fp16.onnx", "m.onnx", "m.parity.json"]
    assert str(tmp_path / "m.fp16.engine") in result.engine_note


def test_a_failed_gate_leaves_an_earlier_export_as_it_was_and_nothing_new(tiny, reference, images, tmp_path):
    (tmp_path / "m.onnx").write_text("earlier")
    with pytest.raises(LightDepthError, match="fp16-simulated: abs_rel"):
        export_model(tiny, reference, tmp_path / "m.onnx", images, options=IMPOSSIBLE)
    assert names_in(tmp_path) == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_text() == "earlier"


def test_a_network_that_is_not_the_reference_fails_the_fp32_gate(make_tiny, reference, images, tmp_path):
    with pytest.raises(LightDepthError, match="onnx-fp32: max_abs_diff_m"):
        export_model(make_tiny("softplus"), reference, tmp_path / "m.onnx", images)
    assert names_in(tmp_path) == []


def test_no_images_are_refused_before_any_work(tiny, reference, tmp_path):
    with pytest.raises(LightDepthError, match="got none"):
        export_model(tiny, reference, tmp_path / "m.onnx", [])


def test_another_suffix_is_refused(tiny, reference, images, tmp_path):
    with pytest.raises(LightDepthError, match=r"\.onnx file"):
        export_model(tiny, reference, tmp_path / "m.engine", images)


def test_an_output_folder_that_is_a_file_is_one_clear_error(tiny, reference, images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LightDepthError, match="Can't write"):
        export_model(tiny, reference, tmp_path / "file" / "m.onnx", images)
