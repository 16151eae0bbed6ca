"""How a run is evaluated: a classifier by its answers, a network without classes by its nearest neighbours; and the
features of either by what the config names.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.data.dataset import DivisibleSource
from vit_jax.data.feed import gather
from vit_jax.data.splits import some_of
from vit_jax.evaluation.accuracy import Predictions, collect
from vit_jax.evaluation.judge import How, judge
from vit_jax.evaluation.nearest_neighbours import neighbour_predictions
from vit_jax.models.network import Network, pooled_features
from vit_jax.models.network_input import network_input
from vit_jax.training.errors import TrainingError
from vit_jax.training.feeding import feed_of, reading
from vit_jax.training.parallel import fetched_late
from vit_jax.training.run import Run
from vit_jax.training.stop_signals import StopSignals


class Evaluation(NamedTuple):
    """What came of an evaluation on a split.

    Attributes:
        predictions: on all of it.
        judged: the accuracy of what each of the config's `judge_features` predicts from the features.
    """

    predictions: Predictions
    judged: Mapping[How, float]


Evaluate = Callable[[Any], Evaluation]
"""From parameters to the evaluation on all of a split."""

Compute = Callable[[Any], dict[str, np.ndarray]]
"""From parameters to arrays [N, ...] by name, of all examples of a split that count."""


class CutShort(Exception):
    """An evaluation ended before its end, because the run is to stop."""


def make_evaluator(run: Run, stop: StopSignals) -> Callable[[DivisibleSource], Evaluate] | None:
    """What gives the evaluation on a split; None where the images have no labels. Evaluations raise CutShort when the
    run is to stop.
    """
    if not run.dataset.class_names:
        return None
    config, compile_step = run.config, run.parallel.compile_predict
    predict = compile_step(make_predict(run.model)) if config.objective.learns_classes else None
    if predict is not None and not config.judge_features:
        return lambda source: by_answers(over_split(run, source, predict, stop))
    embed = compile_step(make_embed(run.model))
    known = over_split(run, some_of(run.dataset.train, config.neighbours.examples), embed, stop)

    def evaluator(source: DivisibleSource) -> Evaluate:
        answers = None if predict is None else over_split(run, source, predict, stop)
        return by_features(run, known, over_split(run, source, embed, stop), answers)

    return evaluator


def make_predict(model: Network) -> Callable[[Any, Any, Any], dict[str, jax.Array]]:
    """The evaluation step: `predict(params, arrays, batch)` gives for each example of the batch, [B] each:

    its true "label", the "predicted" class, the "confidence" (probability) of that class, its "loss" and whether it
    "counts" (examples that only fill up a batch do not).
    """

    def predict(params: Any, arrays: Any, batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        images, labels = gather(arrays, batch)
        logits = cast(jax.Array, model.apply({"params": params}, network_input(model, images)))
        log_probabilities = jax.nn.log_softmax(logits)
        return {
            "label": labels,
            "predicted": jnp.argmax(log_probabilities, -1),
            "confidence": jnp.exp(log_probabilities.max(-1)),
            "loss": -jnp.take_along_axis(log_probabilities, labels[:, None], -1)[:, 0],
            "counts": batch["counts"],
        }

    return predict


def make_embed(model: Network) -> Callable[[Any, Any, Any], dict[str, jax.Array]]:
    """The step that evaluates a network without classes: `embed(params, arrays, batch)` gives for each example of the
    batch its "feature", float32 [B, D], its "label" [B] and whether it "counts" [B].
    """

    def embed(params: Any, arrays: Any, batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        images, labels = gather(arrays, batch)
        feature = pooled_features(model, params, network_input(model, images))
        return {"feature": feature, "label": labels, "counts": batch["counts"]}

    return embed


def over_split(run: Run, source: DivisibleSource, compiled: Callable[..., Any], stop: StopSignals) -> Compute:
    """A compiled step of (parameters, arrays, batch) over all of a split, which stays on the device between calls."""
    feed = feed_of(run, source)
    arrays = run.parallel.place_arrays(feed.arrays)

    def compute(params: Any) -> dict[str, np.ndarray]:
        def of_batches() -> Iterator[dict[str, jax.Array]]:
            for batch in reading(feed.in_order(run.config.batch_size)):
                if stop.agreed():
                    raise CutShort
                yield compiled(params, arrays, run.parallel.place_batch(batch))

        return collect(fetched_late(of_batches()))

    return compute


def by_answers(predict: Compute) -> Evaluate:
    """A classifier's answers."""
    return lambda params: Evaluation(Predictions(**predict(params)), {})


def by_features(run: Run, embed_known: Compute, embed_judged: Compute, answers: Compute | None) -> Evaluate:
    """A classifier's answers, or else the votes of the nearest training examples; and what else judges the features."""

    def evaluate(params: Any) -> Evaluation:
        predictions = None if answers is None else Predictions(**answers(params))
        known, judged = embed_known(params), embed_judged(params)
        return Evaluation(predictions or votes_of(run, known, judged), judgements(run, known, judged))

    return evaluate


def votes_of(run: Run, known: Mapping[str, np.ndarray], judged: Mapping[str, np.ndarray]) -> Predictions:
    """What the training examples say whose features are nearest."""
    classes = len(run.dataset.class_names)
    votes = run.config.neighbours.votes(known["feature"], known["label"], judged["feature"], classes)
    return neighbour_predictions(votes, judged["label"], judged["place"])


def judgements(run: Run, known: Mapping[str, np.ndarray], judged: Mapping[str, np.ndarray]) -> dict[How, float]:
    """The accuracy by each of the config's `judge_features`.

    Raises:
        TrainingError: if there are too few examples to learn from.
    """
    learned_from, asked = ((features["feature"], features["label"]) for features in (known, judged))
    found: dict[How, float] = {}
    for how in run.config.judge_features:
        try:
            judgement = judge(how, learned_from, asked, len(run.dataset.class_names), run.config.neighbours)
        except ValueError as error:
            raise TrainingError(f"judge_features {how}, from {len(known['label']):,} images: {error}") from None
        found[how] = judgement.accuracy
    return found
