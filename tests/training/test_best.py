"""The model of the best evaluation on the validation split is kept, whatever comes after it."""

import dataclasses
import math
import shutil
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import vit_jax
from vit_jax.data.dataset import DataConfig
from vit_jax.data.images_of_run import workdir_of
from vit_jax.evaluation.accuracy import Predictions
from vit_jax.inspection.run_report import summarise
from vit_jax.training import loop
from vit_jax.training.best import read_best
from vit_jax.training.errors import TrainingError
from vit_jax.training.evaluating import Evaluation

EXAMPLES = 10


@pytest.fixture
def config(small_config):
    """Evaluations and checkpoints every ten of forty steps, on a validation split."""
    data = DataConfig("digits", validation_fraction=0.1)
    return dataclasses.replace(small_config, data=data, evaluate_every="10 steps")


@pytest.fixture
def script(monkeypatch):
    """Has evaluations of a validation split come to these accuracies, in turn, and to these losses, by default 1.
    Returns the parameters of each."""

    def script(*accuracies: float, losses: tuple[float, ...] = ()) -> list[Any]:
        seen, turns = [], iter(list(zip_longest(accuracies, losses, fillvalue=1.0)))

        def make_evaluator(run: Any, stop: Any) -> Any:
            def on(accuracy: float, loss: float) -> Evaluation:
                right = np.arange(EXAMPLES) < round(accuracy * EXAMPLES)
                label, ones = np.zeros(EXAMPLES, int), np.ones(EXAMPLES)
                answers = Predictions(np.arange(EXAMPLES), label, np.where(right, 0, 1), ones, loss * ones)
                return Evaluation(answers, {})

            def validate(params: Any) -> Evaluation:
                seen.append(jax.device_get(params))
                return on(*next(turns))

            return lambda source: validate if source is run.dataset.validation else lambda params: on(1.0, 1.0)

        monkeypatch.setattr(loop, "make_evaluator", make_evaluator)
        return seen

    return script


def kept(workdir: Path) -> tuple[Any, dict[str, Any]]:
    """The parameters in best/, and what is written beside them."""
    reached = read_best(workdir)
    assert reached is not None
    return vit_jax.load_pretrained(workdir / "best")[1], reached


def test_the_first_of_the_best_evaluations_is_kept(config, script, run_to_end, tmp_path):
    """Of the moving average, which is what is evaluated; beside the last parameters, which are the run's result."""
    seen = script(0.3, 0.8, 0.8, 0.5)
    run, result, _ = run_to_end(config, tmp_path)
    params, row = kept(tmp_path)
    jax.tree.map(np.testing.assert_array_equal, params, seen[1])
    (logged,) = [row for row in result.rows if (row["kind"], row["step"]) == ("validation", 20)]
    assert row == {name: logged[name] for name in ("step", "epoch", "accuracy", "loss", "examples")} | {"accuracy": 0.8}
    when = f"80.00% of the validation images, after epoch {logged['epoch']:.2f}"
    said = summarise(run, result, tmp_path / "report.html")
    assert said[-1] == f'best     vit_jax.load_pretrained("{tmp_path}/best"): {when}'

    _, last = vit_jax.load_pretrained(tmp_path)
    jax.tree.map(np.testing.assert_array_equal, last, result.params)
    assert np.abs(last["norm"]["scale"] - params["norm"]["scale"]).max() > 0


def test_the_images_of_its_run_are_known(tmp_path):
    """So that `vit-jax evaluate RUN/best` divides them as in training; also of a run that is called so."""
    for workdir in (tmp_path / "run", tmp_path / "best"):
        (workdir / "best").mkdir(parents=True)
        for directory in (workdir, workdir / "best"):
            (directory / "config.json").touch()
        assert workdir_of(str(workdir)) == workdir
        assert workdir_of(str(workdir / "best")) == workdir


@pytest.mark.parametrize(
    ("losses", "best"), [((1, 2, 1.5, 1), 40), ((1, 2, math.nan, 2), 20), ((1, math.inf, 3, 4), 30)]
)
def test_of_equal_accuracies_the_lower_loss_decides(losses, best, config, script, run_to_end, tmp_path):
    """As a small split often has them; a loss that is not finite is the highest."""
    script(0.3, 0.8, 0.8, 0.8, losses=losses)
    run_to_end(config, tmp_path)
    assert kept(tmp_path)[1]["step"] == best


@pytest.mark.parametrize(
    ("after", "best"),
    [((0.8, 0.5, 0.8), 20), ((0.8, 0.9, 0.5), 30), ((0.7, 0.7, 0.7), 20)],
    ids=["before", "later", "not_reached_again"],
)
def test_a_run_that_was_killed_remembers_its_best(after, best, config, script, run_to_end, cut_off, tmp_path):
    """Also one of steps that are done again, and that come to less then, as they may on a GPU."""
    config = dataclasses.replace(config, checkpoint_every="15 steps")
    before = script(0.3, 0.8)
    cut_off(config, tmp_path, killed_after=24)
    later = script(*after)
    run, result, _ = run_to_end(config, tmp_path)
    params, row = kept(tmp_path)
    assert row["step"] == best
    jax.tree.map(np.testing.assert_array_equal, params, {20: before[1], 30: later[1]}[best])
    assert any(f"{max(0.8, *after):.2%} of the validation" in line for line in summarise(run, result, tmp_path))


def test_one_killed_between_an_evaluation_and_its_model_keeps_it_when_it_goes_on(
    config, script, run_to_end, cut_off, tmp_path
):
    before = script(0.3, 0.8)
    cut_off(dataclasses.replace(config, checkpoint_every="20 steps"), tmp_path, killed_after=24)
    shutil.rmtree(tmp_path / "best")
    script(0.5, 0.4)
    run_to_end(config, tmp_path)
    params, row = kept(tmp_path)
    assert row["step"] == 20
    jax.tree.map(np.testing.assert_array_equal, params, before[1])


def test_one_that_was_damaged_is_refused(config, script, run_to_end, tmp_path):
    script(0.3, 0.8)
    run_to_end(config, tmp_path, duration="20 steps")
    path = tmp_path / "best" / "validation.json"
    path.write_text(path.read_text().replace("0.8", "0.1"))
    with pytest.raises(TrainingError, match=r"validation.json .*Without the folder .*best"):
        read_best(tmp_path)


def test_a_run_that_begins_anew_has_no_best_of_another(config, script, run_to_end, tmp_path):
    """As one that was killed before its first checkpoint leaves it."""
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "of_another").touch()
    script(0.4)
    run_to_end(config, tmp_path, duration="6 steps")
    assert kept(tmp_path)[1]["step"] == 6
    assert not (tmp_path / "best" / "of_another").exists()


def test_the_test_split_chooses_nothing(small_config, run_to_end, tmp_path):
    """Where there is no validation split, evaluations during training are of the test images."""
    _, result, _ = run_to_end(small_config, tmp_path, duration="6 steps", evaluate_every="3 steps")
    assert any(row["kind"] == "test" for row in result.rows)
    assert not (tmp_path / "best").exists()
