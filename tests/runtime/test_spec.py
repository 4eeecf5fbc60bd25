import json
from dataclasses import fields
from pathlib import Path

import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.spec import DepthCalibration, Intrinsics, ModelSpec, check_input_size


def spec(**changes):
    values = {"name": "net", "input_height": 96, "input_width": 128, "parameters": 7}
    return ModelSpec(**(values | changes))


def test_a_spec_survives_json_with_every_field():
    full = spec(
        gmacs=1.5,
        min_depth_m=0.01,
        max_depth_m=80.0,
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
        precision="fp16",
        training_data="tum (pair list, 4 pairs)",
        intrinsics=Intrinsics(518.858, 519.47, 325.582, 253.736, 640, 480),
        source_commit="abc",
        checkpoint_sha256="def",
        scores={"rmse_m": 0.5, "protocol": "p"},
    )
    assert ModelSpec.from_json(full.to_json()) == full


def test_the_json_names_its_schema_and_a_file_without_one_is_read():
    values = json.loads(spec().to_json())
    assert values.pop("schema") == "lightdepth.spec/1"
    assert ModelSpec.from_json(json.dumps(values)) == spec()


@pytest.mark.parametrize("schema", ["lightdepth.spec/2", "lightdepth.engine/1", 1, None])
def test_another_schema_is_refused_with_the_reason(schema):
    text = json.dumps(json.loads(spec().to_json()) | {"schema": schema})
    with pytest.raises(LightDepthError, match=r"schema .* reads lightdepth.spec/1.*Update") as caught:
        ModelSpec.from_json(text)
    assert repr(schema) in str(caught.value)


def test_every_field_is_written_down():
    page = (Path(__file__).parents[2] / "docs" / "modelspec.md").read_text(encoding="utf-8")
    nested = [field.name for part in (Intrinsics, DepthCalibration) for field in fields(part)]
    missing = {name for name in [*json.loads(spec().to_json()), *nested] if f"`{name}`" not in page}
    assert not missing


def test_fields_of_a_later_version_are_ignored():
    values = json.loads(spec().to_json()) | {"new_in_2030": 1}
    assert ModelSpec.from_json(json.dumps(values)) == spec()


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", '{"name": "x"}', "null"])
def test_what_is_not_a_spec_is_refused_in_one_sentence(text):
    with pytest.raises(LightDepthError, match="spec can't be read") as caught:
        ModelSpec.from_json(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("unit", "mm"), ("kind", "relative"), ("channel_order", "bgr"), ("resize_mode", "crop"), ("precision", "fp8")],
)
def test_a_value_this_version_does_not_know_is_named(field, value):
    with pytest.raises(LightDepthError, match=f"{field} is '{value}'.*Update lightdepth-runtime"):
        spec(**{field: value})


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": (0.5, 0.5)},
        {"std": (1.0, 0.0, 1.0)},
        {"mean": (float("nan"), 0.0, 0.0)},
        {"min_depth_m": 2.0, "max_depth_m": 1.0},
        {"input_height": 96.0},
        {"input_width": "128"},
    ],
)
def test_a_spec_that_no_image_can_be_fed_by_is_refused(changes):
    with pytest.raises(LightDepthError):
        spec(**changes)


@pytest.mark.parametrize(
    ("size", "near"),
    [((100, 150), "96x160"), ((479, 640), "480x640"), ((1, 1), "32x32"), ((0, 64), "32x64"), ((-32, 64), "32x64")],
)
def test_an_input_size_that_32_does_not_divide_is_refused_with_the_nearest(size, near):
    with pytest.raises(LightDepthError, match=f"size {size[0]}x{size[1]} is not divisible by 32.*use {near}"):
        check_input_size(*size)
    with pytest.raises(LightDepthError, match=near):
        spec(input_height=size[0], input_width=size[1])


def test_multiples_of_32_are_taken():
    check_input_size(32, 64)
    check_input_size(480, 640)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_intrinsics_are_refused(bad):
    with pytest.raises(LightDepthError, match="positive focal lengths"):
        Intrinsics(bad, 500.0, 320.0, 240.0, 640, 480)
