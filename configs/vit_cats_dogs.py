"""A ViT of width 128 on a folder of cats and dogs, or of any other classes.

    python train.py --config configs/vit_cats_dogs.py --data.name folder:DIR

224 px, patch 32, width 128, depth 12, 8 heads, MLP 1024, dropouts of 0.1, 20 epochs. DIR has one folder a class, with
images of any size and mode. They are divided 64/16/20 into training, validation and test images by class and seed;
files that are no images are left out, counted and named in the log, and stay where they are. See `cnn_cats_dogs.py`
for a CNN on the same split.
"""

from vit_jax.data.augment import RandomHorizontalFlip, RandomResizedCrop
from vit_jax.data.dataset import DataConfig
from vit_jax.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    fields = dict(
        embed_dim=128,
        num_heads=8,
        mlp_ratio=8.0,
        pos_drop_rate=0.1,
        proj_drop_rate=0.1,
        attn_drop_rate=0.1,
        preprocessing=Preprocessing(IMAGENET_MEAN, IMAGENET_STD),
    )
    return Config(
        model=ModelConfig("vit_base_patch32_224", fields),
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
        duration="20 epochs",
        batch_size=64,
    )
