"""From a config to everything a run needs, every mistake found before any work is done."""

import dataclasses
import json
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vit_jax import durations
from vit_jax.data.dataset import Dataset, NamedSource
from vit_jax.data.feed import Share
from vit_jax.data.images_of_run import describe_learned
from vit_jax.data.listing import LISTING, write_listing
from vit_jax.data.set_record import RECORD, keep_record
from vit_jax.data.sources import load_dataset
from vit_jax.data.splits import some_of
from vit_jax.digest import digest_of
from vit_jax.evaluation.judge import check_examples
from vit_jax.models.attention_kernel import Choice
from vit_jax.models.initialise import init_params
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network
from vit_jax.models.parameters import parameter_shapes
from vit_jax.models.pretraining import encoder_of
from vit_jax.models.vit import VisionTransformer
from vit_jax.objectives.classification import Classification
from vit_jax.objectives.objective import Objective
from vit_jax.pretrained.native import write_module
from vit_jax.training.config import Config, to_json
from vit_jax.training.optimizer import make_optimizer, make_schedule
from vit_jax.training.parallel import Parallel, Replicas, make_parallel
from vit_jax.training.processes import is_first, require_same
from vit_jax.training.start import NETWORK, Start, find_start
from vit_jax.training.step import Step, TrainState, start_state
from vit_jax.training.teacher import TEACHER, LoadedTeacher, keep_teacher, load_teacher
from vit_jax.training.workdir import (
    checkpoint_bytes,
    claim_workdir,
    forget_unbegun,
    refuse_lost_checkpoints,
    refuse_other_config,
    refuse_pattern,
    require_room,
)
from vit_jax.training.workdir_lock import WorkdirLock, holder_of

UNEQUAL = 3
"""A class with so many times the training images of another is worth a note."""


@dataclass(frozen=True)
class Run:
    """All parts of a training run.

    Attributes:
        config: of the experiment.
        workdir: where everything about it is kept.
        dataset: its images.
        model: the network, with the data set's classes and channels.
        parallel: the devices.
        step: the training step.
        share: the part of each batch that this process feeds.
        start: where its network comes from.
        params: pretrained ones, on the host; None if they are fresh or in a checkpoint.
        teacher: of a distillation, or a tokenizer; None for other objectives.
        lock: of the workdir, held until it is closed or the process ends; of several processes by the first.
    """

    config: Config
    workdir: Path
    dataset: Dataset
    model: Network
    parallel: Parallel
    step: Step
    share: Share
    start: Start
    params: Any | None
    teacher: LoadedTeacher | None
    lock: WorkdirLock | None

    @property
    def total_steps(self) -> int:
        """Its length."""
        return self.steps(self.config.duration)

    def initial_state(self) -> TrainState:
        """The state before the first step, placed on the devices."""
        params = init_params(self.model, jax.random.key(self.config.seed)) if self.params is None else self.params
        return self.parallel.build_state(self.begin, params)

    def describe_saved(self) -> TrainState:
        """What a checkpoint holds, with `jax.ShapeDtypeStruct`s for arrays: nothing is computed or allocated."""
        return self.parallel.describe_gathered(jax.eval_shape(self.begin, parameter_shapes(self.model)))

    def begin(self, params: Any) -> TrainState:
        """The state before the first step of given parameters."""
        return start_state(params, self.step.optimizer, ema=self.config.keeps_average)

    def steps(self, duration: str) -> int:
        """A duration of this run in steps."""
        return durations.to_steps(duration, len(self.dataset.train), self.config.batch_size)


def prepare(config: Config, workdir: Path) -> Run:
    """Checks a config against the machine, the data and the workdir, and puts a run together.

    Raises:
        ValueError, FileNotFoundError, OSError, ModuleNotFoundError: with what is wrong and what would be right;
            nothing was trained.
    """
    refuse_pattern(workdir)
    if is_first():
        if jax.process_count() == 1:  # others may be reading it already
            forget_unbegun(workdir)
        refuse_other_config(config, workdir)
        refuse_lost_checkpoints(workdir)
    start = find_start(config, workdir)
    parallel = make_parallel(config.parallel, config.batch_size, config.accumulate_steps)
    dataset = load_dataset(config.data, workdir / LISTING)
    check_labels(config, dataset)
    model = start.for_data(dataset.name, len(dataset.class_names), dataset.image_shape)
    start = start.with_head_for(dataset.class_names, model)
    teacher = load_teacher(config, dataset, model)
    shapes = parameter_shapes(model)
    step = make_step(config, dataset, model, shapes, teacher, parallel.replicas)
    params = start.read(model)
    lock = None
    if is_first():
        require_room(workdir, checkpoint_bytes(shapes, step.optimizer, config), config.keep_checkpoints)
        lock = begin_workdir(config, workdir, start, model, dataset, teacher)
    if jax.process_count() > 1:
        require_same(fingerprint(config, dataset, model, params, teacher))
        # Now the first has locked it. On disks of their own, each would keep its part of every checkpoint, for nobody.
        require_same({"the workdir, which all processes must share": holder_of(workdir)})
    share = Share(jax.process_index(), jax.process_count())
    sources = (config.model.pretrained, teacher and teacher.source)
    learned = [note for source in dict.fromkeys(sources) for note in learned_images_notes(source, dataset)]
    unequal = unequal_classes_notes(config.objective, dataset)
    dataset = dataclasses.replace(dataset, notes=(*dataset.notes, *learned, *unequal))
    return Run(config, workdir, dataset, model, parallel, step, share, start, params, teacher, lock)


