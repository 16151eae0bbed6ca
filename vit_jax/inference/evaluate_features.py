"""The score of a network's frozen features on a data set: `vit-jax evaluate --how knn|probe|few-shot`."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import numpy as np

from vit_jax.data.splits import some_of
from vit_jax.evaluation.judge import SHOTS, How, Labelled, check_examples, judge
from vit_jax.evaluation.nearest_neighbours import Neighbours
from vit_jax.inference.compiled import compile_for_rows, require_finite
from vit_jax.inference.evaluate import tracked, write_table
from vit_jax.inference.evaluation_data import EvaluationData, Split, load_evaluation_data
from vit_jax.inference.model_source import ModelSource
from vit_jax.models.network import Network, pooled_features
from vit_jax.models.network_input import network_input


def evaluate_features(
    source: ModelSource,
    how: How,
    data: str,
    split: Split | None,
    batch_size: int,
    dtype: str,
    output: Literal["table", "json"],
    data_dir: str | None,
    skip_unreadable: bool,
    examples: int | None,
) -> None:
    """Judges the features of a network, which needs no classes for that, and prints what came of it.

    Those of the training split are learned from: of so many `examples` of it, always the same, or of all.

    Raises:
        ValueError, FileNotFoundError: with what is wrong in what was asked for.
    """
    split = split or "test"
    if split in ("train", "all"):
        raise ValueError(f"--how {how} learns from the training images: judge it on --split test or validation")
    if examples is not None and examples < 1:
        raise ValueError(f"--examples must be at least 1, not {examples}")
    model, params, _ = source.load()
    model = model.clone(dtype=np.dtype(dtype))
    training, held_out = (
        load_evaluation_data(source.source, model, data, part, data_dir, skip_unreadable) for part in ("train", split)
    )
    notes = held_out.notes
    if examples is not None and examples < len(training):
        notes += (f"{examples:,} of the {len(training):,} training images are there to learn from, drawn at random",)
        training = dataclasses.replace(training, sources=[some_of(images, examples) for images in training.sources])
    training, drawn = only_drawn(training) if how == "few-shot" else (training, None)
    learned_from = features_of(model, params, training, batch_size, "train")
    check_examples(how, learned_from[1], training.class_names)
    if len(learned_from[1]) < len(training):
        drawn = None  # some were unreadable: drawn anew from the others
    judged = features_of(model, params, held_out, batch_size, split)
    judgement = judge(how, learned_from, judged, len(held_out.class_names), Neighbours(), drawn)
    if output == "json":
        asked = dict(source=source.source, data=data, split=split, how=how, dtype=dtype, notes=notes)
        counted = {"examples": len(judged[1]), "learned_from": len(learned_from[1])}
        print(json.dumps({**asked, **counted, "accuracy": judgement.accuracy, **judgement.details}, indent=2))
    else:
        title = f"{len(judged[1]):,} ({data}, {split})"
        rows = {"images": title, "accuracy": f"{judgement.accuracy:.2%}", "by": judgement.description}
        write_table(rows, notes)


def only_drawn(training: EvaluationData) -> tuple[EvaluationData, np.ndarray]:
    """The training images that "few-shot" draws, and which of these each draw takes: no other need be decoded.

    Raises:
        ValueError: if a class has too few.
    """
    from vit_jax.evaluation.few_shot import draw_few  # with scikit-learn, which takes a second to import

    (source,) = training.sources
    labels = source.labels
    check_examples("few-shot", labels, training.class_names)
    places, drawn = np.unique(draw_few(labels, SHOTS), return_inverse=True)
    return dataclasses.replace(training, sources=[source.subset(places)]), drawn


def features_of(
    model: Network, params: Mapping[str, Any], data: EvaluationData, batch_size: int, title: str
) -> Labelled:
    """The pooled features and labels of all of a split that can be read.

    They are in memory once: a million of a large network's are gigabytes.

    Raises:
        ValueError: if the features are not finite.
    """
    compiled = compile_for_rows(make_pooled(model), params, batch_size, len(data))
    features, labels, done = np.empty((0, 0), np.float32), np.empty(len(data), np.int32), 0
    for batch in tracked(data, compiled.batch_size, f"features, {title}"):
        found = compiled({"image": batch["image"]})["feature"]
        require_finite(found)
        if not done:
            features = np.empty((len(data), found.shape[1]), np.float32)
        rows = slice(done, done + len(found))
        features[rows], labels[rows] = found, batch["label"]
        done = rows.stop
    return features[:done], labels[:done]


def make_pooled(model: Network) -> Callable[[Any, Mapping[str, jax.Array]], dict[str, jax.Array]]:
    """The function of parameters and a batch that gives the pooled "feature" of each image, float32 [B, D]."""

    def pooled(params: Any, batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        return {"feature": pooled_features(model, params, network_input(model, batch["image"]))}

    return pooled
