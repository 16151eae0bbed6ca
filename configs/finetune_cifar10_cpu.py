"""DeiT-Ti, pretrained on ImageNet, fine-tuned on CIFAR-10: minutes on a laptop's CPU.

    python train.py --config configs/finetune_cifar10_cpu.py
    python train.py --config configs/finetune_cifar10_cpu.py --model.pretrained deit_tiny_patch16_224.pth

The images are enlarged to 96 px on the device and the position embeddings shrunk to their 6x6 patches. The lower half
of the network stays as it is, so that its backward pass is spared; above it each layer learns at 0.8 times the rate of
the next. A third of an epoch: `--duration "2 epochs"` is worth its time.
"""

from vit_jax.data.augment import RandomHorizontalFlip
from vit_jax.data.dataset import DataConfig
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig(pretrained="facebook/deit-tiny-patch16-224", fields=dict(image_size=96)),
        data=DataConfig("cifar10"),
        augment=(RandomHorizontalFlip(),),
        optimizer=OptimizerConfig(
            "adamw",
            learning_rate=1e-3,
            layer_decay=0.8,
            freeze=("patch_embed/*", "cls_token", "pos_embed", "blocks_[0-5]/*"),
        ),
        schedule=ScheduleConfig(warmup="30 steps"),
        duration="300 steps",
        batch_size=64,
        steps_per_dispatch=10,
    )
