"""The classes of image files are the model's own, on the images as the model takes them."""

import csv
import io
import json
import os
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import vit_jax
from vit_jax import cli
from vit_jax.inference import predict as predicting
from vit_jax.inference.compiled import compile_for_rows

ORIENTATION = 0x0112


@pytest.fixture
def pictures(tmp_path):
    """Eleven images of several sizes and modes."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(3)
    for i in range(11):
        picture = Image.fromarray(random.integers(0, 256, (9 + 3 * i, 30 - i, 3), np.uint8))
        picture.convert("L" if i == 4 else "RGB").save(folder / f"{i:02}.png")
    return folder


def probabilities(classifier, pictures):
    """Of the classes of each image, computed one by one."""
    preprocess = vit_jax.preprocessing(classifier.model)
    images = np.stack([preprocess(picture) for picture in pictures])
    logits = np.asarray(classifier.model.apply({"params": classifier.params}, images), np.float64)
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def as_json(capsys, *args):
    """Exit status, the document on stdout, and stderr."""
    status = cli.main(["predict", *map(str, args), "--format", "json"])
    out, err = capsys.readouterr()
    return status, json.loads(out), err


@pytest.mark.parametrize("batch_size", [8, 16])  # a whole and a filled batch; one that is filled
def test_classes_and_probabilities(classifier, save, pictures, capsys, batch_size):
    status, answers, _ = as_json(capsys, save(classifier), pictures, "--batch-size", batch_size, "--top", 3)
    files = sorted(pictures.iterdir())
    expected = probabilities(classifier, [Image.open(file) for file in files])
    assert status == 0
    assert [answer["image"] for answer in answers] == [str(file) for file in files]
    for answer, row in zip(answers, expected, strict=True):
        order = np.argsort(-row)[:3]
        assert [found["index"] for found in answer["classes"]] == order.tolist()
        assert [found["name"] for found in answer["classes"]] == [classifier.class_names[i] for i in order]
        np.testing.assert_allclose([found["probability"] for found in answer["classes"]], row[order], rtol=1e-5)


@pytest.mark.parametrize("output", ["table", "json", "csv"])
def test_a_network_without_finite_outputs_has_no_answers(diverged, save, pictures, output, capsys):
    assert cli.main(["predict", save(diverged), str(pictures), "--batch-size", "8", "--format", output]) == 2
    out, err = capsys.readouterr()
    assert "ant" not in out
    assert "the outputs for 8 of 8 images are not finite" in err


def test_one_program_is_compiled_whatever_the_last_batch(classifier, monkeypatch, pictures):
    traced = []
    make_top = predicting.make_top

    def counted(model, top):
        find = make_top(model, top)
        return lambda params, batch: traced.append(batch["image"].shape) or find(params, batch)

    monkeypatch.setattr(predicting, "make_top", counted)
    files = [str(file) for file in sorted(pictures.iterdir())]
    assert len(list(predicting.classify(classifier, files, 1, 8))) == 11
    assert traced == [(1, 8, 8, 3)]  # rows of each of eight devices


def test_few_images_are_no_large_batch(classifier):
    compiled = compile_for_rows(predicting.make_top(classifier.model, 1), classifier.params, 512, examples=3)
    assert compiled.batch_size == jax.device_count() == 8


def test_an_image_is_turned_upright(classifier, save, tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # shown turned by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(np.rot90(pixels, -1)).save(tmp_path / "upright.png")
    _, (turned, upright), _ = as_json(capsys, save(classifier), tmp_path / "turned.png", tmp_path / "upright.png")
    assert turned["classes"] == upright["classes"]


def test_unreadable_images_are_named_and_the_others_predicted(classifier, save, pictures, capsys):
    model = save(classifier)
    whole = as_json(capsys, model, pictures)[1]
    (pictures / "03.png").write_bytes(b"no image")
    (pictures / "10.png").write_bytes((pictures / "09.png").read_bytes()[:60])
    status, answers, err = as_json(capsys, model, pictures, "--batch-size", 2)
    assert status == 1
    named = [answer for answer in whole if not answer["image"].endswith(("03.png", "10.png"))]
    assert [answer["image"] for answer in answers] == [answer["image"] for answer in whole]
    failed = [answer for answer in answers if "error" in answer]
    assert [(Path(answer["image"]).name, answer["classes"]) for answer in failed] == [("03.png", []), ("10.png", [])]
    assert "03.png cannot be read as an image: not a JPEG" in failed[0]["error"]
    for answer, expected in zip((answer for answer in answers if "error" not in answer), named, strict=True):
        assert [c["index"] for c in answer["classes"]] == [c["index"] for c in expected["classes"]]
    assert f"{pictures / '03.png'} cannot be read as an image: not a JPEG" in err
    assert f"{pictures / '10.png'} cannot be read as an image" in err
    assert "2 of 11 images could not be read" in err


def test_csv_has_a_row_for_each_class_and_for_each_unreadable_image(classifier, save, tmp_path, capsys):
    awkward = tmp_path / 'a, "b"\nc.png'
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)).save(awkward)
    (tmp_path / "no.png").write_bytes(b"no image")
    model = save(classifier, tuple(f'{name}, or "{name}"' for name in classifier.class_names))
    (answer,) = as_json(capsys, model, awkward, "--top", 2)[1]
    args = ["predict", model, str(tmp_path / "no.png"), str(awkward), "--top", "2", "--format", "csv"]
    assert cli.main(args) == 1
    out, err = capsys.readouterr()
    unreadable, *rows = csv.DictReader(io.StringIO(out))
    assert list(unreadable) == ["image", "rank", "class", "probability", "error"]
    assert unreadable["image"] == str(tmp_path / "no.png")
    assert "cannot be read as an image" in unreadable["error"]
    assert unreadable["rank"] == unreadable["class"] == unreadable["probability"] == ""
    assert [row["image"] for row in rows] == [str(awkward)] * 2
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert [row["class"] for row in rows] == [found["name"] for found in answer["classes"]]
    assert [float(row["probability"]) for row in rows] == [found["probability"] for found in answer["classes"]]
    assert {row["error"] for row in rows} == {""}
    assert "1 of 2 images could not be read" in err


def test_nothing_readable_is_told_of_each(classifier, save, tmp_path, capsys):
    (tmp_path / "a.jpg").touch()
    status, (answer,), _ = as_json(capsys, save(classifier), tmp_path / "a.jpg")
    assert (status, answer["classes"]) == (1, [])
    assert "a.jpg cannot be read as an image" in answer["error"]


def test_without_names_classes_are_numbers(classifier, save, pictures, capsys):
    _, answers, _ = as_json(capsys, save(classifier, names=()), pictures / "00.png", "--top", 99)
    assert len(answers[0]["classes"]) == 7
    assert all(found["name"] == f"class {found['index']}" for found in answers[0]["classes"])


def test_the_table_has_every_image_and_class(classifier, save, pictures, capsys):
    names = tuple(f"[bold]{name}[/bold] {'long ' * 20}end" for name in classifier.class_names)
    assert cli.main(["predict", save(classifier, names), str(pictures), "--top", "2", "--batch-size", "8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["image", "classes"]
    assert len(lines) == 1 + 11 * 2
    assert lines[1].startswith(str(pictures / "00.png"))
    assert all("[bold]" in line and line.rstrip().endswith("end") and "%" in line for line in lines[1:])


def test_in_a_pipe_no_path_is_folded(capsys):
    path = f"pictures/{'holiday/' * 10}one.jpg"
    answers = iter([predicting.Answer(path, (predicting.Guess(0, "cat", 0.9), predicting.Guess(1, "dog", 0.1)), None)])
    predicting.write_table(answers, [path])
    assert path in capsys.readouterr().out


def test_a_pipe_gets_the_lines_of_a_wide_terminal_without_a_layout(capsys, monkeypatch):
    """Which takes a millisecond an image, so that a fast device would wait for it."""
    guesses = predicting.Guess(0, "[red] panda", 1.0), predicting.Guess(1, "猫", 0.04567), predicting.Guess(2, "", 0)
    answers = [predicting.Answer(path, guesses) for path in ("a.jpg", "日本 [b].jpg")]
    files = [answer.image for answer in answers]
    with monkeypatch.context() as patch:
        patch.setenv("FORCE_COLOR", "1")
        patch.setenv("COLUMNS", "100")
        predicting.write_table(iter(answers), files)
    terminal = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out)
    monkeypatch.setattr(predicting.Console, "print", lambda *_: pytest.fail("laid out"))
    predicting.write_table(iter(answers), files)
    piped = capsys.readouterr().out
    assert [line.rstrip() for line in piped.splitlines()] == [line.rstrip() for line in terminal.splitlines()]
    assert piped.splitlines()[:2] == ["image         classes", "a.jpg         100.00%  [red] panda"]


def test_a_name_that_is_no_text_can_be_shown():
    assert predicting.shown(os.fsdecode(b"a\xff.png")) == "a\ufffd.png"


def test_bfloat16_computes_in_bfloat16(classifier, save, pictures, capsys):
    model = save(classifier)
    exact, coarse = (
        as_json(capsys, model, pictures / "00.png", "--top", 7, "--dtype", dtype)[1][0]["classes"]
        for dtype in ("float32", "bfloat16")
    )
    by_index = [{found["index"]: found["probability"] for found in found_all} for found_all in (exact, coarse)]
    differences = [abs(by_index[0][index] - by_index[1][index]) for index in range(7)]
    assert 1e-5 < max(differences) < 0.1
    assert abs(sum(by_index[1].values()) - 1) < 1e-5  # the softmax is float32


@pytest.mark.parametrize(
    ("args", "message"),
    [(["--top", "0"], "--top must be at least 1"), (["--batch-size", "0"], "--batch-size must be at least 1")],
)
def test_wrong_numbers_are_refused(classifier, save, pictures, capsys, args, message):
    assert cli.main(["predict", save(classifier), str(pictures), *args]) == 2
    assert message in capsys.readouterr().err


def test_a_model_without_classes_is_refused(classifier, save, pictures, capsys):
    headless = classifier.model.clone(num_classes=0)
    params = {name: value for name, value in classifier.params.items() if name != "head"}
    assert cli.main(["predict", save(classifier._replace(model=headless, params=params), ()), str(pictures)]) == 2
    assert "no classification head" in capsys.readouterr().err


def test_names_for_other_classes_are_refused(classifier, save, pictures, capsys):
    config = Path(save(classifier), "config.json")
    edited = {**json.loads(config.read_text()), "class_names": ["a", "b"]}
    del edited["sha256"]
    config.write_text(json.dumps(edited))
    assert cli.main(["predict", str(config.parent), str(pictures)]) == 2
    assert "has 7 classes, but names for 2" in capsys.readouterr().err
