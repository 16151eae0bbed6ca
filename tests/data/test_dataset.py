"""What a data set is."""

import dataclasses

import numpy as np
import pytest

from vit_jax.data.dataset import ArraySource, DataConfig, check_labels

IMAGES = np.arange(4 * 2 * 2 * 3, dtype=np.uint8).reshape(4, 2, 2, 3)
LABELS = np.array([2, 0, 1, 0], np.int32)


@pytest.mark.parametrize("field", ["repeats", "workers", "split_seed"])
def test_a_number_that_cannot_be_is_refused_by_name(field):
    with pytest.raises(ValueError, match=rf"data\.{field} must be at least \d, not -1"):
        dataclasses.replace(DataConfig(), **{field: -1})


def test_as_arrays_copies_nothing_that_is_in_memory():
    images, labels = ArraySource(IMAGES, LABELS).as_arrays()
    assert images is IMAGES
    assert labels is LABELS


def test_subset_keeps_images_with_their_labels():
    source = ArraySource(IMAGES, LABELS).subset(np.array([3, 0]))
    assert len(source) == 2
    for index, original in enumerate([3, 0]):
        image, label = source[index]
        np.testing.assert_array_equal(image, IMAGES[original])
        assert label == LABELS[original]


@pytest.mark.parametrize("wrong", [-1, 10])
def test_check_labels_names_the_first_label_out_of_range(wrong: int):
    check_labels(np.array([0, 9]), 10, "set")
    with pytest.raises(ValueError, match=f"set: example 1 has label {wrong}, outside 0 to 9 .*2 such labels"):
        check_labels(np.array([0, wrong, 3, wrong]), 10, "set")
