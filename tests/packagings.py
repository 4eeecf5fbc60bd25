"""Write the six TUM pairs in every packaging that recordings are downloaded in."""

import csv
from pathlib import Path

import cv2
import h5py
import numpy as np
from scipy.io import savemat

from lightdepth_runtime.pairs import load_pairs

TUM = Path(__file__).parent / "data" / "tum"
BAG_START_NS = 1_305_031_232_861_666_111  # a stamp that no float holds exactly
BAG_STEP_NS = 33_333_333
BAG_INTRINSICS = (129.3, 129.2, 79.5, 59.5)  # of 160x120


def write_kaggle(folder, *, level=True, csv_inside=False):
    """Write the pairs as Kaggle/DenseDepth does: 8-bit training depth (255 = 10 m), 16-bit test depth in mm."""
    root = folder / "data" if level else folder
    root.mkdir(parents=True)
    for split in ("train", "test"):
        rows = []
        for number, pair in enumerate(load_pairs(TUM, split).pairs):
            frame = pair.read()
            if split == "train":
                stem = f"nyu2_train/{pair.scene}_out/{number}"
                color, depth = f"{stem}.jpg", f"{stem}.png"
                values = np.floor(frame.depth_m * 25.5).clip(0, 255).astype(np.uint8)
            else:
                stem = f"nyu2_test/{number:05d}"
                color, depth = f"{stem}_colors.png", f"{stem}_depth.png"
                values = np.rint(frame.depth_m * 1000).astype(np.uint16)
            (root / color).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / color), frame.image[:, :, ::-1])
            cv2.imwrite(str(root / depth), values)
            rows.append((f"data/{color}", f"data/{depth}"))
        with (root if csv_inside else folder).joinpath(f"nyu2_{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return folder


def write_mat(folder, *, scenes=True):
    """Write the pairs as the official download: MATLAB v7.3 (arrays stand transposed), splits that count from 1."""
    folder.mkdir(parents=True)
    train, test = (load_pairs(TUM, split).pairs for split in ("train", "test"))
    pairs = [*train, *test]
    frames = [pair.read() for pair in pairs]
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = np.stack([frame.image.transpose(2, 1, 0) for frame in frames])  # (N, 3, W, H)
        file["depths"] = np.stack([frame.depth_m.T for frame in frames])  # (N, W, H)
        if scenes:
            references = file.create_dataset("scenes", (1, len(pairs)), h5py.ref_dtype)
            for number, pair in enumerate(pairs):
                text = file.create_dataset(f"#refs#/{number}", data=np.array([[ord(c)] for c in pair.scene], np.uint16))
                references[0, number] = text.ref
    indices = np.arange(1, len(pairs) + 1, dtype=np.uint16)[:, None]
    savemat(folder / "splits.mat", {"trainNdxs": indices[: len(train)], "testNdxs": indices[len(train) :]})
    return folder


def write_bag(path, storage="mcap", *, encoding="rgb8", depth_encoding="16UC1", topics=("color", "depth", "info")):
    """Record the six TUM pairs with rosbags: storage mcap or sqlite3 (a folder), or ros1 (a .bag file)."""
    from rosbags.rosbag1 import Writer as Ros1Writer
    from rosbags.rosbag2 import StoragePlugin
    from rosbags.rosbag2 import Writer as Ros2Writer
    from rosbags.typesys import Stores, get_typestore

    is_ros1 = storage == "ros1"
    store = get_typestore(Stores.ROS1_NOETIC if is_ros1 else Stores.ROS2_HUMBLE)
    types, plugin = store.types, StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    info_type, image_type = "sensor_msgs/msg/CameraInfo", "sensor_msgs/msg/Image"
    color_type = "sensor_msgs/msg/CompressedImage" if encoding == "jpeg" else image_type
    color_topic = "/camera/color/image_raw" + "/compressed" * (encoding == "jpeg")

    def header(number, late_ns=0):
        seconds, nanoseconds = divmod(BAG_START_NS + number * BAG_STEP_NS + late_ns, 10**9)
        time = types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
        sequence = (number,) if is_ros1 else ()
        return types["std_msgs/msg/Header"](*sequence, time, "camera_color_optical_frame")

    def image(header, pixels, encoding):
        values = np.ascontiguousarray(pixels)
        step = values.nbytes // len(values)
        return types[image_type](header, *values.shape[:2], encoding, 0, step, values.reshape(-1).view(np.uint8))

    def color(number, pair):
        if encoding == "jpeg":
            content = np.frombuffer(pair.color_path.read_bytes(), np.uint8)
            return types[color_type](header(number), "rgb8; jpeg compressed bgr8", content)
        rgb = pair.read().image
        pixels = {"rgb8": rgb, "bgr8": rgb[:, :, ::-1], "nv21": rgb[:, :, :2]}[encoding]
        return image(header(number), pixels, encoding)

    def depth(number, pair):
        depth_m = pair.read().depth_m
        values = np.rint(depth_m * 1000).astype(np.uint16) if depth_encoding == "16UC1" else depth_m
        return image(header(number, late_ns=2_000_000), values, depth_encoding)

    def info(number, pair):
        fx, fy, cx, cy = BAG_INTRINSICS
        k, r = np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1]), np.eye(3).ravel()
        p = np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0])
        roi = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
        return types[info_type](header(number), 120, 160, "plumb_bob", np.array([0.1, 0, 0, 0, 0]), k, r, p, 0, 0, roi)

    makers = {
        "color": (color_topic, color_type, color),
        "depth": ("/camera/depth/image_raw", image_type, depth),
        "info": ("/camera/color/camera_info", info_type, info),
    }
    writer = Ros1Writer(path) if is_ros1 else Ros2Writer(path, version=9, storage_plugin=plugin)
    serialize = store.serialize_ros1 if is_ros1 else store.serialize_cdr
    with writer:
        connections = {name: writer.add_connection(*makers[name][:2], typestore=store) for name in topics}
        for number, pair in enumerate([*load_pairs(TUM, "train").pairs, *load_pairs(TUM, "test").pairs]):
            for name, connection in connections.items():
                received_ns = BAG_START_NS + number * BAG_STEP_NS + 5_000_000
                writer.write(connection, received_ns, serialize(makers[name][2](number, pair), makers[name][1]))
    return path
