"""ViT-S/16 on ImageNet-1k from scratch: the plain baseline (Beyer et al., 2022), for one GPU or more.

    python train.py --config configs/vit_small_imagenet.py --data.name folder:imagenet

Not measured yet. The paper gives over 76% of the validation images after 90 epochs, and 80% after 300 (`--duration "300
epochs"`). The recipe is that of its code, big_vision's `vit_s16_i1k.py`, whose weight decay of 1e-4 is not multiplied
by the learning rate of 1e-3, so that AdamW's is 0.1. What differs: crops are cut from an image's centre square of 256
pixels, not from all of it; RandAugment's operations are timm's; the head is linear; all training images are used, not
99% of them; and the validation images, which are looked at once, at the end, are resized to 224 pixels, not cropped.

`imagenet/` has `train/` and `val/` with a folder for each class; a prepared TFDS set is `--data.name
tfds:imagenet2012`. Images are streamed by worker processes. A batch of 1,024 may be divided by `--accumulate_steps`.
"""

from vit_jax.data.augment import Mixup, RandAugment, RandomHorizontalFlip, RandomResizedCrop
from vit_jax.data.dataset import DataConfig
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig("vit_small_patch16_224", dict(pos_embed="sincos", pool="avg", class_token=False)),
        data=DataConfig("folder:imagenet", load_size=256),
        augment=(
            RandomResizedCrop(scale=(0.05, 1.0)),
            RandomHorizontalFlip(),
            RandAugment(num_ops=2, magnitude=10.0, magnitude_std=0.0),
            Mixup(alpha=0.2),
        ),
        optimizer=OptimizerConfig("adamw", learning_rate=1e-3, weight_decay=0.1),
        schedule=ScheduleConfig(warmup="8 epochs"),  # 10,000 steps
        duration="90 epochs",
        evaluate_every="90 epochs",
        checkpoint_every="1 epochs",
        batch_size=1024,
        dtype="bfloat16",
    )
