"""Results that others have published, to stand beside one's own.

They are copied from their sources and were not repeated here. Augmentation, epochs, resolution and extra data differ
from one to the next: they say what is possible, and are not comparable one to one.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One result of others.

    Attributes:
        result: the network.
        accuracy: as published, in percent.
        source: who published it, and where.
        notes: how it was reached: parameters, epochs, what is doubted.
        pretrained: whether other images were learned from before.
    """

    result: str
    accuracy: str
    source: str
    notes: str = ""
    pretrained: bool = False


@dataclass(frozen=True)
class PublishedResults:
    """Results of others on one set.

    Attributes:
        images: the set, as its publishers call it.
        results: on it.
    """

    images: str
    results: tuple[Published, ...]


VIT, SPT = "Dosovitskiy et al. 2021 (ViT), table 5", "README of SPT_LSA"
CCT, NEST = "Compact-Transformers", "NesT, arXiv 2105.12723"
KENTAROY, AIRBENCH = "README of kentaroy47/vision-transformers-cifar10", "README of airbench"
GANI = "Gani et al., BMVC 2022"
THRICE = "100 epochs of three passes over the images each"
ON_CIFAR_ITSELF = "learned from CIFAR-10 without labels for 200 epochs, then with them for 100 of three passes each"

FROM_SCRATCH = (
    Published("ViT, patch 4, width 512, depth 6", "80%", KENTAROY, "9.5 M parameters, 200 epochs"),
    Published("ViT, patch 4, width 512, depth 6", "85%", KENTAROY, "9.5 M parameters, 500 epochs"),
    Published("ViT, patch 4, width 512, depth 6", "89%", KENTAROY, "9.5 M parameters, 1000 epochs"),
    Published("ViT, 8 x 8 tokens, width 384, depth 7", "90.92%", "omihub777", "6.3 M parameters, 200 epochs"),
    Published("ViT-Lite-7/4", "93.6%", CCT, "3.7 M parameters, 300 epochs; from the paper"),
    Published("ViT, patch 4, width 192, depth 9", "93.58%", SPT, f"2.7 M parameters, {THRICE}"),
    Published("ViT, with SPT and LSA", "94.53%", SPT, f"shifted patch tokenization, locality self-attention; {THRICE}"),
    Published("ViT, width 192, depth 9", "96.41%", GANI, f"2.7 M parameters; {ON_CIFAR_ITSELF}"),
    Published("ViT, masked auto-encoding first", "96.41%", "Tan 2024, arXiv 2402.03752", "less than 3.65 M parameters"),
    Published("DeiT-T, patch 4", "88.4%", NEST, "300 epochs; from the paper"),
    Published("DeiT-S and DeiT-B, patch 4", "92.4%", NEST, "300 epochs; from the paper"),
    Published("DeiT-B at 224 px with a teacher", "98.5%", "facebookresearch/deit #154", "86 M parameters, 1000 epochs"),
    Published("CVT-7/4", "94.0%", CCT, "3.7 M parameters, 300 epochs; from the paper"),
    Published("CCT-7/3x1", "96.53%", CCT, "3.8 M parameters, 300 epochs"),
    Published("CCT-7/3x1", "97.48%", CCT, "3.8 M parameters, 1500 epochs"),
    Published("CCT-7/3x1", "98.00%", CCT, "3.8 M parameters, 5000 epochs"),
    Published("CaiT", "94.91%", SPT, THRICE),
    Published("PiT", "94.24%", SPT, THRICE),
    Published("T2T", "95.30%", SPT, THRICE),
    Published("NesT-T", "96.04%", NEST, "6 M parameters, 300 epochs; from the paper"),
    Published("NesT-S", "96.97%", NEST, "300 epochs; from the paper"),
    Published("NesT-B", "97.20%", NEST, "300 epochs; from the paper"),
    Published("Swin-T, window 4", "90%", KENTAROY, "26.6 M parameters, 400 epochs; its users get 84 to 86 (#24, #31)"),
    Published("Swin [2, 6, 4], patch 2, window 4", "94.46%", SPT, f"7.05 M parameters, {THRICE}"),
    Published("Swin [2, 6, 4], with SPT and LSA", "95.93%", SPT, THRICE),
    Published("Swin [2, 6, 4]", "96.18%", GANI, f"7.05 M parameters; {ON_CIFAR_ITSELF}"),
    Published("Swin-T, patch 1, window 2", "94.46%", NEST, "300 epochs; from the paper"),
    Published("Swin-S, patch 1, window 2", "94.17%", NEST, "300 epochs; from the paper"),
    Published("Swin-B, patch 1, window 2", "94.55%", NEST, "300 epochs; from the paper"),
    Published("Swin-T", "59.5%", "Drloc", "27.5 M parameters, 100 epochs; others get about 81 (VTs-Drloc #9)"),
    Published("ConvMixer 256/16", "96.3%", KENTAROY, "400 epochs"),
    Published("ResNet-18 with RandAugment", "95%", KENTAROY, "200 epochs"),
    Published("ResNet-18", "96.0%", AIRBENCH, "11.2 M parameters; 7 minutes on an A100"),
    Published("airbench94 (CNN, Muon)", "94.01%", AIRBENCH, "about 2 M parameters, about 8 epochs; 2.6 s on an A100"),
    Published("airbench95 (CNN)", "95.01%", AIRBENCH, "10.4 s on an A100"),
    Published("airbench96 (CNN)", "96.00%", AIRBENCH, "27.3 s on an A100"),
)
"""CIFAR-10, no other images."""

FINE_TUNED = tuple(
    Published(f"ViT-{size}", f"{accuracy:.2f}%", VIT, f"pre-trained on {images}, fine-tuned at 384 px", pretrained=True)
    for images, accuracies in {
        "ImageNet-1k": {"B/16": 98.13, "B/32": 97.77, "L/16": 97.86, "L/32": 97.94},
        "ImageNet-21k": {"B/16": 98.95, "B/32": 98.79, "L/16": 99.16, "L/32": 99.13, "H/14": 99.27},
        "JFT-300M": {"B/16": 99.00, "B/32": 98.61, "L/16": 99.38, "L/32": 99.19, "H/14": 99.50},
    }.items()
    for size, accuracy in accuracies.items()
)
"""CIFAR-10, after learning from many more images."""

CATS_AND_DOGS = (
    Published("CNN of three convolutions", "about 75%", "a small study in a blog", "10 epochs"),
    Published("ViT, 224 px, patch 32, width 128, depth 12", "69%", "a small study in a blog", "20 epochs, dropout 0.1"),
)
"""Photographs of cats and dogs, no other images."""

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

BY_CLASSES = {
    frozenset(CIFAR10): PublishedResults("CIFAR-10", FROM_SCRATCH + FINE_TUNED),
    frozenset({"cat", "dog"}): PublishedResults("photographs of cats and dogs", CATS_AND_DOGS),
}


def published_results(class_names: Sequence[str]) -> PublishedResults | None:
    """The results of others on the set with these classes, which tell it whatever its folder is called; or None."""
    return BY_CLASSES.get(frozenset(name.lower().removesuffix("s") for name in class_names))
