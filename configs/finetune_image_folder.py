"""A pretrained network fine-tuned on one's own images, one folder a class.

    python train.py --config configs/finetune_image_folder.py --data.name folder:DIR --workdir runs/mine
    python train.py --config configs/finetune_image_folder.py --data.name folder:DIR --model.pretrained FILE

AdamW with layer-wise decay: the lower a layer, the less it moves from what it has learned. Images have the size of the
weights; a smaller one is faster: `--model.image_size 128 --data.load_size 144`, for which the position embeddings are
resized. For weights of more than 256 px, raise `--data.load_size` to an eighth more than theirs.
"""

from vit_jax.data.augment import RandomHorizontalFlip, RandomResizedCrop
from vit_jax.data.dataset import DataConfig
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig(pretrained="timm/deit_tiny_patch16_224.fb_in1k", fields=dict(drop_path_rate=0.1)),
        data=DataConfig("folder:pictures", load_size=256, validation_fraction=0.16, test_fraction=0.2),
        augment=(RandomResizedCrop(scale=(0.35, 1.0), interpolation="bicubic"), RandomHorizontalFlip()),
        optimizer=OptimizerConfig("adamw", learning_rate=5e-4, weight_decay=0.05, layer_decay=0.75),
        schedule=ScheduleConfig(warmup="1 epochs"),
        duration="10 epochs",
        batch_size=64,
        log_every="5 steps",
    )
