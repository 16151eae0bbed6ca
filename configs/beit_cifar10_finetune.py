"""A classifier of CIFAR-10 from the BEiT of `beit_cifar10.py`: the full recipe, for one GPU.

    python train.py --config configs/beit_cifar10_finetune.py

Not measured yet. BEiT's fine-tuning: the mean of the patches is classified, lower layers learn much more slowly,
each block has position biases of its own, which begin as those all shared. What differs: AutoAugment's policy for CIFAR
in the place of RandAugment. Gani et al. (2022) reach 96.41% after another pre-training, with a ViT as wide and deep
that has position embeddings and no layer scale.
"""

from vit_jax.data.augment import CifarAutoAugment, MixupOrCutmix, RandomCrop, RandomErasing, RandomHorizontalFlip
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.classification import Classification
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig(pretrained="runs/beit_cifar10", fields=dict(pool="avg", fc_norm=True, drop_path_rate=0.1)),
        data=DataConfig("cifar10"),
        augment=(
            RandomCrop(padding=4),
            RandomHorizontalFlip(),
            CifarAutoAugment(),
            RandomErasing(probability=0.25),
            MixupOrCutmix(mixup_alpha=0.8, cutmix_alpha=1.0),
        ),
        objective=Classification(label_smoothing=0.1),
        optimizer=OptimizerConfig("adamw", learning_rate=4e-3, weight_decay=0.05, clip_norm=None, layer_decay=0.65),
        schedule=ScheduleConfig(warmup="20 epochs"),
        duration="100 epochs",
        evaluate_every="100 epochs",  # the test images are looked at once
        batch_size=1024,
        dtype="bfloat16",
    )
