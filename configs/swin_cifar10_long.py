"""Swin of 7 million parameters on CIFAR-10 from scratch, the long schedule: for one GPU.

    python train.py --config configs/swin_cifar10_long.py

Not measured yet. Network and recipe are those of `swin_cifar10.py`, for 1,000 epochs instead of 300, with Swin-T's
stochastic depth; what is evaluated and kept is an average of the parameters over 25,000 of the 390,000 steps (DeiT's
0.99996). To be held against 96.18%, which Gani et al. (2022) reach with this network after 200 epochs without labels
and 300 with them, and against 96.53% of CCT-7/3x1 (Compact-Transformers: 3.8 million parameters, convolutions for
patches) after 300 epochs.
"""

from vit_jax.data.augment import CifarAutoAugment, MixupOrCutmix, RandomCrop, RandomErasing, RandomHorizontalFlip
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.classification import Classification
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig("swin_cifar_patch2_window4_32", dict(drop_path_rate=0.2)),
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
        duration="1000 epochs",
        evaluate_every="1000 epochs",  # the test images are looked at once
        batch_size=128,
        ema_decay=0.99996,
        dtype="bfloat16",
        steps_per_dispatch=10,
        log_every="1 epochs",
        checkpoint_every="10 epochs",
    )
