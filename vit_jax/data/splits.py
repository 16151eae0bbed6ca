"""Division of images into training, validation and test splits, stratified by class and seeded."""

from collections.abc import Iterator, Sequence

import numpy as np

from vit_jax.data.dataset import DataConfig, Dataset, DivisibleSource


def divide(
    config: DataConfig,
    class_names: Sequence[str],
    image_shape: tuple[int, int, int],
    train: DivisibleSource,
    validation: DivisibleSource | None = None,
    test: DivisibleSource | None = None,
    notes: Sequence[str] = (),
) -> Dataset:
    """Makes a data set of the splits that a publisher gives, and completes them as the config asks.

    A missing test split is the set's validation split, where it has one, and a stratified part of the training images
    otherwise. A missing validation split is a stratified part of the training images, where the config asks for one.

    Args:
        config: gives the name, the fractions and the seed.
        class_names: one for each label.
        image_shape: (H, W, C) of every image.
        train: the set's training images, or all of its images.
        validation: the set's own validation split.
        test: the set's own test split.
        notes: what else is to be known of the set; how it was divided is added.

    Raises:
        ValueError: a fraction leaves some class without images in some split.
    """
    notes = list(notes)
    if test is None and validation is not None:
        test, validation = validation, None
        notes.append("no test split: the set's validation split is used as the test split")
    if validation is not None and config.validation_fraction:
        notes.append(f"validation_fraction {config.validation_fraction} not used: the set has a validation split")

    test_fraction = 0.0 if test is not None else config.test_fraction
    validation_fraction = 0.0 if validation is not None else config.validation_fraction
    if test_fraction or validation_fraction:
        stratified = "stratified by class, " if len(class_names) > 1 else ""
        of = f"of {len(train):,} images held out, {stratified}seed {config.split_seed}"
        parts = stratified_parts(train.labels, (test_fraction, validation_fraction), config.split_seed, class_names)
        train, test_part, validation_part = (train.subset(indices) for indices in parts)
        if test_fraction:
            test = test_part
            notes.append(f"test: {len(test):,} {of}")
        if validation_fraction:
            validation = validation_part
            notes.append(f"validation: {len(validation):,} {of}")
    if test is None:
        raise ValueError("data.test_fraction is 0, but the set has no test split of its own: hold some images out")
    return Dataset(config.name, tuple(class_names), image_shape, train, validation, test, tuple(notes))


def stratified_parts(
    labels: np.ndarray, fractions: Sequence[float], seed: int, class_names: Sequence[str]
) -> list[np.ndarray]:
    """Divides examples so that every class is divided in the same proportions.

    Which examples a part gets does not depend on the fractions of the parts after it.

    Args:
        labels: int [N].
        fractions: of the examples, for every part but the first, which gets the rest.
        seed: of the choice.
        class_names: one for each label, for the error.

    Returns:
        The indices of the examples of each part, in increasing order: the rest, then one part for each fraction. Each
        class gives round(fraction x its images) to a part, at least 1 where the fraction is not 0.

    Raises:
        ValueError: classes with too few images to give some to every part; names them all.
    """
    rng = np.random.default_rng(seed)
    parts: list[list[np.ndarray]] = [[] for _ in range(len(fractions) + 1)]
    too_small = []
    for label, members in members_of_classes(labels):
        counts = [max(1, round(len(members) * fraction)) if fraction else 0 for fraction in fractions]
        if sum(counts) >= len(members):
            images = "1 image" if len(members) == 1 else f"{len(members)} images"
            too_small.append(f"class {class_names[label]!r} has {images}, to hold out {sum(counts)} of")
        *held_out, rest = np.split(rng.permutation(members), np.cumsum(counts))
        for part, chosen in zip(parts, [rest, *held_out], strict=True):
            part.append(chosen)
    if too_small:
        raise ValueError(
            f"{'; '.join(too_small)}: none would be left to train on. A class needs at least "
            f"{1 + sum(fraction > 0 for fraction in fractions)} images. Add some, leave these classes out, or hold out "
            "less (data.test_fraction, data.validation_fraction)"
        )
    return [np.sort(np.concatenate(part)) for part in parts]


def some_of(source: DivisibleSource, count: int) -> DivisibleSource:
    """So many examples of a source, always the same; all of them where there are not more."""
    if len(source) <= count:
        return source
    return source.subset(np.sort(np.random.default_rng(0).permutation(len(source))[:count]))


def members_of_classes(labels: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each class that there are examples of, in increasing order, and the indices of these, in increasing order.

    In one sort, and not by a search for each class, which takes minutes for a million examples of 20,000.
    """
    classes, first = np.unique(np.sort(labels), return_index=True)
    members = np.split(np.argsort(labels, kind="stable"), first[1:])
    return zip(classes.tolist(), members, strict=True)