def check_labels(config: Config, dataset: Dataset) -> None:
    """Raises ValueError if a config needs classes and the images have none, or a class has too few to be judged by."""
    if config.objective.learns_classes and not dataset.class_names:
        raise ValueError(f"{dataset.name} is read without labels (data.labels False): there are no classes to learn")
    if config.judge_features and not dataset.class_names:
        raise ValueError(f"judge_features needs classes; {dataset.name} is read without labels (data.labels False)")
    for how in config.judge_features:
        known = some_of(dataset.train, config.neighbours.examples)
        try:
            check_examples(how, known.labels, dataset.class_names)
        except ValueError as error:
            more = "; a larger neighbours.examples has more of each" if len(known) < len(dataset.train) else ""
            raise ValueError(f"judge_features: {error}{more}") from None


def make_step(
    config: Config,
    dataset: Dataset,
    model: Network,
    shapes: Any,
    teacher: LoadedTeacher | None,
    replicas: Replicas,
) -> Step:
    """The training step of a network, with the optimizer of parameters of these shapes, and with what of it and of the
    objective changes over the run."""
    in_steps = partial(durations.to_steps, examples=len(dataset.train), batch_size=config.batch_size)
    total_steps = in_steps(config.duration)
    schedule = make_schedule(config.schedule, config.optimizer.learning_rate, total_steps, in_steps)
    frozen_steps = config.objective.frozen_steps(in_steps)
    return Step(
        model=model,
        objective=config.objective,
        augment=config.augment,
        optimizer=make_optimizer(config.optimizer, schedule, shapes, total_steps, frozen_steps, replicas.norm),
        schedule=schedule,
        num_classes=len(dataset.class_names),
        accumulate_steps=config.accumulate_steps,
        ema_decay=config.ema_decay,
        replicas=replicas,
        freeze=config.optimizer.freeze,
        teacher=None if teacher is None else teacher.model,
        schedules=tuple(config.objective.schedules(total_steps, in_steps).items()),
        class_weights=balancing_weights(dataset) if config.objective.weighs_classes else None,
    )


def begin_workdir(
    config: Config, workdir: Path, start: Start, model: Network, dataset: Dataset, teacher: LoadedTeacher | None
) -> WorkdirLock:
    """Takes the workdir for this run, and keeps there what it cannot go on without."""
    lock = claim_workdir(config, workdir)
    if start.stored is not None:
        write_module(workdir / NETWORK, model)
    write_listing(dataset, workdir / LISTING)
    keep_record(dataset, workdir / RECORD)
    if teacher is not None:
        keep_teacher(teacher, workdir / TEACHER)
    return lock


def balancing_weights(dataset: Dataset) -> tuple[float, ...]:
    """The weight of each class by which all count alike: one over its training images, 1 on average over these."""
    counts = np.bincount(dataset.train.labels, minlength=len(dataset.class_names))
    return tuple((counts.sum() / np.maximum(counts, 1) / np.count_nonzero(counts)).tolist())


def unequal_classes_notes(objective: Objective, dataset: Dataset) -> list[str]:
    """A note if a class has many times the training images of another, and they do not count alike."""
    if not isinstance(objective, Classification) or objective.balanced or not isinstance(dataset.train, NamedSource):
        return []
    counts = np.bincount(dataset.train.labels, minlength=len(dataset.class_names))
    few, many = int(counts.argmin()), int(counts.argmax())
    if counts[many] < UNEQUAL * counts[few]:
        return []
    return [
        f"class {dataset.class_names[few]!r} has {counts[few]:,} training images, {dataset.class_names[many]!r} "
        f"{counts[many]:,}: objective.balanced True makes all classes count alike"
    ]


def learned_images_notes(source: str | None, dataset: Dataset) -> list[str]:
    """A note if the run that weights or a teacher come from learned from images that this one is tested on.

    So it is where images have been added since, or the division is another.
    """
    if source is None or not isinstance(dataset.test, NamedSource):
        return []
    learned, described = describe_learned(source, dataset.test.files)
    return [f"of the {len(dataset.test):,} test images, {described}"] if learned else []


def fingerprint(
    config: Config, dataset: Dataset, model: Network, params: Any | None, teacher: LoadedTeacher | None
) -> dict[str, str]:
    """What all processes of a run must have alike, each by its name.

    What they compute with; and what decides how: each compiles its part of a program by itself, and where the parts do
    not belong together, all would wait for one another for ever.
    """
    data = dataclasses.replace(config.data, data_dir=None, workers=0)  # where the images are does not matter
    images: list[Any] = [dataset.class_names]
    for source in (dataset.train, dataset.validation, dataset.test):
        images += [len(source) if source is not None else None]
        images += [source.files] if isinstance(source, NamedSource) else []
    networks = [model] if teacher is None else [model, teacher.model]
    return {
        "config": json.dumps(to_json(dataclasses.replace(config, data=data))),
        "images": json.dumps(images),
        "pretrained weights": "none" if params is None else digest_of(params),
        "teacher or tokenizer": "none" if teacher is None else teacher.sha256,
        "jax and jaxlib": f"{version('jax')} {version('jaxlib')}",
        "devices": json.dumps(sorted(device.device_kind for device in jax.local_devices())),
        "programs of attention": json.dumps([choice and choice.kernel for choice in map(attention_choice, networks)]),
    }


def attention_choice(model: Network) -> Choice | None:
    """Which program computes a ViT's attention in training; None for other networks, which have no choice."""
    encoder, visible = encoder_of(model), model.kept if isinstance(model, MaskedAutoencoder) else None
    return encoder.attention_choice(visible) if isinstance(encoder, VisionTransformer) else None
