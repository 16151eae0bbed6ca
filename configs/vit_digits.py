"""ViT of width 96 and depth 4 on the 8x8 digits of scikit-learn: the first run, no download.

python train.py
"""

from vit_jax.data.augment import RandomCrop
from vit_jax.data.dataset import DataConfig
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig("vit_digits_patch2_8"),
        data=DataConfig("digits"),
        augment=(RandomCrop(padding=1),),
        optimizer=OptimizerConfig(learning_rate=2e-3, weight_decay=0.05),
        schedule=ScheduleConfig(warmup="2 epochs"),
        duration="40 epochs",
        batch_size=64,
        evaluate_every="5 epochs",
        checkpoint_every="10 epochs",
    )
