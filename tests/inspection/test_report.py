"""Protects the report of a run: a complete, safe, self-contained page with the right figures on it."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.inspection.confusion_cases import confusion_of
from vit_jax.inspection.confusion import Confusion
from vit_jax.inspection.figures import picture
from vit_jax.inspection.pictures import overlay
from vit_jax.inspection.published import Published, PublishedResults
from vit_jax.inspection.report import Example, Report, write_report

VOID = {"meta", "img", "br", "link", "input", "hr"}
DIGITS = tuple("0123456789")


class Page(HTMLParser):
    """Parses a page strictly: every element closed in order, every attribute once. Holds its tags and text."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> repeats an attribute: {attrs}"
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def having(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [found for name, found in self.tags if name == tag and wanted.items() <= found.items()]

    def sections(self) -> list[str]:
        return [found["id"] for found in self.having("section") if "id" in found]


def example(label=3, predicted=3, confidence=0.9, image=None, attention=None) -> Example:
    image = np.zeros((8, 8, 1), np.uint8) if image is None else image
    return Example(image=image, label=label, predicted=predicted, confidence=confidence, attention=attention)


def ordinary() -> Report:
    confusion = 36 * np.eye(10, dtype=int)
    confusion[3] = [0, 0, 0, 30, 0, 5, 0, 0, 1, 0]
    history = [
        {
            "kind": "train",
            "step": 20,
            "epoch": 1,
            "loss": 2.0,
            "accuracy": 0.3,
            "learning_rate": 1e-3,
            "gradient_norm": 1.0,
        },
        {
            "kind": "train",
            "step": 40,
            "epoch": 2,
            "loss": 0.9,
            "accuracy": 0.8,
            "learning_rate": 5e-4,
            "gradient_norm": 0.5,
        },
        {"kind": "test", "step": 40, "epoch": 2, "loss": 0.8, "accuracy": 0.9833, "examples": 360, "seconds": 9.0},
    ]
    return Report(
        title="vit_digits on digits",
        summary={
            "test accuracy": "98.33%",
            "parameters": "456,202",
            "Command": "python train.py --workdir runs/digits",
        },
        history=history,
        confusion=confusion_of(confusion),
        class_names=DIGITS,
        examples=[example(), example(label=3, predicted=5, confidence=0.71, attention=np.zeros((8, 8, 3), np.uint8))],
        notes=["digits: 1,797 images from scikit-learn"],
        config={
            "seed": 7,
            "data": {"name": "digits", "cache": {"dir": None}},
            "augment": [{"name": "RandomCrop"}],
            "extra": {},
        },
    )


def written(tmp_path: Path, report: Report) -> tuple[Page, str]:
    path = tmp_path / "report.html"
    write_report(path, report)
    text = path.read_text(encoding="utf-8")
    assert_self_contained(text)
    return Page(text), text


def assert_self_contained(text: str) -> None:
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form"}
        for name, value in attributes.items():
            assert not name.startswith("on"), f"<{tag} {name}> would run a script"
            if name in {"src", "href", "xlink:href", "srcset", "action", "poster", "background"}:
                assert value.startswith(("data:image/", "#")), f"<{tag} {name}={value[:60]}> is outside the file"
    style = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))
    assert style
    assert "url(" not in style
    assert "@import" not in style


def test_an_ordinary_report_has_its_sections_and_figures(tmp_path):
    page, text = written(tmp_path, ordinary())
    assert page.sections() == ["curves", "confusion", "examples", "load", "config"]
    for expected in (
        "vit_digits on digits",
        "98.33%",
        "456,202",
        "python train.py --workdir runs/digits",
        "digits: 1,797 images from scikit-learn",
        "354 of 360 images right: 98.3%",
        "(95% interval 96.4% to 99.2%",
        "test 98.33%",
        "3 5 5 13.9%",  # most confused: true, predicted, images, of the class
        "3 83.3% 30 / 36",  # the hardest class
    ):
        assert expected in page.text, expected
    assert len(text) < 60_000


