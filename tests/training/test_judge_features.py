"""Features that are judged at each evaluation by more than the config's own measure: of a classifier, and without."""

import dataclasses
import functools

import numpy as np
import pytest

import vit_jax
from tests.training.pretraining_steps import MAE
from vit_jax.data.sources import load_dataset
from vit_jax.evaluation.few_shot import draw_few, few_shot
from vit_jax.evaluation.judge import SHOTS
from vit_jax.evaluation.linear_probe import linear_probe
from vit_jax.evaluation.nearest_neighbours import Neighbours, nearest_neighbour_votes
from vit_jax.inspection.run_report import write_run_report
from vit_jax.objectives.masked_autoencoding import MaskedAutoencoding
from vit_jax.training.config import ModelConfig
from vit_jax.training.errors import TrainingError
from vit_jax.training.run import check_labels, prepare

ALL = ("knn", "probe", "few-shot")
NEIGHBOURS = Neighbours(k=5, examples=300)


@pytest.fixture(scope="module")
def trained(small_config, run_to_end, tmp_path_factory):
    """A classifier."""
    config = dataclasses.replace(small_config, neighbours=NEIGHBOURS, judge_features=ALL)
    return run_to_end(config, tmp_path_factory.mktemp("vit"))


def test_a_classifiers_features_are_judged_as_by_hand(trained):
    run, result, _ = trained
    model, params = vit_jax.load_pretrained(run.workdir)
    preprocess = vit_jax.preprocessing(model)

    def features_of(source, places):
        images, labels = zip(*(source[int(i)] for i in places), strict=True)
        pooled = vit_jax.features(model, params, np.stack([preprocess(image) for image in images])).pooled
        return np.asarray(pooled), np.array(labels)

    voters = np.sort(np.random.default_rng(0).permutation(len(run.dataset.train))[:300])
    known = features_of(run.dataset.train, voters)
    judged = features_of(run.dataset.test, range(len(run.dataset.test)))
    last = result.rows[-1]
    votes = nearest_neighbour_votes(*known, judged[0], 10, k=5)
    # Features differ in their last bits, which may decide for an image or two of 359.
    assert last["accuracy_by_knn"] == pytest.approx(np.mean(votes.argmax(1) == judged[1]), abs=0.006)
    assert last["accuracy_by_probe"] == pytest.approx(linear_probe(*known, *judged).accuracy, abs=0.006)
    by_few = np.mean(few_shot(*known, *judged, draw_few(known[1], SHOTS)))
    assert last["accuracy_by_few-shot"] == pytest.approx(by_few, abs=0.006)
    assert last["accuracy"] == result.test.accuracy != last["accuracy_by_knn"]


def test_each_evaluation_has_them_and_tells_them(trained):
    run, result, lines = trained
    tests = [row for row in result.rows if row["kind"] == "test"]
    assert [row["step"] for row in tests] == [20, 40]
    assert all(row[f"accuracy_by_{how}"] > 0.2 for row in tests for how in ALL)
    assert "neighbours" not in tests[0]  # its accuracy is that of its answers
    for how, title in (("knn", "nearest neighbours"), ("probe", "a linear probe"), ("few-shot", "10 images of each")):
        assert any(f"by {title}" in line and f"{tests[0][f'accuracy_by_{how}']:.2%}" in line for line in lines)
    page = write_run_report(run, result, "command").read_text()
    assert f"{result.rows[-1]['accuracy_by_probe']:.2%}" in page
    assert "By a linear probe" in page


def test_a_network_without_classes_is_judged_beside_its_neighbours(small_config, run_to_end, tmp_path):
    config = dataclasses.replace(
        small_config,
        model=ModelConfig("mae_cifar_patch2_32", MAE),
        augment=(),
        objective=MaskedAutoencoding(),
        neighbours=NEIGHBOURS,
        duration="10 steps",
    )
    with_probe = functools.partial(run_to_end, dataclasses.replace(config, judge_features=("probe", "knn")))
    _, result, _ = with_probe(tmp_path / "with")
    last = result.rows[-1]
    assert last["accuracy"] == last["accuracy_by_knn"] == result.test.accuracy
    assert last["accuracy_by_probe"] > 0.2
    _, plain, _ = run_to_end(config, tmp_path / "without")
    assert plain.test.accuracy == result.test.accuracy
    assert not any(name.startswith("accuracy_by") for name in plain.rows[-1])


def test_too_few_shots_are_refused_before_any_step(small_config, tmp_path):
    config = dataclasses.replace(small_config, judge_features=("few-shot",), neighbours=Neighbours(k=5, examples=40))
    of_classes = (
        r"judge_features: few-shot needs 10 images of each class among the 40 training images .*; '\d' has \d, .*more "
        r"have too few\); a larger neighbours\.examples has more of each$"
    )
    with pytest.raises(ValueError, match=of_classes):
        prepare(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_more_examples_are_not_advised_where_all_are_known(small_config):
    config = dataclasses.replace(small_config, judge_features=("few-shot",))
    dataset = load_dataset(config.data)
    few = dataclasses.replace(dataset, train=dataset.train.subset(np.arange(40)))
    with pytest.raises(ValueError, match=r"among the 40 training images .*more have too few\)$"):
        check_labels(config, few)


def test_too_few_examples_that_are_left_end_the_run_and_say_so(small_config, run_to_end, tmp_path, monkeypatch):
    """As where files vanish after the beginning, whose check is left out here."""
    config = dataclasses.replace(small_config, judge_features=("probe",), neighbours=Neighbours(k=5, examples=12))
    monkeypatch.setattr("vit_jax.training.run.check_examples", lambda *_: None)
    with pytest.raises(TrainingError, match=r"judge_features probe, from 12 images: .* class"):
        run_to_end(config, tmp_path)


def test_a_run_may_be_judged_otherwise_when_it_goes_on(trained, small_config):
    run, _, _ = trained
    prepare(dataclasses.replace(run.config, judge_features=("knn",)), run.workdir)
    with pytest.raises(ValueError, match="seed"):
        prepare(dataclasses.replace(run.config, seed=17), run.workdir)


def test_an_unknown_judge_is_refused(small_config):
    with pytest.raises(ValueError, match="judge_features must be of knn, probe, few-shot; not 'linear'"):
        dataclasses.replace(small_config, judge_features=("linear",))
