"""A model is scored on its own classes, by name, and on no others."""

import pytest

from vit_jax.evaluation.class_order import match_classes


def test_the_same_names_are_the_same_classes():
    order = match_classes("abc", 3, "abc")
    assert order.outputs.tolist() == [0, 1, 2]
    assert "the same" in order.description


def test_another_order_is_matched_by_name():
    order = match_classes("abcd", 4, "dabc")
    assert order.outputs.tolist() == [3, 0, 1, 2]
    assert "matched by name" in order.description


def test_without_names_the_numbers_are_taken_and_it_is_said():
    order = match_classes((), 3, "xyz")
    assert order.outputs.tolist() == [0, 1, 2]
    assert "by number only" in order.description


def test_a_part_of_the_model_s_classes_is_matched_by_name_and_it_is_said():
    order = match_classes("abcdefgha", 9, "fcd")  # that others are called alike is not at issue
    assert order.outputs.tolist() == [5, 2, 3]
    assert order.description == "matched by name: the set has 3 of the model's 9"


def test_by_number_names_may_differ_and_it_is_said_which_is_which():
    order = match_classes(("tench, Tinca tinca", "goldfish"), 2, ("n01440764", "n01443537"), by_number=True)
    assert order.outputs.tolist() == [0, 1]
    assert "'n01440764' is its 'tench, Tinca tinca', 'n01443537' is its 'goldfish'" in order.description
    with pytest.raises(ValueError, match=r"model has 3 classes: 'a', 'b', 'c'; the set has 2: .* by number"):
        match_classes("abc", 3, "ab", by_number=True)


def test_equal_lists_may_name_a_class_twice():
    assert match_classes("aab", 3, "aab").outputs.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("model", "num_classes", "data", "parts"),
    [
        ((), 4, "xyz", ["4 classes without names", "the set has 3", "'x', 'y', 'z'"]),
        (
            "abc",
            3,
            "abd",
            ["model's 3: 'a', 'b', 'c'", "set's 3: 'a', 'b', 'd'", "the model's: 'c'", "set's: 'd'"],
        ),
        ("abcdefgh", 8, "abx", ["model's 8: 'a', 'b', 'c', 'd', 'e', 'f' ...", "only the set's: 'x'"]),
        ("aab", 3, "aba", ["several are called 'a'"]),
        ("aab", 3, "ab", ["several are called 'a'"]),
        ("abc", 3, "aab", ["several are called 'a'"]),
    ],
)
def test_other_classes_are_refused_with_both_lists(model, num_classes, data, parts):
    with pytest.raises(ValueError, match="model") as error:
        match_classes(tuple(model), num_classes, tuple(data))
    assert all(part in str(error.value) for part in parts), error.value
