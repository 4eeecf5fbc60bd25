"""A stand-in for rclpy and its message packages, with the names and the strictness of the real ones.

Names and signatures: https://docs.ros.org/en/jazzy/p/rclpy/api/node.html, .../topics.html and tf2_ros. Messages have
the fields that rosbags knows of ROS 2 Humble, take them by keyword, and refuse types that rclpy's setters refuse: whole
numbers where floats belong, and anything but an `array.array` where a sequence is open.
"""

import array
import dataclasses
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_HUMBLE)
PACKAGES = ("builtin_interfaces", "std_msgs", "sensor_msgs", "geometry_msgs", "rcl_interfaces")
FIXED = {"k", "r", "p"}  # float64 arrays of fixed length: rclpy takes NumPy's
CODES = {"uint8": "B", "float32": "f", "float64": "d"}


def _message_class(name):
    known = {field.name: field.type for field in dataclasses.fields(STORE.types[name])}

    def check(field, value):
        kind = known[field]
        if kind == "float":
            assert type(value) is float, f"{name}.{field} takes a float, got {type(value)}"
        elif kind == "int":
            assert type(value) is int, f"{name}.{field} takes an int, got {type(value)}"
        elif kind == "bool":
            assert type(value) is bool, f"{name}.{field} takes a bool, got {type(value)}"
        elif kind == "str":
            assert type(value) is str, f"{name}.{field} takes a str, got {type(value)}"
        elif "ndarray" in kind and field in FIXED:
            assert isinstance(value, np.ndarray), f"{name}.{field} takes float64"
            assert value.dtype == np.float64, f"{name}.{field} takes float64"
            assert value.size == {"k": 9, "r": 9, "p": 12}[field]
        elif "ndarray" in kind:
            code = next(code for dtype, code in CODES.items() if dtype in kind)
            assert isinstance(value, array.array), f"{name}.{field} takes an array.array"
            assert value.typecode == code, f"{name}.{field} takes an array.array of {code}"

    class Message:
        def __init__(self, **values):
            for field, value in values.items():
                assert field in known, f"{name} has no field {field}"
                check(field, value)
                setattr(self, field, value)

    Message.__name__ = Message.__qualname__ = name.rsplit("/", 1)[1]
    return Message


class Publisher:
    def __init__(self, kind, topic, qos_profile):
        self.kind, self.topic, self.qos_profile, self.sent = kind, topic, qos_profile, []
        self.subscribers = 1

    def get_subscription_count(self):
        return self.subscribers

    def publish(self, msg):
        assert isinstance(msg, self.kind), f"{self.topic} takes {self.kind.__name__}, got {type(msg).__name__}"
        self.sent.append(msg)


class Logger:
    def __init__(self):
        self.lines = []

    def warning(self, message, *, throttle_duration_sec=None):
        self.lines.append(("warning", message))

    def fatal(self, message):
        self.lines.append(("fatal", message))


class Node:
    overrides: dict = {}  # noqa: RUF012 -- a test sets it before it makes a node
    remappings: dict = {}  # noqa: RUF012 -- as `-r image:=/camera/image_rect`

    def __init__(self, node_name, *, namespace=None):
        self.name, self.destroyed = node_name, False
        self.published, self.subscribed, self._logger, self._on_set = {}, {}, Logger(), []

    def declare_parameter(self, name, value, descriptor=None):
        given = self.overrides.get(name, value)
        if not getattr(descriptor, "dynamic_typing", False):
            assert type(given) is type(value), f"InvalidParameterTypeException: {name}"
        return SimpleNamespace(name=name, value=given)

    def add_on_set_parameters_callback(self, callback):
        self._on_set.append(callback)

    def set_parameters_atomically(self, values):
        """As a `ros2 param set` does it; takes a dictionary."""
        parameters = [SimpleNamespace(name=name, value=value) for name, value in values.items()]
        for callback in self._on_set:
            result = callback(parameters)
            if not result.successful:
                break
        return result

    def create_publisher(self, msg_type, topic, qos_profile):
        self.published[topic] = Publisher(msg_type, topic, qos_profile)
        return self.published[topic]

    def create_subscription(self, msg_type, topic, callback, qos_profile):
        self.subscribed[topic] = SimpleNamespace(kind=msg_type, callback=callback, qos_profile=qos_profile)
        return self.subscribed[topic]

    def resolve_topic_name(self, topic, *, only_expand=False):
        return self.remappings.get(topic, f"/{topic}")

    def get_logger(self):
        return self._logger

    def destroy_node(self):
        self.destroyed = True


