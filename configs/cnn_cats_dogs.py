"""The CNN of three convolutions on a folder of cats and dogs, or of any other classes.

    python train.py --config configs/cnn_cats_dogs.py --data.name folder:DIR

DIR has one folder a class, with images of any size and mode. They are divided 64/16/20 into training, validation and
test images by class and seed; files that are no images are left out, counted and named in the log, and stay where they
are. See `vit_cats_dogs.py` for a ViT on the same split.
"""

from vit_jax.data.augment import RandomHorizontalFlip, RandomResizedCrop
from vit_jax.data.dataset import DataConfig
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig("cnn_small_224"),
        data=DataConfig(
            "folder:cats_dogs",
            load_size=256,
            validation_fraction=0.16,
            test_fraction=0.2,
            split_seed=0,
            skip_unreadable=True,
        ),
        augment=(RandomResizedCrop(scale=(0.35, 1.0)), RandomHorizontalFlip()),
        optimizer=OptimizerConfig("adamw", learning_rate=1e-3),
        schedule=ScheduleConfig(warmup="1 epochs"),
        duration="10 epochs",
        batch_size=64,
    )
