"""ViT of width 96 and depth 4, patch 4, on CIFAR-10: minutes on a laptop's CPU.

    python train.py --config configs/vit_cifar10_cpu.py

Test accuracy 66.13%, 66.62% and 66.16% with seeds 0 to 2 (2026-11-28), in 8 min 36 s to 8 min 55 s on 2 CPU cores
(2026-11-21; on a copy of CIFAR-10 re-encoded as JPEG).

A device for each core trains the same a fifth faster on two cores, from 620 to 739 images a second (2026-11-29):

    JAX_NUM_CPU_DEVICES=2 python train.py --config configs/vit_cifar10_cpu.py --parallel.mode pmap

Five epochs are few, so what helps is what learns fast: Muon, and position embeddings that start out as a map of the
image instead of as noise.
"""

from vit_jax.data.augment import RandomCrop, RandomHorizontalFlip
from vit_jax.data.dataset import DataConfig
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    fields = dict(embed_dim=96, depth=4, num_heads=3, pool="avg", pos_embed="sincos")
    return Config(
        model=ModelConfig("vit_cifar_patch4_32", fields),
        data=DataConfig("cifar10"),
        augment=(RandomCrop(padding=4), RandomHorizontalFlip()),
        optimizer=OptimizerConfig("muon", learning_rate=2e-3),
        schedule=ScheduleConfig(warmup="200 steps"),
        duration="5 epochs",
        batch_size=128,
        steps_per_dispatch=10,
    )