class StaticTransformBroadcaster:
    sent: list = []  # noqa: RUF012 -- of all broadcasters of a test

    def __init__(self, node):
        assert isinstance(node, Node)

    def sendTransform(self, transform):  # noqa: N802 -- tf2_ros' name
        self.sent.append(transform)


def install(monkeypatch, spin=lambda node: None):
    """Put the stand-ins where `import` finds them; returns the module `rclpy`."""
    qos = ModuleType("rclpy.qos")
    qos.HistoryPolicy = SimpleNamespace(KEEP_LAST="keep_last")
    qos.ReliabilityPolicy = SimpleNamespace(BEST_EFFORT="best_effort", RELIABLE="reliable")
    qos.QoSProfile = lambda *, history, depth, reliability: SimpleNamespace(
        history=history, depth=depth, reliability=reliability
    )
    node = ModuleType("rclpy.node")
    node.Node = Node
    executors = ModuleType("rclpy.executors")
    executors.ExternalShutdownException = type("ExternalShutdownException", (Exception,), {})
    rclpy = ModuleType("rclpy")
    rclpy.calls = []
    rclpy.init = lambda args=None: rclpy.calls.append("init")
    rclpy.spin = lambda given: (rclpy.calls.append("spin"), spin(given))
    rclpy.try_shutdown = lambda: rclpy.calls.append("shutdown")
    rclpy.executors, rclpy.node, rclpy.qos = executors, node, qos
    tf2_ros = ModuleType("tf2_ros")
    StaticTransformBroadcaster.sent = []
    tf2_ros.StaticTransformBroadcaster = StaticTransformBroadcaster
    modules = {"rclpy": rclpy, "rclpy.executors": executors, "rclpy.node": node, "rclpy.qos": qos}
    modules["tf2_ros"] = tf2_ros
    for package in PACKAGES:
        modules[package], messages = ModuleType(package), ModuleType(f"{package}.msg")
        for name in STORE.types:
            if name.startswith(f"{package}/msg/"):
                setattr(messages, name.rsplit("/", 1)[1], _message_class(name))
        modules[f"{package}.msg"] = messages
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    Node.overrides, Node.remappings = {}, {}
    return rclpy


def install_launch(monkeypatch, share):
    """Put stand-ins of `launch` and `launch_ros` where `import` finds them; the package's share is `share`."""

    def keeps(*names):
        """A class that keeps what it was made with."""

        def make(*values, **keywords):
            return SimpleNamespace(**dict(zip(names, values, strict=False)), **keywords)

        return make

    launch, actions, substitutions = (ModuleType(f"launch{end}") for end in ("", ".actions", ".substitutions"))
    launch.LaunchContext, launch.LaunchDescription = dict, keeps("entities")
    actions.DeclareLaunchArgument, actions.OpaqueFunction = keeps("name"), keeps()
    substitutions.LaunchConfiguration = lambda name: SimpleNamespace(perform=lambda context: context[name])
    launch_ros, ros_actions = ModuleType("launch_ros"), ModuleType("launch_ros.actions")
    ros_actions.Node = keeps()
    index, packages = ModuleType("ament_index_python"), ModuleType("ament_index_python.packages")
    packages.get_package_share_directory = lambda name: str(share)
    for module in (launch, actions, substitutions, launch_ros, ros_actions, index, packages):
        monkeypatch.setitem(sys.modules, module.__name__, module)
