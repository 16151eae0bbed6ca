"""Protects the page: complete in itself, safe, and with everything on it that makes figures comparable."""

import dataclasses

from tests.inspection.test_report import Page, assert_self_contained
from vit_jax.comparison.page import large, render, write_page
from vit_jax.comparison.results import read_results


def test_the_page_tells_what_was_compared_and_what_came_of_it(finished):
    workdir, plan = finished
    write_page(workdir / "comparison.html", plan, read_results(workdir, plan))
    text = (workdir / "comparison.html").read_text()
    assert_self_contained(text)
    page = Page(text)
    assert page.sections() == ["results", "curves"]
    for told in (
        "one, two on digits", "55.00 ± 7.07%", "85.00 ± 7.07%", "50.00 60.00", "2 epochs", "0, 1", "2026-01-02",
        "1 x cpu, 2 processor cores", "jax 0", "200 test images", "vit-jax compare one_digits.py two_digits.py",
        "pictures <of> digits", "200 MB", "Accuracy on test images over seconds of training",
    ):  # fmt: skip
        assert told in page.text, told
    assert len([line for line in page.having("g") if "seed" in line["class"].split()]) == 16
    assert "Not finished" not in page.text


def test_runs_that_are_missing_are_named(finished):
    workdir, plan = finished
    (workdir / "two_digits-seed1" / "metrics.jsonl").unlink()
    page = Page(render(plan, read_results(workdir, plan)))
    assert "Not finished, and not counted below two_digits-seed1 " in page.text


def test_published_results_stand_beside_those_on_the_same_set(finished):
    workdir, plan = finished
    images = {"class_names": ["Cats", "Dogs"], "test": {"examples": 200}}
    entries = {name: dataclasses.replace(entry, images=images) for name, entry in plan.entries.items()}
    page = Page(render(dataclasses.replace(plan, entries=entries), read_results(workdir, plan)))
    assert page.sections()[-1] == "published"
    assert "Against published results on photographs of cats and dogs" in page.text
    assert "not comparable one to one" in page.text
    assert "one_digits 55.00 ± 7.07% this page" in page.text
    assert "CNN of three convolutions about 75%" in page.text


def test_what_a_user_can_name_is_escaped(finished):
    workdir, plan = finished
    evil = "<script>alert(1)</script>"
    text = render(dataclasses.replace(plan, command=evil), read_results(workdir, plan))
    assert "<script" not in text
    assert evil in Page(text).text


def test_large_numbers_are_short():
    assert [large(n) for n in (12, 5_432, 449_098, 86_567_656, 4.5e9)] == ["12", "5.43 k", "449 k", "86.6 M", "4.5 G"]