def test_the_page_follows_phones_and_dark_mode_and_forbids_fetching(tmp_path):
    page, text = written(tmp_path, ordinary())
    assert page.having("meta", name="viewport", content="width=device-width, initial-scale=1")
    assert "prefers-color-scheme: dark" in text
    (policy,) = page.having("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_curves_are_inline_svg_with_a_line_for_each_kind_of_row(tmp_path):
    page, _ = written(tmp_path, ordinary())
    labels = [found["aria-label"] for found in page.having("svg")]
    assert labels == [f"{name} over training steps" for name in ("Loss", "Accuracy", "Learning rate", "Gradient norm")]
    assert len(page.having("g", class_="line train")) == 4
    assert len(page.having("g", class_="line test")) == 2
    assert all(found["d"] for found in page.having("path"))


def test_few_classes_are_a_table_of_counts(tmp_path):
    page, _ = written(tmp_path, ordinary())
    assert len(page.having("td", class_="same")) == 10
    assert len(page.having("td", class_="none")) == 88
    assert len(page.having("td", class_="")) == 2
    assert page.having("td", class_="same", style="--s: 0.833")  # 30 of 36
    assert page.having("td", class_="", style="--s: 0.518")  # cube root of 5 of 36
    assert "0 0 0 30 0 5 0 0 1 0" in page.text


def test_many_classes_are_a_heat_map_and_each_is_still_named(tmp_path):
    confusion = np.random.default_rng(0).multinomial(100, np.full(100, 0.01), size=100) + 50 * np.eye(100, dtype=int)
    names = tuple(f"kind-{place}" for place in range(100))
    page, text = written(
        tmp_path, replace(ordinary(), confusion=confusion_of(confusion), class_names=names, examples=())
    )
    assert [found["href"][:22] for found in page.having("image")] == ["data:image/png;base64,"]
    assert not page.having("table", class_="numbers named")
    assert "The other 90 classes" in page.text
    assert all(f" {place} kind-{place} " in page.text for place in range(100))
    assert len(text) < 120_000


def test_a_matrix_of_thousands_of_classes_is_not_drawn_and_it_is_said(tmp_path):
    label = np.arange(2001)
    confusion = Confusion.of(label, np.where(label % 2, label, 0), 2001)
    report = replace(ordinary(), confusion=confusion, class_names=tuple(map(str, label)), examples=())
    page, _ = written(tmp_path, report)
    assert not page.having("image")
    assert "The matrix of 2,001 classes is too large to be drawn." in page.text
    assert "1,001 of 2,001 images right" in page.text
    assert "The other 1991 classes" in page.text
    assert "Most confused true predicted images of the class 2 0 1 100.0%" in page.text


def test_two_classes_and_no_mistakes(tmp_path):
    report = replace(ordinary(), confusion=confusion_of(np.diag([5, 7])), class_names=("cat", "dog"), examples=())
    page, _ = written(tmp_path, report)
    assert "12 of 12 images right: 100.0%" in page.text
    assert "No mistakes." in page.text


def test_a_class_without_test_images_has_no_accuracy(tmp_path):
    report = replace(ordinary(), confusion=confusion_of(np.diag([5, 0])), class_names=("cat", "dog"), examples=())
    page, _ = written(tmp_path, report)
    assert "dog n/a 0 / 0" in page.text


def test_mistakes_come_before_right_answers_and_the_most_confident_first(tmp_path):
    examples = [
        example(label=1, predicted=1, confidence=0.99),
        example(label=2, predicted=4, confidence=0.5),
        example(label=6, predicted=8, confidence=0.8),
        example(label=9, predicted=9, confidence=0.995),
    ]
    page, _ = written(tmp_path, replace(ordinary(), examples=examples))
    shown = re.findall(r"predicted (\d) ([\d.]+%) true (\d)", page.text)
    assert shown == [("8", "80.0%", "6"), ("4", "50.0%", "2"), ("9", "99.5%", "9"), ("1", "99.0%", "1")]
    assert page.text.index("Mistakes,") < page.text.index("predicted 8") < page.text.index("Right answers,")
    assert len(page.having("figure", class_="mistake")) == 2


def test_what_is_attended_to_stands_beside_the_image(tmp_path):
    attention = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    page, _ = written(tmp_path, replace(ordinary(), examples=[example(attention=attention), example()]))
    assert len(page.having("img", class_="small")) == 3
    (drawn,) = page.having("img", class_="small", alt="attention of the last block")
    assert drawn["src"] == picture(attention)
    assert "what the last block attends to" in page.text


def test_without_attention_the_page_does_not_speak_of_it(tmp_path):
    page, _ = written(tmp_path, replace(ordinary(), examples=[example()]))
    assert "attended to" not in page.text


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (20, 40, 1), (224, 160, 3), (300, 300, 1), (16, 16, 4)])
def test_images_of_any_shape_are_shown(tmp_path, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    page, _ = written(tmp_path, replace(ordinary(), examples=[example(image=image)]))
    (shown,) = page.having("img")
    assert shown["class"] == ("small" if max(shape) <= 64 else "")
    assert shown["alt"] == "a 3, predicted 3"


def test_no_examples_leaves_the_section_out(tmp_path):
    page, _ = written(tmp_path, replace(ordinary(), examples=()))
    assert "examples" not in page.sections()
    assert not page.having("img")


def test_losses_that_are_not_finite_are_told_and_do_not_reach_the_drawing(tmp_path):
    history = [
        {"kind": "train", "step": step, "loss": loss} for step, loss in enumerate([1.0, math.nan, math.inf, None])
    ]
    page, _ = written(tmp_path, replace(ordinary(), history=history))
    assert "not finite in 3 of 4 rows, first at step 1" in page.text
    assert len(page.having("path", class_="broken")) == 3
    drawing = [
        value for tag, found in page.tags if tag in {"path", "circle", "line", "text"} for value in found.values()
    ]
    assert not any(re.search(r"nan|inf", value) for value in drawing)


def test_one_row_of_history_and_none(tmp_path):
    page, _ = written(tmp_path, replace(ordinary(), history=[{"kind": "train", "step": 1, "loss": 0.5}]))
    assert len(page.having("svg")) == len(page.having("circle")) == 1
    page, _ = written(tmp_path, replace(ordinary(), history=[]))
    assert "curves" not in page.sections()


def test_a_history_without_evaluations(tmp_path):
    page, _ = written(tmp_path, replace(ordinary(), history=ordinary().history[:2]))
    assert len(page.having("g", class_="line train")) == 4
    assert not page.having("g", class_="line test")


def test_everything_a_user_can_name_is_escaped(tmp_path):
    evil = "\"'><script>alert(1)</script>"
    report = replace(
        ordinary(),
        title=evil,
        summary={evil: evil, "a long one": 20 * evil, f"{evil} command": 20 * evil},
        history=[{"kind": evil, "step": 1, "loss": 1.0}, {"kind": evil, "step": 2, "loss": math.nan}],
        class_names=(evil, *DIGITS[1:]),
        examples=[example(label=0, predicted=0), example(label=0, predicted=1)],
        notes=[evil],
        config={evil: {evil: evil}},
        published=PublishedResults(evil, (Published(evil, evil, evil, evil),)),
    )
    (tmp_path / "it's <b>").mkdir()
    page, text = written(tmp_path / "it's <b>", report)
    assert "<script" not in text
    assert not page.having("b") or all(not found for found in page.having("b"))
    assert page.text.count(evil) > 10


def test_workdir_is_escaped_and_quoted_in_the_lines_that_load_the_model(tmp_path):
    workdir = tmp_path / 'runs "<b>" x'
    workdir.mkdir()
    page, text = written(workdir, ordinary())
    assert f'vit_jax.load_pretrained("{tmp_path.as_posix()}/runs \\"<b>\\" x")' in page.text
    assert 'runs \\"<b>' not in text


def test_the_configuration_is_folded_with_the_names_of_the_command_line(tmp_path):
    page, _ = written(tmp_path, ordinary())
    assert page.having("details")
    for line in ("seed 7", 'data.name "digits"', "data.cache.dir null", 'augment [{"name": "RandomCrop"}]', "extra {}"):
        assert line in page.text


def test_published_results_stand_beside_this_run(tmp_path):
    published = PublishedResults("CIFAR-10", (Published("ViT-Ti/4", "93.6%", "Somebody", "9 epochs"),))
    page, _ = written(tmp_path, replace(ordinary(), published=published))
    assert "Against published results on CIFAR-10" in page.text
    assert "told by the names of their classes alone" in page.text
    assert "published" in page.sections()
    assert "this run 98.3% this page ViT-Ti/4 93.6% 9 epochs Somebody" in page.text
    assert "not comparable one to one" in page.text


def test_notes_come_before_everything_but_the_headline(tmp_path):
    page, _ = written(tmp_path, ordinary())
    assert page.text.index("456,202") < page.text.index("digits: 1,797 images") < page.text.index("Curves")
    page, _ = written(tmp_path, replace(ordinary(), notes=()))
    assert not page.having("section", class_="notes")


def test_a_page_with_many_photographs_stays_under_a_megabyte(tmp_path):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (24, 28, 28, 3), dtype=np.uint8)
    images = np.kron(coarse, np.ones((1, 8, 8, 1), np.uint8))
    examples = [example(image=image, attention=np.asarray(overlay(image, rng.random((14, 14))))) for image in images]
    _, text = written(tmp_path, replace(ordinary(), examples=examples))
    assert len(text) < 1_000_000


def test_the_same_report_gives_the_same_bytes(tmp_path):
    assert written(tmp_path, ordinary())[1] == written(tmp_path, ordinary())[1]


def test_a_write_that_fails_leaves_no_half_file_and_keeps_the_old_report(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("the report before")

    def fill_the_disk(self, text, **_):
        with open(self, "w") as file:
            file.write(text[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        write_report(path, ordinary())
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text() == "the report before"


def test_an_older_report_is_replaced_not_overwritten(tmp_path):
    """Whoever has the older page open reads all of it, and there is no moment at which the file is half written."""
    path = tmp_path / "report.html"
    path.write_text("the report before")
    with path.open() as older:
        write_report(path, ordinary())
        assert older.read() == "the report before"
    assert "vit_digits" in path.read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_report_that_cannot_be_put_in_place_leaves_nothing_behind(tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OSError, match=r"report\.html"):
        write_report(tmp_path / "report.html", ordinary())
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_report(tmp_path / "nowhere" / "report.html", ordinary())
