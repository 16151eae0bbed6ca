"""ViT-S/4 on CIFAR-10 from scratch: the full recipe, for one GPU.

    python train.py --config configs/vit_small_cifar10.py

Not measured yet. ViT-S with patches of 4 pixels: 12 blocks of width 384, 21.3 million parameters, eight times those of
`vit_cifar10.py`, whose recipe this is with half the learning rate. DeiT-S in patches of 4 is given 92.4% after 300
epochs of its own recipe (Zhang et al., 2021, "NesT").
"""

from vit_jax.data.augment import CifarAutoAugment, MixupOrCutmix, RandomCrop, RandomErasing, RandomHorizontalFlip
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.classification import Classification
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig("vit_small_patch4_32", dict(drop_path_rate=0.1)),
        data=DataConfig("cifar10"),
        augment=(
            RandomCrop(padding=4),
            RandomHorizontalFlip(),
            CifarAutoAugment(),
            RandomErasing(probability=0.25, area=(0.02, 0.4)),
            MixupOrCutmix(mixup_alpha=1.0, cutmix_alpha=1.0, probability=0.5),
        ),
        objective=Classification(label_smoothing=0.1),
        optimizer=OptimizerConfig("adamw", learning_rate=5e-4, weight_decay=0.05, clip_norm=None),
        schedule=ScheduleConfig(warmup="30 epochs"),
        duration="300 epochs",
        evaluate_every="300 epochs",  # the test images are looked at once
        checkpoint_every="10 epochs",
        batch_size=128,
        dtype="bfloat16",
    )
