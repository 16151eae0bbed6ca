"""How a run is evaluated: a classifier by its answers, a network without classes by its nearest neighbours."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.data.dataset import Part, Source
from vit_jax.data.feed import Batch, gather
from vit_jax.evaluation.accuracy import Predictions, collect
from vit_jax.evaluation.nearest_neighbours import nearest_neighbour_votes, neighbour_predictions
from vit_jax.models.network import Network, pooled_features
from vit_jax.models.network_input import network_input
from vit_jax.training.feeding import feed_of, reading
from vit_jax.training.run import Run
from vit_jax.training.stop_signals import StopSignals

Evaluate = Callable[[Any], Predictions]
"""From parameters to the predictions on all of a split."""

Compute = Callable[[Any], dict[str, np.ndarray]]
"""From parameters to arrays [N, ...] by name, of all examples of a split that count."""


class CutShort(Exception):
    """An evaluation ended before its end, because the run is to stop."""


def make_evaluator(run: Run, stop: StopSignals) -> Callable[[Source], Evaluate] | None:
    """What gives the evaluation on a split; None where the images have no labels. Evaluations raise CutShort when the
    run is to stop.
    """
    if not run.dataset.class_names:
        return None
    compile_step = run.parallel.compile_predict
    if run.config.objective.learns_classes:
        predict = compile_step(make_predict(run.model))
        return lambda source: by_answers(over_split(run, source, predict, stop))
    embed = compile_step(make_embed(run.model))
    voters = over_split(run, some_of(run.dataset.train, run.config.neighbours.examples), embed, stop)
    return lambda source: by_neighbours(run, voters, over_split(run, source, embed, stop))


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


def over_split(run: Run, source: Source, compiled: Callable[..., Any], stop: StopSignals) -> Compute:
    """A compiled step of (parameters, arrays, batch) over all of a split, which stays on the device between calls."""
    feed = feed_of(run, source)
    arrays = run.parallel.place_arrays(feed.arrays)

    def compute(params: Any) -> dict[str, np.ndarray]:
        def of_batch(batch: Batch) -> dict[str, np.ndarray]:
            if stop.agreed():
                raise CutShort
            return compiled(params, arrays, run.parallel.place_batch(batch))

        return collect(of_batch, reading(feed.in_order(run.config.batch_size)))

    return compute


def by_answers(predict: Compute) -> Evaluate:
    """A classifier's answers."""
    return lambda params: Predictions(**predict(params))


def by_neighbours(run: Run, embed_voters: Compute, embed_judged: Compute) -> Evaluate:
    """The votes of the training examples whose features are nearest."""
    settings, classes = run.config.neighbours, len(run.dataset.class_names)

    def evaluate(params: Any) -> Predictions:
        voters, judged = embed_voters(params), embed_judged(params)
        known, k = (voters["feature"], voters["label"]), min(settings.k, len(voters["label"]))
        votes = nearest_neighbour_votes(*known, judged["feature"], classes, k, settings.temperature)
        return neighbour_predictions(votes, judged["label"], judged["place"])

    return evaluate


def some_of(source: Source, count: int) -> Source:
    """So many examples of a source, always the same; all of them where there are not more."""
    if len(source) <= count:
        return source
    return Part(source, np.sort(np.random.default_rng(0).permutation(len(source))[:count]))
