"""Protects that a comparison goes on as it was begun, and never as another."""

import pytest

from vit_jax.comparison.plan import check_same, read_plan, run_workdir


def test_a_plan_is_read_as_it_was_written(finished):
    workdir, plan = finished
    assert read_plan(workdir) == plan
    assert read_plan(workdir / "nowhere") is None


def test_a_seed_of_every_config_comes_before_the_next_seed(finished):
    _, plan = finished
    assert plan.runs == [("one_digits", 0), ("two_digits", 0), ("one_digits", 1), ("two_digits", 1)]


def test_another_comparison_is_refused_with_the_differences(finished):
    workdir, plan = finished
    check_same(plan, plan.asked, workdir)
    other = {**plan.asked, "seeds": 3, "configs": {"one_digits": {"data": {"name": "cifar10"}}}}
    with pytest.raises(
        ValueError, match=r"(?s)another comparison.*seeds: 2 -> 3.*one_digits.data.name: digits -> cifar"
    ):
        check_same(plan, other, workdir)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"entries": {"a": {"b": 1}}}'])
def test_a_damaged_plan_is_named(text, tmp_path):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(ValueError, match=r"plan\.json is no plan"):
        read_plan(tmp_path)


def test_runs_are_kept_by_name_and_seed(tmp_path):
    assert run_workdir(tmp_path, "vit", 2) == tmp_path / "vit-seed2"
