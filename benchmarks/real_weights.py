"""Real weights: their logits on photographs beside timm's, and how well their features tell CIFAR-10's classes apart.

    python -m benchmarks.real_weights deit_tiny_patch16_224.safetensors --timm deit_tiny_patch16_224

Needs torch and timm, and CIFAR-10 prepared. The photographs are the two of scikit-learn, at the weights' own size, a
larger and a wide one. Features are those of images enlarged to the weights' own size. All is computed on the CPU, and
kept in benchmarks/results/real_weights_*.json.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from sklearn.datasets import load_sample_images

import vit_jax
from benchmarks.measure import positive, save
from vit_jax.data.dataset import DataConfig, DivisibleSource
from vit_jax.data.sources import load_dataset
from vit_jax.evaluation.extract import extract_features
from vit_jax.evaluation.linear_probe import linear_probe
from vit_jax.evaluation.nearest_neighbours import nearest_neighbour_votes

SIZES = ((224, 224), (384, 384), (288, 448))


def beside_timm(weights: Path, name: str, size: tuple[int, int]) -> dict[str, float]:
    """The largest difference of logits, of float32 networks on the CPU, and the largest logit."""
    import timm  # pyright: ignore[reportMissingImports]
    import torch  # pyright: ignore[reportMissingImports]

    model, params = vit_jax.load_pretrained(weights, publisher="timm", image_size=size)
    preprocess = vit_jax.preprocessing(model)
    images = np.stack([preprocess(photograph) for photograph in load_sample_images().images])
    theirs = timm.create_model(
        name, img_size=size, pretrained=True, pretrained_cfg_overlay=dict(file=str(weights))
    ).eval()
    with torch.no_grad():
        expected = theirs(torch.tensor(images).permute(0, 3, 1, 2)).numpy()
    with jax.default_matmul_precision("highest"):
        logits = np.asarray(jax.jit(model.apply)({"params": params}, images))
    return {"difference": float(np.abs(logits - expected).max()), "largest": float(np.abs(expected).max())}


def drawn(source: DivisibleSource, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """That many images and labels, drawn at random."""
    images, labels = source.as_arrays()
    chosen = np.random.default_rng(seed).permutation(len(labels))[:count]
    return images[chosen], labels[chosen]


def of_features(weights: Path, publisher: str, train: int, test: int, seed: int) -> dict[str, float]:
    """Test accuracy of frozen features of whole images: of 20 nearest neighbours, and of a linear probe."""
    model, params = vit_jax.load_pretrained(weights, publisher=publisher, num_classes=0)
    model = model.clone(preprocessing=replace(model.preprocessing, crop_fraction=1.0))
    dataset = load_dataset(DataConfig("cifar10"))
    train_images, train_labels = drawn(dataset.train, train, seed)
    test_images, test_labels = drawn(dataset.test, test, seed)
    learned = extract_features(model, params, train_images)
    asked = extract_features(model, params, test_images)
    votes = nearest_neighbour_votes(learned, train_labels, asked, len(dataset.class_names))
    probe = linear_probe(learned, train_labels, asked, test_labels)
    return {"nearest_neighbours": float(np.mean(votes.argmax(-1) == test_labels)), "linear_probe": probe.accuracy}


def main() -> None:
    """Prints both and keeps them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--timm", required=True, metavar="NAME", help="timm's name of the network")
    parser.add_argument("--publisher", default="deit", help="whose weights they are, for the features")
    parser.add_argument("--train", type=positive, default=5000)
    parser.add_argument("--test", type=positive, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")  # where timm computes
    rows = []
    for size in SIZES:
        row = beside_timm(args.weights, args.timm, size)
        print(f"{size[0]}x{size[1]}: logits up to {row['largest']:.2f}, {row['difference']:.1e} from timm's at most")
        rows.append({"size": list(size), **row})
    scores = of_features(args.weights, args.publisher, args.train, args.test, args.seed)
    for name, accuracy in scores.items():
        print(f"{name}: {accuracy:.1%} of {args.test} test images, {args.train} training images")
    asked = {"weights": args.weights.name, "train": args.train, "test": args.test, "seed": args.seed}
    save("real_weights", [{**asked, "beside_timm": rows, **scores}])


if __name__ == "__main__":
    main()
