"""Swin of 7 million parameters on CIFAR-10 from scratch: the full recipe, for one GPU.

    python train.py --config configs/swin_cifar10.py

Not measured yet. The network and the recipe are those with which SPT_LSA (Lee et al., 2021) reports 94.46% after 100
epochs, each of which is three passes over the images, so 300 epochs here: stages of 2, 6 and 4 blocks, patch 2, window
4; AdamW, cosine schedule with 30 epochs of warm-up (10 in its counting), AutoAugment's policy for CIFAR, mixup or
cutmix, random erasing, label smoothing, stochastic depth. `--duration "100 epochs" --schedule.warmup "10 epochs"` makes
100 passes over the images.

What differs: no position embeddings before the first block, as in Swin's paper (there, learned ones); rectangles are
erased by noise (there, by one grey); vectors and tables of position biases do not decay.
"""

from vit_jax.data.augment import CifarAutoAugment, MixupOrCutmix, RandomCrop, RandomErasing, RandomHorizontalFlip
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.classification import Classification
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig("swin_cifar_patch2_window4_32", dict(drop_path_rate=0.1)),
        data=DataConfig("cifar10"),
        augment=(
            RandomCrop(padding=4),
            RandomHorizontalFlip(),
            CifarAutoAugment(),
            RandomErasing(probability=0.25, area=(0.02, 0.4)),
            MixupOrCutmix(mixup_alpha=1.0, cutmix_alpha=1.0, probability=0.5),
        ),
        objective=Classification(label_smoothing=0.1),
        optimizer=OptimizerConfig("adamw", learning_rate=1e-3, weight_decay=0.05, clip_norm=None),
        schedule=ScheduleConfig(warmup="30 epochs"),
        duration="300 epochs",
        evaluate_every="300 epochs",  # the test images are looked at once
        checkpoint_every="10 epochs",
        batch_size=128,
        dtype="bfloat16",
        steps_per_dispatch=10,
    )
