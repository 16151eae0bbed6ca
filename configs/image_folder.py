"""A small ViT from scratch on one's own images, one folder a class.

    python train.py --config configs/image_folder.py --data.name folder:DIR --workdir runs/mine

64 px, so that it trains on a laptop; raise `--model.image_size` and `--data.load_size` together for more detail.
"""

from vit_jax.data.augment import RandomHorizontalFlip, RandomResizedCrop
from vit_jax.data.dataset import DataConfig
from vit_jax.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    fields = dict(image_size=64, patch_size=8, depth=6, preprocessing=Preprocessing(IMAGENET_MEAN, IMAGENET_STD))
    return Config(
        model=ModelConfig("vit_tiny_patch16_224", fields),
        data=DataConfig("folder:pictures", load_size=72, validation_fraction=0.16, test_fraction=0.2),
        augment=(RandomResizedCrop(scale=(0.35, 1.0)), RandomHorizontalFlip()),
        optimizer=OptimizerConfig("muon", learning_rate=1e-3),
        schedule=ScheduleConfig(warmup="2 epochs"),
        duration="30 epochs",
        batch_size=64,
        log_every="5 steps",
    )
