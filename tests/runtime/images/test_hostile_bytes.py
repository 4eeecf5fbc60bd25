"""Files whose bytes were changed anywhere: a clear error or depth, nothing half-written, and the next file works."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightdepth_runtime.backends.fake import FakeBackend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.infer.lens import Lens
from lightdepth_runtime.infer.plan import plan_inputs, run_plan
from lightdepth_runtime.ros import Recording

HEADER_BYTES = 400  # where damage is the most telling; half of it falls there
BAGS = {"bag.mcap": "mcap", "bag.db3": "sqlite3", "bag.bag": "ros1"}
NAMES = ["image.jpg", "image.png", "clip.mp4", *BAGS]


@dataclass(frozen=True)
class Damage:
    """Bytes written over a file's, or its end where there are none."""

    place: float  # of the file's length
    in_header: bool
    content: bytes | None

    def apply(self, whole):
        at = int(self.place * (min(HEADER_BYTES, len(whole)) if self.in_header else len(whole)))
        if self.content is None:
            return whole[:at]
        return whole[:at] + self.content + whole[at + len(self.content) :]


contents = st.one_of(st.none(), st.binary(min_size=1, max_size=16), st.sampled_from([b"\xff" * 8, b"\0" * 64]))
damages = st.lists(
    st.builds(Damage, st.floats(0, 1, exclude_max=True), st.booleans(), contents), min_size=1, max_size=5
)


@pytest.fixture
def whole(request, tum, write_bag, tmp_path):
    """The bytes of a sound file, small and of real images."""
    name = request.param
    photograph = sorted(tum.rglob("*_rgb.jpg"))[0]
    if name in BAGS:
        path = write_bag(tmp_path / "bag.bag", BAGS[name], encoding="jpeg", topics=("color", "info"))
        path = path if path.is_file() else next(path.glob(f"*{Path(name).suffix}"))
    elif name == "image.jpg":
        path = photograph
    else:
        path, image = tmp_path / name, cv2.imread(str(photograph))
        if name == "image.png":
            cv2.imwrite(str(path), image)
        else:
            film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, image.shape[1::-1])
            for _ in range(4):
                film.write(image)
            film.release()
    return name, path.read_bytes()


@pytest.mark.parametrize("whole", NAMES, indirect=True)
@given(changes=damages)
@settings(deadline=None, max_examples=10, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_bytes_give_a_sentence_or_depth_and_the_next_file_works(whole, changes):
    name, sound = whole
    damaged = sound
    for change in changes:
        damaged = change.apply(damaged)
    estimator = DepthEstimator(FakeBackend())
    with tempfile.TemporaryDirectory() as folder:
        for content in (damaged, sound):
            source, output = Path(folder) / name, Path(folder) / ("sound" if content is sound else "damaged")
            source.write_bytes(content)
            save = frozenset({"npy", "bag"}) if name in BAGS else None
            plan = plan_inputs([str(source)], output, save, Lens())
            files, sentence = 0, None
            try:
                files = run_plan(estimator, plan).files
            except LightDepthError as error:
                sentence = str(error)
            assert sentence or files
            assert "\n" not in (sentence or "")
            if content is sound:
                assert sentence is None
            whole_or_not_there(output)


def whole_or_not_there(output):
    """Look that no temporary file is left and that what is there can be read to its end."""
    for path in output.glob("*") if output.exists() else ():
        assert not path.name.startswith(".")
        if path.is_dir():
            with Recording(path) as recording:
                assert (
                    len(list(recording.images(["/lightdepth/depth/image_rect"])))
                    == recording.image_topics["/lightdepth/depth/image_rect"]
                )
        elif path.suffix == ".mp4":
            film = cv2.VideoCapture(str(path))
            assert film.read()[0]
            film.release()


def test_damage_changes_bytes():
    whole, damage = bytes(range(100)), Damage(0.5, in_header=False, content=b"abc")
    assert damage.apply(whole) == whole[:50] + b"abc" + whole[53:]
    assert replace(damage, content=None).apply(whole) == whole[:50]
