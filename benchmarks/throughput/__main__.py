"""Images per second of training and inference: this project beside plain Flax, timm and transformers.

    pip install jax flax optax numpy torch torchvision timm transformers   # no more; the last four for the peers
    python -m benchmarks.throughput                               # CPU, float32
    python -m benchmarks.throughput --device gpu                  # GPU, bfloat16
    python -m benchmarks.throughput --models vit_tiny_patch4_32   # one network; results of earlier ones are kept
    python -m benchmarks.throughput.table                         # then: the results into the documents

All have the same parameters, batches and precision, and the same logits, which is checked first. A turn is inference on
one batch, or steps of training (forward, cross-entropy, backward, AdamW); all take turns in every round, and ratios are
taken round by round. Where several batches are tried, or on a CPU a batch in several parts whose gradients add up, each
implementation has its best. timm is measured eager and by torch.compile, as "timm_autotuned" also by its mode
"max-autotune-no-cudagraphs", which takes minutes more; the fastest counts. On a CPU this project does several steps in
a dispatch, as its CPU recipes do (`steps_per_dispatch`), which plain Flax does too where it is faster so, and divides a
batch among the cores, a device for each; what that gives is measured as well.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.measure import device_name, kept, merge, positive
from benchmarks.throughput.compare import KINDS, ONE_DEVICE, PEERS, compared
from benchmarks.throughput.targets import targets
from benchmarks.throughput.workload import KEY, Setting, make_workload, refuse_others, use_device


@dataclass(frozen=True)
class Case:
    """What is done with a network unless the command says otherwise.

    Attributes:
        batches: that are tried.
        parts: that a training batch is differentiated in, one after the other; each implementation has its best.
    """

    batches: tuple[int, ...]
    parts: tuple[int, ...] = (1,)


CASES = {
    "cpu": {
        "vit_tiny_patch4_32": Case((64,), parts=(1, 2, 4)),
        "vit_small_patch16_224": Case((8,), parts=(1, 2)),
        "swin_cifar_patch2_window4_32": Case((64,), parts=(1, 2, 4)),
        "swin_tiny_patch4_window7_224": Case((8,), parts=(1, 2, 4)),
    },
    "gpu": {
        "vit_small_patch16_224": Case((128, 256, 512)),
        "vit_base_patch16_224": Case((128, 256, 512)),
        "vit_large_patch16_224": Case((64, 128, 256)),
        "swin_tiny_patch4_window7_224": Case((128, 256, 512)),
        "swin_base_patch4_window7_224": Case((64, 128, 256)),
        "swinv2_tiny_window8_256": Case((64, 128, 256)),
    },
}
PEERS_ASKED = {
    "plain_flax": ("plain_flax",),
    "timm": ("timm", "timm_compiled"),
    "timm_compiled": ("timm_compiled",),
    "timm_autotuned": ("timm_autotuned",),
    "transformers": ("transformers",),
}
"""What `--peers` may name, and the implementations that this is."""

ANY_OTHER = {"cpu": Case((8,)), "gpu": Case((128, 256))}

STEPS = {"cpu": 8, "gpu": 1}
"""Training steps that this project dispatches at once. On a GPU the host is ahead of the device anyway."""

DISPATCHES = {"cpu": 1, "gpu": 16}
"""In a turn."""


def listed(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    return tuple(name for name in text.split(",") if name)


def numbers(text: str) -> tuple[int, ...]:
    """Positive numbers with commas between them."""
    return tuple(map(positive, listed(text)))


def refuse_to_lose(results: Sequence[Mapping[str, Any]], model: str, implementations: Sequence[str]) -> None:
    """Results of a network may take the place of earlier ones beside the same peers or fewer.

    Args:
        results: that are kept.
        model: that is to be measured anew.
        implementations: beside which, of whatever peer.

    Raises:
        ValueError: if it was measured beside others as well. Turns of another run cannot be put beside these.
    """
    for entry in results:
        if (entry["measured"], entry["model"]) == ("throughput", model):
            before = {peer for kind in KINDS for peer in entry[kind]["ratios"]}
            if lost := sorted(peer for peer in before if not set(PEERS[peer]) & set(implementations)):
                raise ValueError(
                    f"{model} was measured beside {', '.join(lost)} too, which would be lost: name all in --peers, or "
                    "put the file with its results away"
                )


def main() -> None:
    """Measures, prints and saves, one network after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--models", type=listed, help="names of the registry, with commas; by default those above")
    parser.add_argument("--batches", type=numbers, help="sizes to try, with commas; by default those of the network")
    parser.add_argument("--peers", type=listed, default=tuple(PEERS), help=f"of {','.join(PEERS_ASKED)}")
    parser.add_argument("--rounds", type=positive, default=5, help="how often each is timed")
    parser.add_argument(
        "--steps", type=positive, help=f"training steps that this project dispatches at once; by default {STEPS}"
    )
    args = parser.parse_args()
    unknown = set(args.peers) - set(PEERS_ASKED)
    if unknown:
        parser.error(f"unknown peers {', '.join(sorted(unknown))}; there are {', '.join(PEERS_ASKED)}")
    implementations = list(dict.fromkeys(form for peer in args.peers for form in PEERS_ASKED[peer]))
    use_device(args.device)
    models, name = args.models or tuple(CASES[args.device]), f"throughput_{device_name()}"
    try:
        for model in models:
            refuse_others(model)
            refuse_to_lose(kept(name), model, implementations)
    except ValueError as error:
        parser.error(str(error))
    if args.device == "cpu":
        implementations.append(ONE_DEVICE)
    for model in models:
        case = CASES[args.device].get(model, ANY_OTHER[args.device])
        setting = Setting(args.device, args.steps or STEPS[args.device], DISPATCHES[args.device])
        work = make_workload(model, setting.dtype)
        entry = compared(work, setting, implementations, args.batches or case.batches, case.parts, args.rounds)
        for kind in ("training", "inference"):
            for implementation, row in entry[kind]["implementations"].items():
                speed = f"{row['images_per_second']['median']:,.4g} images/s" if row["batch"] else "failed"
                print(f"{model}, {kind}, {implementation}: {speed}")
        for target in targets(entry):
            print(target)
        path = merge(name, "throughput", [entry], KEY)
        print(f"{model} took {entry['seconds']:.0f} s; kept in {path}", flush=True)


if __name__ == "__main__":
    main()
