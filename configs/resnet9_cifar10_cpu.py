"""ResNet-9, an eighth as wide as published, on CIFAR-10: minutes on a laptop's CPU, the CNN to beat.

    python train.py --config configs/resnet9_cifar10_cpu.py

The recipe is that of DAWNBench's fast entries (Page, 2018): SGD with Nesterov momentum, a learning rate that rises and
falls linearly, label smoothing, shifted and mirrored images. `--model.width 64` is the published network, for a GPU.

Test accuracy 78.65%, 78.44%, 78.79% with seeds 0 to 2 (2026-11-28 and 2026-11-29, on one core each; on a copy of
CIFAR-10 re-encoded as JPEG). By the code of 2026-11-26 it was 79.18%, in 304 s on 2 shared CPU cores.
"""

from vit_jax.data.augment import RandomCrop, RandomHorizontalFlip
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.classification import Classification
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig("resnet9_narrow_32"),
        data=DataConfig("cifar10"),
        augment=(RandomCrop(padding=4), RandomHorizontalFlip()),
        objective=Classification(label_smoothing=0.1),
        optimizer=OptimizerConfig("sgd", learning_rate=0.3, weight_decay=5e-4, clip_norm=None),
        schedule=ScheduleConfig("linear", warmup="1 epochs"),
        duration="5 epochs",
        batch_size=128,
    )
