"""ViT of width 96 and depth 4, patch 4, on CIFAR-10: twelve minutes on a laptop's CPU.

python train.py --config configs/vit_cifar10_cpu.py
"""

from vit_jax.data.augment import RandomCrop, RandomHorizontalFlip
from vit_jax.data.dataset import DataConfig
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig("vit_cifar_patch4_32", dict(embed_dim=96, depth=4, num_heads=3, pool="avg")),
        data=DataConfig("cifar10"),
        augment=(RandomCrop(padding=4), RandomHorizontalFlip()),
        optimizer=OptimizerConfig("muon", learning_rate=2e-3),
        schedule=ScheduleConfig(warmup="300 steps"),
        duration="6 epochs",
        batch_size=128,
    )
