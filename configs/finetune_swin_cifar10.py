"""A pretrained Swin fine-tuned on CIFAR-10 at its own size, 224 or 384 px, for one GPU.

    python train.py --config configs/finetune_swin_cifar10.py
    python train.py --config configs/finetune_swin_cifar10.py --model.pretrained microsoft/swin-base-patch4-window12-384

Not measured yet. AdamW with a rate of 5e-5 in batches of 128 for three epochs, as users of Hugging Face's Hub fine-tune
Swin-T to 96.6% to 97.2% and Swin-B of ImageNet-22k to 98.9%; weight decay 1e-8, clipping at norm 5 and stochastic depth
as Swin's authors fine-tune (Liu et al., 2021). The images are kept at 32 px and enlarged on the device to the size of
the weights; `--model.image_size 384 --model.window_size 12` takes weights of 224 px to 384, with resized bias tables.
`--accumulate_steps` and `--model.remat True` fit it into less memory.
"""

from vit_jax.data.augment import RandomCrop, RandomHorizontalFlip
from vit_jax.data.dataset import DataConfig
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig(pretrained="microsoft/swin-tiny-patch4-window7-224", fields=dict(drop_path_rate=0.1)),
        data=DataConfig("cifar10"),
        augment=(RandomCrop(padding=4), RandomHorizontalFlip()),
        optimizer=OptimizerConfig("adamw", learning_rate=5e-5, weight_decay=1e-8, clip_norm=5.0),
        schedule=ScheduleConfig(warmup="100 steps", final=0.01),
        duration="3 epochs",
        evaluate_every="3 epochs",  # the test images are looked at once
        batch_size=128,
        dtype="bfloat16",
    )
