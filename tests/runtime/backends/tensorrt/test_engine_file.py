import json

import pytest

from lightdepth_runtime.backends.device_buffers import GpuInfo
from lightdepth_runtime.backends.tensorrt.engine_file import (
    EngineMisfitError,
    EngineSidecar,
    check_engine_fits,
    platform_name,
    read_engine_sidecar,
    read_plan,
    sha256_of,
    sidecar_path,
    write_engine,
)
from lightdepth_runtime.spec import ModelSpec

PLAN = b"ftrt" + bytes(range(256))
ORIN = GpuInfo("Orin", "sm87")


def sidecar(**changes):
    values = {
        "spec": ModelSpec(name="m", input_height=64, input_width=96, parameters=1, precision="fp16"),
        "flavour": "tensorrt",
        "tensorrt_version": "10.3.0",
        "gpu_name": "Orin",
        "compute_capabilities": ("sm87",),
        "platform": platform_name(),
        "onnx_file": "m.fp16.onnx",
        "onnx_sha256": "0" * 64,
        "plan_sha256": sha256_of(PLAN),
        "plan_size_bytes": len(PLAN),
        "precision": "fp16",
        "min_shape": (1, 3, 64, 96),
        "opt_shape": (1, 3, 64, 96),
        "max_shape": (4, 3, 64, 96),
        "convolutions": {"Half": 29, "Float": 1},
    }
    return EngineSidecar(**(values | changes))


@pytest.fixture
def engine(tmp_path):
    path = tmp_path / "m.fp16.engine"
    write_engine(path, PLAN, sidecar())
    return path


def test_the_json_is_read_as_it_was_written(engine):
    assert read_engine_sidecar(engine) == sidecar()
    assert read_plan(engine, sidecar()) == PLAN
    assert sidecar_path(engine).name == "m.fp16.engine.json"
    assert json.loads(sidecar_path(engine).read_text())["schema"] == "lightdepth.engine/1"


def test_keys_of_later_versions_are_passed_over(engine):
    values = sidecar().to_dict() | {"colour": "blue"}
    assert EngineSidecar.from_dict(values) == sidecar()


def test_an_engine_without_its_json_is_refused_with_the_command_that_makes_both(engine):
    sidecar_path(engine).unlink()
    with pytest.raises(EngineMisfitError, match=r"json is missing .* -m lightdepth_export.engine \S+m\.fp16\.onnx$"):
        read_engine_sidecar(engine)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "can't be read"),
        ("[]", "its schema is None"),
        ('{"schema": "lightdepth.engine/9"}', "lightdepth.engine/9"),
        ('{"schema": "lightdepth.engine/1"}', "a field is missing or wrong"),
        ('{"schema": "lightdepth.engine/1", "spec": {}}', "spec can't be read"),
        (b"\xff\xfe", "can't be read"),
    ],
)
def test_a_damaged_json_is_refused_with_the_reason(engine, text, reason):
    sidecar_path(engine).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(EngineMisfitError, match=reason):
        read_engine_sidecar(engine)


@pytest.mark.parametrize("changes", [{"flavour": "openvino"}, {"max_shape": 4}])
def test_a_field_of_the_wrong_kind_is_refused(changes):
    values = sidecar().to_dict() | changes
    with pytest.raises(EngineMisfitError, match=r"flavour|wrong"):
        EngineSidecar.from_dict(values)


def test_a_truncated_plan_is_refused(engine):
    engine.write_bytes(PLAN[:100])
    with pytest.raises(EngineMisfitError, match="100 bytes of 260: the file is incomplete"):
        read_plan(engine, sidecar())


def test_a_plan_with_one_changed_bit_is_refused(engine):
    engine.write_bytes(PLAN[:-1] + bytes([PLAN[-1] ^ 1]))
    with pytest.raises(EngineMisfitError, match="was changed after it was built"):
        read_plan(engine, sidecar())


def test_a_plan_of_the_other_flavour_is_refused(engine):
    engine.write_bytes(b"vtrt" + PLAN[4:])
    with pytest.raises(EngineMisfitError, match="holds a TensorRT-RTX plan, and its JSON says TensorRT"):
        read_plan(engine, sidecar())


def test_a_file_that_is_no_rtx_plan_is_refused_though_its_json_says_so(engine):
    plan = b"\x08\x0a onnx"
    engine.write_bytes(plan)
    claimed = sidecar(flavour="tensorrt_rtx", plan_sha256=sha256_of(plan), plan_size_bytes=len(plan))
    with pytest.raises(EngineMisfitError, match="which no TensorRT-RTX plan does"):
        read_plan(engine, claimed)


def fits(changes=None, *, flavour="tensorrt", version="10.3.0", gpu=ORIN, engine="m.fp16.engine"):
    from pathlib import Path

    check_engine_fits(Path(engine), sidecar(**(changes or {})), flavour=flavour, version=version, gpu=gpu)


def test_the_machine_that_built_an_engine_may_use_it():
    fits()


RTX = {"flavour": "tensorrt_rtx", "gpu_name": None}


def test_an_rtx_engine_fits_every_gpu_on_its_list():
    for gpu in (GpuInfo("RTX 3060", "sm86"), GpuInfo("RTX 4090", "sm89")):
        fits(RTX | {"compute_capabilities": ("sm86", "sm89")}, flavour="tensorrt_rtx", gpu=gpu)


def test_a_portable_rtx_engine_fits_ampere_and_later():
    portable = RTX | {"compute_capabilities": ()}
    fits(portable, flavour="tensorrt_rtx", gpu=GpuInfo("RTX 5090", "sm120"))
    with pytest.raises(EngineMisfitError, match="built for sm80 and later, and RTX 2080 is sm75"):
        fits(portable, flavour="tensorrt_rtx", gpu=GpuInfo("RTX 2080", "sm75"))


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ({"version": "11.4.0.106"}, r"built by TensorRT 10\.3\.0, and 11\.4\.0\.106 is installed here"),
        ({"flavour": "tensorrt_rtx"}, "built by TensorRT, and this is TensorRT-RTX"),
        ({"gpu": GpuInfo("Thor", "sm110")}, "built for sm87, and Thor is sm110"),
        ({"gpu": GpuInfo("Orin Nano", "sm87")}, "tuned on Orin, and this is Orin Nano"),
        ({"changes": {"platform": "qnx-aarch64"}}, "built on qnx-aarch64, and this is "),
    ],
)
def test_a_foreign_engine_is_refused_with_the_reason(case, reason):
    with pytest.raises(EngineMisfitError, match=rf"{reason}.*Build it here with: python -m"):
        fits(**case)
