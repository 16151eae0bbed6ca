"""Images per second of this project and of timm, in turn in one process, with the same parameters on the same images.

    pip install torch timm torchvision
    python -m benchmarks.throughput

Inference is one call. A training step is forward pass, cross-entropy, backward pass and an update by AdamW: here
one compiled program of several steps, as `steps_per_dispatch` makes train.py run, there PyTorch's eager mode.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch  # pyright: ignore[reportMissingImports]
import tyro

import vit_jax
from benchmarks.measure import in_turn, save, spread
from tests.models.timm_swin import timm_model, timm_parameters
from vit_jax.models.network import Network

BATCHES = {"swin_cifar_patch2_window4_32": 64, "swin_tiny_patch4_window7_224": 8}
FIELDS = ("image_size", "num_classes", "patch_size", "embed_dim", "depths", "num_heads", "window_size", "mlp_ratio")


@dataclass(frozen=True)
class Work:
    """A network with its parameters, and the batch that is worked on: images [B, H, W, C], labels [B]."""

    model: Network
    params: Any
    images: np.ndarray
    labels: np.ndarray


def work(name: str, batch: int) -> Work:
    """A network of the registry, with random parameters and images."""
    model, rng = vit_jax.create_model(name), np.random.default_rng(0)
    images = rng.normal(size=(batch, *model.input_shape)).astype(np.float32)
    params = jax.jit(model.init)(jax.random.key(0), images)["params"]
    return Work(model, params, images, rng.integers(0, model.num_classes, batch))


def ours(work: Work, steps: int) -> tuple[Callable[[], np.ndarray], Callable[[], Any]]:
    """Inference, which gives the logits, and `steps` training steps."""
    optimizer = optax.adamw(1e-6)

    def logits(params: Any, images: jax.Array, train: bool = False) -> Any:
        return work.model.apply({"params": params}, images, train=train, rngs={"dropout": jax.random.key(0)})

    def step(state: Any, batch: Any) -> Any:
        def loss(params: Any) -> jax.Array:
            return optax.softmax_cross_entropy_with_integer_labels(logits(params, batch[0], True), batch[1]).mean()

        params, optimizer_state = state
        updates, optimizer_state = optimizer.update(jax.grad(loss)(params), optimizer_state, params)
        return (optax.apply_updates(params, updates), optimizer_state), None

    infer = jax.jit(logits)
    train = jax.jit(lambda state, batches: jax.lax.scan(step, state, batches)[0])
    images, labels = jnp.asarray(work.images), jnp.asarray(work.labels)
    batches = jax.tree.map(lambda x: jnp.broadcast_to(x, (steps, *x.shape)), (images, labels))
    state = (work.params, optimizer.init(work.params))
    return lambda: np.asarray(infer(work.params, images)), lambda: jax.block_until_ready(train(state, batches))


def timm(work: Work, steps: int) -> tuple[Callable[[], np.ndarray], Callable[[], Any]]:
    """The same of timm's network."""
    model = timm_model({name: getattr(work.model, name) for name in FIELDS} | {"window_rule": "timm"})
    model.load_state_dict(timm_parameters(work.params), strict=True)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-6)
    images = torch.tensor(work.images).permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor(work.labels)

    def infer() -> np.ndarray:
        model.eval()
        with torch.inference_mode():
            return model(images).numpy()

    def train() -> None:
        model.train()
        for _ in range(steps):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()

    return infer, train


def compare(name: str, batch: int, rounds: int, steps: int) -> dict[str, Any]:
    """Throughput of one network, here and there."""
    the_work = work(name, batch)
    (our_inference, our_training), (their_inference, their_training) = ours(the_work, steps), timm(the_work, steps)
    difference = float(np.abs(our_inference() - their_inference()).max())
    if difference > 1e-4:
        raise ValueError(f"{name}: logits differ by {difference:.2g}; it is not the same network")
    result: dict[str, Any] = dict(model=name, batch=batch, steps_per_dispatch=steps, logits_differ_by=difference)
    for what, images, functions in (
        ("inference", batch, dict(ours=our_inference, timm=their_inference)),
        ("training", batch * steps, dict(ours=our_training, timm=their_training)),
    ):
        seconds = in_turn(functions, rounds)
        result[what] = {peer: spread(images / times) for peer, times in seconds.items()}
        result[what]["ratio"] = spread(seconds["timm"] / seconds["ours"])
        row = result[what]
        print(
            f"{name}, batch {batch}, {what}: {row['ours']['median']:.0f} images/s, timm {row['timm']['median']:.0f}; "
            f"{row['ratio']['median']:.2f} times (rounds: {row['ratio']['min']:.2f} to {row['ratio']['max']:.2f})"
        )
    return result


def throughput(rounds: int = 15, steps: int = 8) -> None:
    """Measures inference and training of Swin beside timm.

    Args:
        rounds: How often each is timed.
        steps: Training steps that are timed as one, and here dispatched as one.
    """
    torch.set_num_threads(os.cpu_count() or 1)
    print("kept in", save("throughput", [compare(name, batch, rounds, steps) for name, batch in BATCHES.items()]))


if __name__ == "__main__":
    tyro.cli(throughput)
