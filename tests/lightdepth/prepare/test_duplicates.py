"""Near duplicates: every one is found, and finding them costs about the same for each image."""

import numpy as np
import pytest

from lightdepth.prepare.duplicates import NAMES_KEPT, NEAR_DUPLICATE, find_duplicates
from lightdepth.prepare.facts import PairFacts


def fact(name, thumbnail):
    thumbnail = thumbnail - thumbnail.mean()
    unit = (thumbnail / np.linalg.norm(thumbnail)).astype(np.float32)
    shape = {"width": 640, "height": 480, "bits": 16, "median_m": 2.0, "least_m": 1.0, "most_m": 3.0}
    shares = {"holes": 0.0, "saturated_depth": 0.0, "saturated_color": 0.0, "color_spread": 50.0}
    return PairFacts(
        name, "room", **shape, **shares, color_hash=name, depth_hash=name, thumbnail=unit, edges=np.zeros((13, 13))
    )


@pytest.fixture
def rooms():
    """Smooth pictures, as thumbnails of rooms are: most of the difference lies in few directions."""
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(20, 768))
    return [fact(f"{i}", rng.normal(size=20) @ basis + rng.normal(size=768)) for i in range(1500)]


def with_noise(original, name, size):
    rng = np.random.default_rng(int(name))
    return fact(name, original.thumbnail + rng.normal(size=768) * size / np.sqrt(768))


def test_what_is_found_is_what_comparing_all_with_all_finds(rooms):
    copies = [with_noise(rooms[i], f"{9000 + i}", 0.02 + 0.002 * i) for i in range(60)]  # some near enough, some not
    likeness = np.stack([c.thumbnail for c in copies]) @ np.stack([r.thumbnail for r in rooms]).T
    expected = int((likeness > NEAR_DUPLICATE).any(axis=1).sum())
    assert 0 < expected < 60
    [finding] = find_duplicates({"train": rooms, "test": copies})
    assert (finding.level, finding.check) == ("error", "near_duplicates")
    assert finding.message.startswith(f"{expected} images")
    assert all(f"{9000 + int(line.split(' ~ ')[1])}" == line.split(" ~ ")[0] for line in finding.files)


@pytest.mark.slow
def test_thousands_of_copies_are_counted_and_a_hundred_named(rooms):
    copies = [with_noise(rooms[0], f"{9000 + i}", 0.02) for i in range(3000)]
    [finding] = find_duplicates({"train": copies})
    assert finding.message.startswith("2999 images")
    assert len(finding.files) == NAMES_KEPT


@pytest.mark.slow
def test_different_rooms_are_no_duplicates(rooms):
    assert list(find_duplicates({"train": rooms[:700], "test": rooms[700:]})) == []
