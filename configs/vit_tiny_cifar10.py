"""ViT-Ti/4 on CIFAR-10 from scratch: the full recipe, for one GPU.

    python train.py --config configs/vit_tiny_cifar10.py

Not measured yet. ViT-Ti of DeiT (Touvron et al., 2021) with patches of 4 pixels: as wide as the network of
`vit_cifar10.py`, with 12 blocks instead of 9, an MLP ratio of 4 instead of 2, and 3 heads of 64 channels instead of 12
of 16: 5.4 million parameters. The recipe is that of `vit_cifar10.py`; Zhang et al. (2021, "NesT") report 88.4% for
DeiT-T with patches of 4 after 300 epochs of their recipe.
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
        evaluate_every="300 epochs",  # the test images are looked at once
        checkpoint_every="10 epochs",
        batch_size=128,
        dtype="bfloat16",
    )
