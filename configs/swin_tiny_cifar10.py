"""Swin-T on CIFAR-10 from scratch, patches of 2 pixels and windows of 4x4: the full recipe, for one GPU.

    python train.py --config configs/swin_tiny_cifar10.py

Not measured yet. Liu et al.'s Swin-T (2021) has patches of 4 and windows of 7x7, for 224 px. Here its stages see maps
of 16x16, 8x8, 4x4 and 2x2 tokens; as published, the first map of a 32 px image would be 8x8, hardly more than one
window. The recipe is that of `swin_cifar10.py` with Swin-T's stochastic depth and half the learning rate. Others have
90% after 400 epochs with such a network (kentaroy47), and 94.46% with patches of 1 and windows of 2x2 after 300 (Zhang
et al., 2021, "NesT").
"""

from vit_jax.data.augment import CifarAutoAugment, MixupOrCutmix, RandomCrop, RandomErasing, RandomHorizontalFlip
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.classification import Classification
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig("swin_tiny_patch2_window4_32", dict(drop_path_rate=0.2)),
        data=DataConfig("cifar10"),
        augment=(
            RandomCrop(padding=4),
            RandomHorizontalFlip(),
            CifarAutoAugment(),
            RandomErasing(probability=0.25, area=(0.02, 0.4)),
            MixupOrCutmix(mixup_alpha=1.0, cutmix_alpha=1.0, probability=0.5),
        ),
        objective=Classification(label_smoothing=0.1),
        optimizer=OptimizerConfig("adamw", learning_rate=5e-4, weight_decay=0.05, clip_norm=None),
        schedule=ScheduleConfig(warmup="30 epochs"),
        duration="300 epochs",
        evaluate_every="300 epochs",  # the test images are looked at once
        checkpoint_every="10 epochs",
        batch_size=128,
        dtype="bfloat16",
    )
