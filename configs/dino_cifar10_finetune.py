"""A classifier of CIFAR-10 from the self-distillation of `dino_cifar10.py`: the full recipe, for one GPU.

    python train.py --config configs/dino_cifar10_finetune.py

Not measured yet. As Gani et al. (2022) fine-tune: 300 epochs (100 of three passes each) of the recipe for training from
scratch, that of `vit_cifar10.py`, in batches of 256. They report 96.41% for this ViT, 96.18% for the Swin.
"""

from vit_jax.data.augment import CifarAutoAugment, MixupOrCutmix, RandomCrop, RandomErasing, RandomHorizontalFlip
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.classification import Classification
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig(pretrained="runs/dino_cifar10", fields=dict(drop_path_rate=0.1)),
        data=DataConfig("cifar10"),
        augment=(
            RandomCrop(padding=4),
            RandomHorizontalFlip(),
            CifarAutoAugment(),
            RandomErasing(probability=0.25, area=(0.02, 0.4)),
            MixupOrCutmix(mixup_alpha=1.0, cutmix_alpha=1.0, probability=0.5),
        ),
        objective=Classification(label_smoothing=0.1),
        optimizer=OptimizerConfig("adamw", learning_rate=1e-3, weight_decay=0.05, clip_norm=None),
        schedule=ScheduleConfig(warmup="30 epochs"),
        duration="300 epochs",
        evaluate_every="300 epochs",  # the test images are looked at once
        batch_size=256,
        dtype="bfloat16",
    )
