"""Masked autoencoder on CIFAR-10 without labels: the full recipe, for one GPU.

    python train.py --config configs/mae_cifar10.py
    python train.py --config configs/mae_cifar10_finetune.py

Not measured yet. The encoder is the ViT of 2.7 million parameters of SPT_LSA (Lee et al., 2021) and Gani et al. (2022)
in patches of 2 pixels: MAE needs patches that are small beside what there is to be guessed. Recipe: MAE, appendix A.1,
with the learning rate for this batch (1.5e-4 x batch / 256 there), flips and crops alone. Parameters begin as Google's
ViT, not as in MAE's code: queries, keys and values as a matrix each, and the patches' kernel about three times larger.
"""

from vit_jax.data.augment import RandomHorizontalFlip, RandomResizedCrop
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.masked_autoencoding import MaskedAutoencoding
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig("mae_cifar_patch2_32"),
        data=DataConfig("cifar10"),
        augment=(RandomResizedCrop(scale=(0.2, 1.0), interpolation="bicubic"), RandomHorizontalFlip()),
        objective=MaskedAutoencoding(),
        optimizer=OptimizerConfig("adamw", learning_rate=1.2e-3, weight_decay=0.05, b2=0.95, clip_norm=None),
        schedule=ScheduleConfig(warmup="40 epochs"),
        duration="800 epochs",
        batch_size=2048,
        dtype="bfloat16",
        evaluate_every="50 epochs",
        checkpoint_every="50 epochs",
    )
