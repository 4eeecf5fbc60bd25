"""TensorRT on the fake CUDA, whose results come from ONNX Runtime; `test_tensorrt` holds its names to the real ones."""

import ctypes
import types

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from lightdepth_runtime.spec import ModelSpec

SPEC = ModelSpec(name="fake", input_height=32, input_width=64, parameters=4)
FRAME_SPEC = SPEC.with_changes(frame_height=48, frame_width=80, input_name="frame")
PLAN = b"ftrt fake plan"


class FakeEngine:
    """The network of `network_bytes` behind the names of ICudaEngine."""

    def __init__(self, trt, batches):
        self._trt, self._batches = trt, batches
        nodes = {node.name: node for node in (*trt._session.get_inputs(), *trt._session.get_outputs())}
        names = [trt._session.get_inputs()[0].name, *trt._outputs]
        self._shapes = {name: tuple(nodes[name].shape[1:]) for name in names}
        self._types = {name: trt.uint8 if nodes[name].type == "tensor(uint8)" else trt.float32 for name in names}
        self.num_io_tensors = len(self._shapes)

    def get_tensor_name(self, index):
        return list(self._shapes)[index]

    def get_tensor_shape(self, name):
        smallest, largest = self._batches
        return (smallest if smallest == largest else -1, *self._shapes[name])

    def get_tensor_dtype(self, name):
        return self._types[name]

    def get_tensor_profile_shape(self, name, profile_index):
        smallest, largest = self._batches
        return [(size, *self._shapes[name]) for size in (smallest, smallest, largest)]

    def create_runtime_config(self):
        return types.SimpleNamespace(dynamic_shapes_kernel_specialization_strategy="LAZY")

    def create_execution_context(self, runtime_config=None):
        self.started_with = runtime_config
        return None if self._trt._no_context else FakeContext(self._trt)


class FakeContext:
    def __init__(self, trt):
        self._trt, self._addresses, self._shape = trt, {}, None

    def set_tensor_address(self, name, address):
        self._addresses[name] = address
        return True

    def set_input_shape(self, name, shape):
        self._shape = shape
        return True

    def execute_async_v3(self, stream_handle):
        if self._trt._failing_frames:
            self._trt._failing_frames -= 1
            self._trt._tell(1, "Cask: a kernel failed")
            return False
        shape = self._shape

        def infer():
            (node,) = self._trt._session.get_inputs()
            kind = ctypes.c_uint8 if node.type == "tensor(uint8)" else ctypes.c_float
            image = np.ctypeslib.as_array((kind * int(np.prod(shape))).from_address(self._addresses[node.name]))
            names = self._trt._outputs
            results = self._trt._session.run(names, {node.name: image.reshape(shape)})
            for name, values in zip(names, results, strict=True):
                ctypes.memmove(self._addresses[name], values.ctypes.data, values.nbytes)

        self._trt._cudart._queue(stream_handle, infer)
        return True


def fake_tensorrt(cudart, *, batches=(1, 1), flavour="tensorrt", version="10.3.0", outputs=("depth",), network=None):
    """Make a module with the names of TensorRT's that the backend uses; `network` is `network_bytes` or another's."""
    trt = types.ModuleType(flavour)

    class ILogger:
        pass

    class Runtime:
        def __init__(self, logger):
            trt._logger = logger

        def deserialize_cuda_engine(self, plan):
            if b"broken" in plan:
                trt._tell(1, "Serialization (magic tag does not match)")
                return None
            return FakeEngine(trt, batches)

    def tell(severity, message):
        trt._logger.log(severity, message)

    trt.__version__, trt.float32, trt.uint8, trt.ILogger, trt.Runtime = version, "float32", "uint8", ILogger, Runtime
    if flavour == "tensorrt_rtx":
        trt.DynamicShapesKernelSpecializationStrategy = types.SimpleNamespace(EAGER="EAGER")
    trt._cudart, trt._tell, trt._failing_frames, trt._no_context = cudart, tell, 0, False
    trt._outputs = outputs
    trt._session = onnxruntime.InferenceSession(network or network_bytes(), providers=["CPUExecutionProvider"])
    return trt


def network_bytes():
    """depth = the sum of the three channels times 1, 2 and 3, plus 1; sigma = twice as much."""
    kernel = numpy_helper.from_array(np.array([1, 2, 3], np.float32).reshape(1, 3, 1, 1), "kernel")
    bias = numpy_helper.from_array(np.ones(1, np.float32), "bias")
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ("b", 3, 32, 64))
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("b", 1, 32, 64)) for name in ("depth", "sigma")]
    nodes = [
        helper.make_node("Conv", ["image", "kernel", "bias"], ["depth"], name="conv"),
        helper.make_node("Add", ["depth", "depth"], ["sigma"], name="twice"),
    ]
    graph = helper.make_graph(nodes, "g", [image], outputs, [kernel, bias])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def frame_network_bytes():
    """depth = the mean of red, green and blue, of a frame of bytes (1, 48, 80, 3)."""
    frame = helper.make_tensor_value_info("frame", TensorProto.UINT8, (1, 48, 80, 3))
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, (1, 48, 80))
    nodes = [
        helper.make_node("Cast", ["frame"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["depth"], axes=[3], keepdims=0),
    ]
    graph = helper.make_graph(nodes, "g", [frame], [depth])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def images(count=1, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3, 32, 64)).astype(np.float32)


def expected(batch):
    return 1 + np.einsum("bchw,c->bhw", batch, [1, 2, 3])[:, None]
