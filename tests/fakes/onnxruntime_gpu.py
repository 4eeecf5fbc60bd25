"""ONNX Runtime on the fake CUDA; `test_cuda_session` holds its names and arguments to the real ones.

A bound session reads and writes addresses of device memory, and its work waits on the stream that it was given.
"""

import ctypes
import threading

import numpy as np
import onnx
import onnxruntime
from fakes.tensorrt import SPEC, network_bytes

from lightdepth_runtime.spec import SPEC_KEY

SURE = SPEC.with_changes(sigma_tensor="sigma")
PROVIDERS = ["CUDAExecutionProvider", "CPUExecutionProvider"]
RealSession = onnxruntime.InferenceSession


class FakeBinding:
    """Where each tensor's memory is, by the names of IOBinding."""

    def __init__(self, session):
        self._session = session  # ONNX Runtime's keeps it too
        self._inputs, self._outputs = {}, {}

    def bind_input(self, name, device_type, device_id, element_type, shape, buffer_ptr):
        assert device_type == "cuda"
        self._inputs[name] = (element_type, shape, buffer_ptr)

    def bind_output(self, name, device_type="cpu", device_id=0, element_type=None, shape=None, buffer_ptr=None):
        assert device_type == "cuda"
        self._outputs[name] = (element_type, shape, buffer_ptr)


class FakeGpuSession:
    """A session that computes on the CPU and says that it is on a GPU; made by `fake_gpu_sessions`."""

    def __init__(self, cudart, path, sess_options=None, providers=None, *, recordable=True, falls_back=False):
        (provider, self._options), *_ = providers
        self._cudart, self._falls_back = cudart, falls_back
        self._calls = cudart._calls
        self._calls.append(f"session {provider} {sorted(self._options)}")
        assert sess_options.get_session_config_entry("session.disable_quant_qdq") == "1"
        self.threads = cudart._session_threads = set()  # each keeps a recording and handles until the session ends
        if self._options.get("enable_cuda_graph") == "1" and not recordable:
            raise RuntimeError("This session cannot use the CUDA Graph feature as requested by the user")
        self._session = RealSession(path, sess_options, providers=["CPUExecutionProvider"])

    def __del__(self):  # ONNX Runtime's handles end with it, on its stream
        stream = self._options.get("user_compute_stream")
        if stream and int(stream) not in self._cudart._live and not self._falls_back:
            self._calls.append("a session outlived its stream")

    def get_inputs(self):
        return self._session.get_inputs()

    def get_outputs(self):
        return self._session.get_outputs()

    def get_modelmeta(self):
        return self._session.get_modelmeta()

    def get_providers(self):
        return PROVIDERS[1:] if self._falls_back else PROVIDERS

    def get_provider_options(self):
        return {"CUDAExecutionProvider": dict(self._options), "CPUExecutionProvider": {}}

    def run(self, output_names, input_feed, run_options=None):
        self._calls.append("run")
        return self._session.run(output_names, input_feed, run_options)

    def io_binding(self):
        return FakeBinding(self)

    def run_with_iobinding(self, iobinding, run_options=None):
        status = self._cudart._enter("run_with_iobinding")
        self.threads.add(threading.get_ident())
        if status:
            raise RuntimeError("CUDA failure 2: out of memory")
        assert run_options.get_run_config_entry("disable_synchronize_execution_providers") == "1"
        stream = int(self._options["user_compute_stream"])

        def infer():
            feeds = {name: _array(*where) for name, where in iobinding._inputs.items()}
            results = self._session.run(list(iobinding._outputs), feeds)
            for where, values in zip(iobinding._outputs.values(), results, strict=True):
                _array(*where)[...] = values

        self._cudart._queue(stream, infer)


def _array(element_type, shape, address):
    size = int(np.prod(shape)) * np.dtype(element_type).itemsize
    return np.frombuffer((ctypes.c_uint8 * size).from_address(address), element_type).reshape(shape)


def fake_gpu_sessions(monkeypatch, cudart, *, version="1.31.0", **behaviour):
    """Let onnxruntime open sessions on the fake GPU."""
    monkeypatch.setattr(onnxruntime, "__version__", version)

    def open_session(path, sess_options=None, providers=None, *, enable_fallback):
        assert enable_fallback == 0, "ONNX Runtime's own fallback prints why, and runs on the CPU"
        if providers == ["CPUExecutionProvider"] or providers[0][0] == "CPUExecutionProvider":
            return RealSession(path, sess_options, providers=["CPUExecutionProvider"])
        return FakeGpuSession(cudart, path, sess_options, providers, **behaviour)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: PROVIDERS)


def write(folder, *, batch=1, spec=SURE, key=SPEC_KEY):
    """The fakes' network with a fixed batch, or an open one."""
    model = onnx.load_from_string(network_bytes())
    model.metadata_props.add(key=key, value=spec.to_json())
    if batch is not None:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = batch
    onnx.save_model(model, folder / "m.onnx")
    return folder / "m.onnx"
