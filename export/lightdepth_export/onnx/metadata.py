"""The ModelSpec inside an ONNX file's `metadata_props`."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from lightdepth_runtime.backends.backend import spec_of_metadata
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.spec import SPEC_KEY, ModelSpec

__all__ = ["embed_spec", "load_onnx", "spec_of"]


def embed_spec(model: onnx.ModelProto, spec: ModelSpec) -> None:
    """Write the spec into the model's metadata in place, over any that was there."""
    for entry in model.metadata_props:
        if entry.key == SPEC_KEY:
            entry.value = spec.to_json()
            return
    model.metadata_props.add(key=SPEC_KEY, value=spec.to_json())


def spec_of(model: onnx.ModelProto, name: str = "This ONNX model") -> ModelSpec:
    """Return the spec in a model's metadata; `name` is what an error calls the model.

    Raises:
        LightDepthError: no spec there, or one that this version can't read.
    """
    return spec_of_metadata({entry.key: entry.value for entry in model.metadata_props}.get(SPEC_KEY), name)


def load_onnx(path: Path | str) -> onnx.ModelProto:
    """Read an ONNX file of one piece.

    Raises:
        LightDepthError: missing, damaged or not an ONNX file.
    """
    try:
        model = onnx.load_model(str(path), load_external_data=False)
    except OSError as error:
        raise LightDepthError(f"Can't read {path}: {error.strerror or error}.") from error
    except DecodeError as error:
        raise LightDepthError(f"{path} is damaged or not an ONNX file; export it again.") from error
    if not model.graph.node:
        raise LightDepthError(f"{path} holds no ONNX graph; export it again.")
    return model
