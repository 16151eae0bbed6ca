"""Division into splits."""

from dataclasses import replace

import numpy as np
import pytest

from vit_jax.data.dataset import ArraySource, DataConfig, Dataset
from vit_jax.data.splits import divide, members_of_classes, stratified_parts

NAMES = ("a", "b", "c")
LABELS = np.repeat([0, 1, 2], [50, 30, 20])[np.arange(100) * 37 % 100]


def source(count: int = 100, start: int = 0) -> ArraySource:
    """Images that hold their own number."""
    images = np.arange(start, start + count, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return ArraySource(images, LABELS[:count].astype(np.int32))


def numbers(split) -> set[int]:
    return set(split.as_arrays()[0].ravel().tolist())


def divided(**kwargs) -> Dataset:
    sources = {name: kwargs.pop(name) for name in ("train", "validation", "test") if name in kwargs}
    return divide(DataConfig(**kwargs), NAMES, (1, 1, 1), **{"train": source(), **sources})


def test_every_class_gives_the_same_share_and_no_example_is_lost():
    rest, test, validation = stratified_parts(LABELS, (0.2, 0.1), 0, NAMES)
    assert np.bincount(LABELS[test]).tolist() == [10, 6, 4]
    assert np.bincount(LABELS[validation]).tolist() == [5, 3, 2]
    np.testing.assert_array_equal(np.sort(np.concatenate([rest, test, validation])), np.arange(100))
    for part in (rest, test, validation):
        assert (np.diff(part) > 0).all()


def test_the_split_is_a_function_of_the_seed_alone_on_every_machine():
    """Published scores rest on it: a change of these numbers changes who is tested on what."""
    golden = [3, 6, 21, 26, 27, 36, 46, 59, 73, 96]
    assert stratified_parts(LABELS, (0.1,), 0, NAMES)[1].tolist() == golden
    assert stratified_parts(LABELS, (0.1,), 1, NAMES)[1].tolist() != golden


def test_the_validation_fraction_does_not_change_who_is_tested():
    tests = [stratified_parts(LABELS, (0.2, fraction), 3, NAMES)[1].tolist() for fraction in (0.0, 0.1, 0.5)]
    assert tests[0] == tests[1] == tests[2]


def test_small_classes_are_in_every_part():
    labels = np.array([0] * 100 + [1] * 3)
    parts = stratified_parts(labels, (0.1, 0.1), 0, NAMES)
    assert [np.bincount(labels[part])[1] for part in parts] == [1, 1, 1]


def test_a_class_too_small_to_be_divided_is_named():
    with pytest.raises(ValueError, match="class 'b' has 2 images, to hold out 2 of: none would be left to train on"):
        stratified_parts(np.array([0] * 10 + [1] * 2), (0.1, 0.1), 0, NAMES)


def test_all_classes_too_small_to_be_divided_are_named():
    with pytest.raises(ValueError, match="class 'a' has 1 image, to hold out 1 of; class 'c' has 1 image,"):
        stratified_parts(np.array([0] + [1] * 10 + [2]), (0.1,), 0, NAMES)


def parts_by_search(labels, fractions, seed):
    """As they were drawn before: each class's members by a search for its label."""
    rng, parts = np.random.default_rng(seed), []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        *held_out, rest = np.split(members, np.cumsum([max(1, round(len(members) * x)) if x else 0 for x in fractions]))
        parts.append([rest, *held_out])
    return [np.sort(np.concatenate(part)) for part in zip(*parts, strict=True)]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_divisions_are_those_that_were_always_drawn(dtype):
    """A run that goes on tests on what it held out before."""
    labels = np.random.default_rng(3).choice([0, 2, 3, 7], 500, p=[0.5, 0.3, 0.15, 0.05]).astype(dtype)
    for fractions in ((0.2, 0.0), (0.2, 0.1), (0.0, 0.3)):
        found = stratified_parts(labels, fractions, 11, "abcdefgh")
        for part, expected in zip(found, parts_by_search(labels, fractions, 11), strict=True):
            np.testing.assert_array_equal(part, expected)


def test_members_of_classes_are_in_the_order_of_the_set():
    members = dict(members_of_classes(np.array([5, 0, 5, 2, 0])))
    assert {label: of_class.tolist() for label, of_class in members.items()} == {0: [1, 4], 2: [3], 5: [0, 2]}


def test_an_undivided_set_gets_a_test_split_and_says_so():
    data = divided(test_fraction=0.2, validation_fraction=0.1, split_seed=5)
    assert data.validation is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (70, 10, 20)
    assert numbers(data.train) | numbers(data.validation) | numbers(data.test) == set(range(100))
    assert data.notes == (
        "test: 20 of 100 images held out, stratified by class, seed 5",
        "validation: 10 of 100 images held out, stratified by class, seed 5",
    )


def test_a_test_split_of_the_set_is_kept_whole():
    data = divided(test=source(30, start=100), test_fraction=0.2)
    assert numbers(data.test) == set(range(100, 130))
    assert numbers(data.train) == set(range(100))
    assert data.validation is None
    assert data.notes == ()


def test_validation_is_taken_from_the_training_images():
    data = divided(test=source(30, start=100), validation_fraction=0.1)
    assert data.validation is not None
    assert len(numbers(data.validation) & set(range(100))) == len(data.validation) == 10
    assert not numbers(data.validation) & numbers(data.train)
    assert len(data.train) == 90
    assert len(data.test) == 30


def test_without_test_split_the_validation_split_is_tested_and_nothing_is_seen_twice():
    data = divided(validation=source(30, start=100), validation_fraction=0.1)
    assert numbers(data.test) == set(range(100, 130))
    assert data.validation is not None
    assert numbers(data.validation) < set(range(100))
    assert data.notes[0] == "no test split: the set's validation split is used as the test split"


def test_a_validation_fraction_that_is_not_used_is_told():
    data = divided(validation=source(20, start=100), test=source(30, start=120), validation_fraction=0.1)
    assert data.validation is not None
    assert numbers(data.validation) == set(range(100, 120))
    assert data.notes == ("validation_fraction 0.1 not used: the set has a validation split",)


def test_no_test_images_at_all_is_an_error():
    with pytest.raises(ValueError, match=r"data\.test_fraction is 0, but the set has no test split"):
        divided(test_fraction=0.0)


@pytest.mark.parametrize("field", ["test_fraction", "validation_fraction"])
@pytest.mark.parametrize("value", [-0.1, 1.0, 20, float("nan")])
def test_fractions_out_of_range_are_named(field: str, value: float):
    with pytest.raises(ValueError, match=rf"data\.{field} must be at least 0 and less than 1"):
        replace(DataConfig(), **{field: value})
