"""ViT-Ti/4 on CIFAR-10 from scratch: the full recipe, for one GPU.

    python train.py --config configs/vit_tiny_cifar10.py

Not measured yet. ViT-Ti of DeiT (Touvron et al., 2021) with patches of 4 pixels: as wide as the network of
`vit_cifar10.py`, with 12 blocks for 9, MLPs of 4 widths for 2 and 3 heads of 64 channels for 12 of 16: 5.4 million
parameters. The recipe is that of `vit_cifar10.py`; with 300 epochs of their own recipe, DeiT-T in patches of 4 is given
88.4% (Zhang et al., 2021, "NesT").
"""

from vit_jax.data.augment import CifarAutoAugment, MixupOrCutmix, RandomCrop, RandomErasing, RandomHorizontalFlip
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.classification import Classification
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig("vit_tiny_patch4_32", dict(drop_path_rate=0.1)),
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
        batch_size=128,
        dtype="bfloat16",
    )
