"""What this project is to reach, and whether a measurement has reached it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RATIOS = {"cpu": {"timm": 1.0, "plain_flax": 1.15}, "gpu": {"timm": 1.25}}
"""Our speed over a peer's, in training and in inference."""

SHARE_OF_PEAK = {("gpu", "vit_base_patch16_224"): 0.5}
"""In training."""

EPOCH_SECONDS = {("gpu", "vit_cifar_patch4_32"): 1.5, ("gpu", "swin_cifar_patch2_window4_32"): 2.5}
"""One epoch of CIFAR-10: 50,000 training images, and 10,000 evaluated."""

CIFAR10 = (50_000, 10_000)


@dataclass(frozen=True)
class Target:
    """One number that is to be reached.

    Attributes:
        what: it is.
        wanted: the bound.
        measured: what there is.
        at_most: whether the bound is an upper one.
    """

    what: str
    wanted: float
    measured: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted

    def __str__(self) -> str:
        sign = "<=" if self.at_most else ">="
        return f"{self.what}: {self.measured:.3g}, wanted {sign} {self.wanted:g}: {'met' if self.met else 'NOT met'}"


def targets(entry: Mapping[str, Any]) -> list[Target]:
    """The targets of one entry of the results."""
    device, model = entry["device"], entry["model"]
    if entry["measured"] == "epoch":
        bound = EPOCH_SECONDS.get((device, model))
        if bound is None or (entry["images"], entry["test_images"]) != CIFAR10:
            return []
        return [Target(f"{model}, seconds of an epoch", bound, entry["seconds_of_an_epoch"]["median"], at_most=True)]
    found = []
    for kind in ("training", "inference"):
        for peer, wanted in RATIOS[device].items():
            ratio = entry[kind]["ratios"].get(peer)
            if ratio is not None:
                found.append(Target(f"{model}, {kind}, times {ratio['form']}", wanted, ratio["median"]))
    share = SHARE_OF_PEAK.get((device, model))
    if share is not None:
        measured = entry["training"]["implementations"]["ours"]["share_of_peak"]
        found.append(Target(f"{model}, training, share of the matmul peak", share, measured))
    return found
