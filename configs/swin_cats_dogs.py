"""A small Swin Transformer on a folder of cats and dogs, or of any other classes.

    python train.py --config configs/swin_cats_dogs.py --data.name folder:DIR

224 px, patch 8, two blocks each of width 48, 96 and 192 on maps of 28x28, 14x14 and 7x7 tokens, windows of 7x7: 157
million multiply-adds an image, where the ViT of `vit_cats_dogs.py` has 224 million. The images are divided as there.
"""

from vit_jax.data.augment import RandomHorizontalFlip, RandomResizedCrop
from vit_jax.data.dataset import DataConfig
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    fields = dict(
        patch_size=8,
        embed_dim=48,
        depths=(2, 2, 2),
        num_heads=(2, 4, 8),
        proj_drop_rate=0.1,
        attn_drop_rate=0.1,
    )
    return Config(
        model=ModelConfig("swin_tiny_patch4_window7_224", fields),
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
