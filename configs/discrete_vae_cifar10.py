"""Visual tokens of CIFAR-10, for BEiT: the full recipe of a discrete VAE, for one GPU.

    python train.py --config configs/discrete_vae_cifar10.py
    python train.py --config configs/beit_cifar10.py
    python train.py --config configs/beit_cifar10_finetune.py

Not measured yet. 1,024 tokens, one for each patch of 4x4 pixels. The temperature falls to 1/16 as DALL-E's does (Ramesh
et al., 2021, appendix A.2), here over the first half of the training.
"""

from vit_jax.data.augment import RandomHorizontalFlip, RandomResizedCrop
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.discrete_autoencoding import DiscreteAutoencoding
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig("discrete_vae_patch4_32"),
        data=DataConfig("cifar10"),
        augment=(RandomResizedCrop(scale=(0.2, 1.0), interpolation="bicubic"), RandomHorizontalFlip()),
        objective=DiscreteAutoencoding(divergence_weight=0.003, annealing="25 epochs"),
        optimizer=OptimizerConfig("adamw", learning_rate=2e-3, weight_decay=0.0, clip_norm=1.0),
        schedule=ScheduleConfig(warmup="2 epochs"),
        duration="50 epochs",
        batch_size=256,
        dtype="bfloat16",
        evaluate_every="10 epochs",
        checkpoint_every="10 epochs",
    )
