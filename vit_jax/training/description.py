"""What a run says of itself before it trains."""

import jax

from vit_jax.evaluation.class_order import first_names
from vit_jax.models.network_input import squashes
from vit_jax.training.run import Run, attention_choice


def describe(run: Run) -> list[str]:
    """What a run is going to do, in a few lines."""
    data, config = run.dataset, run.config
    sizes = [f"{len(data.train):,} training"]
    sizes += [f"{len(data.validation):,} validation"] if data.validation is not None else []
    sizes += [f"{len(data.test):,} test"]
    labels = (
        f"{len(data.class_names)} classes ({first_names(data.class_names)})" if data.class_names else "without labels"
    )
    device, processes, attention = jax.devices()[0], jax.process_count(), attention_choice(run.model)
    devices = f"{run.parallel.devices} x {device.device_kind}" + (f" in {processes} processes" if processes > 1 else "")
    return [
        f"data     {data.name}: {', '.join(sizes)} images of {'x'.join(map(str, data.image_shape))}, {labels}",
        *(f"note     {note}" for note in data.notes),
        f"model    {run.start.describe(run.model)}{shown_as(run)}",
        *([f"teacher  {run.teacher.description}"] if run.teacher is not None else []),
        f"device   {devices} ({config.parallel.mode}), {config.dtype}",
        *([f"kernel   attention by {attention.kernel} ({attention.reason})"] if attention is not None else []),
        f"run      {config.duration}: {run.total_steps:,} steps of {config.batch_size}; kept in {run.workdir}",
    ]


def shown_as(run: Run) -> str:
    """What becomes of images that are not of the network's channels and size; nothing for those that are."""
    (*seen, channels), (*loaded, has) = run.model.input_shape, run.dataset.image_shape
    shown = "" if channels == has else f"; images of {has} channels are shown in {channels}"
    if seen == loaded:
        return shown
    as_loaded = loaded == list(run.config.data.load_shape) and run.dataset.name.startswith(("folder:", "tfds:"))
    if squashes(run.model, run.dataset.image_shape):
        what = f"the centres of images, of load_size {run.config.data.load_size}," if as_loaded else "images"
        better = ": a data.load_size of these proportions would keep them" if as_loaded else ""
        return f"{shown}; {what} are squashed to {seen[0]}x{seen[1]}{better}"
    shown += f"; images are resized to {seen[0]}x{seen[1]}"
    if as_loaded and min(seen) > min(loaded):
        shown += f" after load_size {run.config.data.load_size}: a larger data.load_size would keep more of them"
    return shown
