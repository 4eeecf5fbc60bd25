import cv2
import numpy as np
import pytest
import torch

from lightdepth.config import load_config
from lightdepth.data.augment import Augmentation
from lightdepth.data.loader import TrainingPairs, build_loader
from lightdepth.data.order import EpochSampler
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.spec import ModelSpec

SPEC = ModelSpec("tiny", 64, 96, 1)


@pytest.fixture
def pairs(tum):
    return load_pairs(tum, "train")


def test_a_sample_is_the_networks_input_with_depth_and_name(pairs):
    sample = TrainingPairs(pairs.pairs, SPEC, Augmentation(), seed=0)[0, 2]
    image, depth_m = sample.image, sample.depth_m
    assert (image.shape, image.dtype) == ((3, 64, 96), torch.float32)
    assert (depth_m.shape, depth_m.dtype) == ((1, 64, 96), torch.float32)
    assert sample.names == ["freiburg3_cabinet/0038_rgb.jpg"]
    assert sample.teacher_m is None
    assert (depth_m == 0).any()
    assert (depth_m > 0).any()


def test_truth_past_the_models_range_is_not_trained_on(pairs):
    near = TrainingPairs(pairs.pairs, SPEC.with_changes(max_depth_m=1.5), Augmentation(), seed=0)[0, 0].depth_m
    every = TrainingPairs(pairs.pairs, SPEC, Augmentation(), seed=0)[0, 0].depth_m
    assert every.max() > 1.5
    assert torch.equal(near, torch.where(every < 1.5, every, 0.0))


def test_seed_pass_and_index_alone_decide_the_augmentation(pairs):
    def image(seed, number, index):
        return TrainingPairs(pairs.pairs, SPEC, Augmentation(), seed)[number, index].image

    assert torch.equal(image(0, 1, 2), image(0, 1, 2))
    for other in ((1, 1, 2), (0, 2, 2), (0, 1, 1)):
        assert not torch.equal(image(0, 1, 2), image(*other))


def test_each_pass_sees_every_pair_once_in_an_order_of_its_own():
    sampler = EpochSampler([1.0] * 50, seed=3, passes=2)
    first = list(sampler)
    sampler.epoch = 1
    second = list(sampler)
    assert len(sampler) == len(first) == 100
    assert [number for number, _ in first + second] == [0] * 50 + [1] * 50 + [2] * 50 + [3] * 50
    orders = [[index for number, index in first + second if number == i] for i in range(4)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    sampler.epoch = 0
    assert list(sampler) == first


def test_the_last_incomplete_batch_is_dropped_unless_it_is_the_only_one(pairs):
    def batches(batch_size):
        config = load_config(None, ["num_workers=0", f"batch_size={batch_size}"])
        loader, _ = build_loader(pairs.pairs, SPEC, config, pin_memory=False)
        return [len(batch.names) for batch in loader]

    assert batches(4) == [4]
    assert batches(3) == [3]
    assert batches(8) == [4]


def test_reading_leaves_the_generator_that_dropout_draws_from_alone(pairs):
    loader, _ = build_loader(pairs.pairs, SPEC, load_config(None, ["num_workers=0"]), pin_memory=False)
    before = torch.get_rng_state()
    list(loader)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def with_empty(tum_copy):
    """The four training pairs, two of them without a reading."""
    pairs = load_pairs(tum_copy, "train")
    for number in (1, 2):
        cv2.imwrite(str(pairs.pairs[number].depth_path), np.zeros((120, 160), np.uint16))
    return pairs


def test_the_next_pair_takes_the_place_of_one_without_a_reading(with_empty):
    training = TrainingPairs(with_empty.pairs, SPEC, Augmentation(), seed=0)
    names = [pair.name for pair in with_empty.pairs]
    batch = training.__getitems__([(0, 0), (0, 1), (0, 2)])
    assert batch.names == [names[0], names[3], names[3]]
    assert list(batch.left_out) == [names[1], names[2], names[2]]
    assert (batch.depth_m.amax(dim=(1, 2, 3)) > 0).all()
    again = training[0, 1]
    assert torch.equal(again.image, batch.image[1])


def test_a_view_without_a_reading_becomes_the_whole_frame(tum_copy):
    pairs = load_pairs(tum_copy, "train")
    depth = np.zeros((120, 160), np.uint16)
    depth[:, 155:] = 1500  # at the edge, which most crops leave out
    cv2.imwrite(str(pairs.pairs[0].depth_path), depth)
    training = TrainingPairs(pairs.pairs, SPEC, Augmentation(zoom_max=4, zoom_share=1, flip=False), seed=0)
    for number in range(20):
        sample = training[number, 0]
        assert sample.names == [pairs.pairs[0].name]
        assert (sample.depth_m > 0).any()


def test_pairs_without_any_reading_are_one_sentence_with_files_and_range(with_empty):
    empty = with_empty.subset([1, 2], "train")
    training = TrainingPairs(empty.pairs, SPEC, Augmentation(), seed=0)
    with pytest.raises(LightDepthError, match=r"None of 2 training pairs .*10 m: .*_rgb.jpg; check the depth files"):
        training[0, 0]


def test_a_batch_holds_the_samples_that_are_read_one_by_one(pairs):
    training = TrainingPairs(pairs.pairs, SPEC, Augmentation(), seed=0)
    keys = [(0, 2), (1, 0), (0, 1)]
    batch, samples = training.__getitems__(keys), [training[key] for key in keys]
    assert torch.equal(batch.image, torch.stack([sample.image for sample in samples]))
    assert torch.equal(batch.depth_m, torch.stack([sample.depth_m for sample in samples]))
    assert batch.names == [name for sample in samples for name in sample.names]
