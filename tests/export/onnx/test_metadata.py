import onnx
import pytest

from lightdepth_export.onnx.metadata import embed_spec, load_onnx, spec_of
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.spec import ModelSpec


def test_a_spec_survives_the_file(fp32, tmp_path):
    spec = ModelSpec(name="other", input_height=96, input_width=128, parameters=7, scores={"rmse_m": 0.5})
    model = onnx.ModelProto.FromString(fp32.SerializeToString())
    embed_spec(model, spec)
    onnx.save_model(model, str(tmp_path / "m.onnx"))
    assert spec_of(load_onnx(tmp_path / "m.onnx"), str(tmp_path / "m.onnx")) == spec
    assert len(model.metadata_props) == len(fp32.metadata_props)


@pytest.mark.parametrize("content", [b"", b"not an onnx file at all", b"\x08\x0a"])
def test_a_damaged_file_is_one_clear_error(content, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(LightDepthError, match=r"m\.onnx"):
        spec_of(load_onnx(path), str(path))


def test_a_truncated_file_is_one_clear_error(fp32, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(fp32.SerializeToString()[:5000])
    with pytest.raises(LightDepthError, match=r"m\.onnx"):
        spec_of(load_onnx(path), str(path))


def test_a_missing_file_is_one_clear_error(tmp_path):
    with pytest.raises(LightDepthError, match="No such file"):
        spec_of(load_onnx(tmp_path / "none.onnx"), str(tmp_path / "none.onnx"))


def test_foreign_onnx_is_refused_by_name(fp32, tmp_path):
    model = onnx.ModelProto.FromString(fp32.SerializeToString())
    del model.metadata_props[:]
    onnx.save_model(model, str(tmp_path / "foreign.onnx"))
    with pytest.raises(LightDepthError, match=r"foreign\.onnx has no LightDepth metadata"):
        spec_of(load_onnx(tmp_path / "foreign.onnx"), str(tmp_path / "foreign.onnx"))
