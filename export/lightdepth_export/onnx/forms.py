"""The forms of a network that an export writes: each a file, and the graph that is run to judge it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import onnx
from numpy.typing import NDArray

from lightdepth_runtime.backends import Backend

from .backend import open_graph
from .fp16 import to_fp16
from .fp16_simulation import simulate_fp16
from .int8 import Int8Target, quantize_int8
from .metadata import spec_of
from .preprocessing import embed_preprocessing

__all__ = ["FP16_STEP", "FP32_STEP", "Form", "fp16_form", "fp32_form", "int8_forms", "purpose"]

FP32_STEP, FP16_STEP = "onnx-fp32", "fp16-simulated"
# What a file is for, by the end of its name; the longest that fits.
_PURPOSES = {
    ".onnx": "FP32, for any device",
    ".fp16.onnx": "FP16, for TensorRT and GPUs",
    ".int8.onnx": "INT8, for TensorRT alone",
    ".int8.cpu.onnx": "INT8, for x86 CPUs: ONNX Runtime, or --device openvino",
    ".parity.json": "what was measured",
}


@dataclass(frozen=True)
class Form:
    """One file of an export, and the graph that is run to judge it.

    `step` names it in the parity report; `suffix` follows the stem of the output's name; `fuse` is False where ONNX
    Runtime's own kernels would compute other numbers than the target.
    """

    step: str
    suffix: str
    model: onnx.ModelProto
    fuse: bool = True

    def open(self, threads: int | None) -> Backend:
        """Open what is judged: of FP16 simulated binary16, since no CPU kernel computes in FP16."""
        is_fp16 = spec_of(self.model).precision == "fp16"
        return open_graph(simulate_fp16(self.model) if is_fp16 else self.model, fuse=self.fuse, threads=threads)

    def with_preprocessing(self, height: int, width: int) -> "Form":
        """Return the same form with a camera's frame as its input."""
        model = embed_preprocessing(self.model, height, width)
        suffix = self.suffix.removesuffix(".onnx") + ".frame.onnx"
        return replace(self, step=f"{self.step}-frame", suffix=suffix, model=model)


def fp32_form(model: onnx.ModelProto) -> Form:
    """Return the FP32 form."""
    return Form(FP32_STEP, ".onnx", model)


def fp16_form(fp32: onnx.ModelProto) -> Form:
    """Make the FP16 form."""
    return Form(FP16_STEP, ".fp16.onnx", to_fp16(fp32))


def int8_forms(
    fp32: onnx.ModelProto,
    batches: Sequence[NDArray[np.float32]],
    *,
    allowed_abs_rel: float,
    judge: Callable[[Form], None] | None = None,
    say: Callable[[str], None],
) -> list[Form]:
    """Make the INT8 forms, one for TensorRT (`.int8.onnx`) and one for x86 CPUs (`.int8.cpu.onnx`).

    TensorRT's is judged in float, the CPU's on its own INT8 kernels. The other arguments are `quantize_int8`'s.
    """
    kinds: dict[Int8Target, Callable[[onnx.ModelProto], Form]] = {
        "tensorrt": partial(Form, "int8-tensorrt", ".int8.onnx", fuse=False),
        "cpu": partial(Form, "int8-cpu", ".int8.cpu.onnx"),
    }
    forms = []
    for target, form in kinds.items():
        ask = None if judge is None else lambda model, form=form: judge(form(model))
        model = quantize_int8(fp32, batches, target=target, allowed_abs_rel=allowed_abs_rel, judge=ask, say=say)
        forms.append(form(model))
    return forms


def purpose(name: str) -> str:
    """Say what an export's file is for, by its name."""
    plain = name.replace(".frame.onnx", ".onnx")
    text = next((text for end, text in reversed(_PURPOSES.items()) if plain.endswith(end)), "")
    return f"{text}; takes a camera's frame" if plain != name else text
