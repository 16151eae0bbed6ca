"""BEiT on CIFAR-10 without labels: the full recipe, for one GPU.

    python train.py --config configs/discrete_vae_cifar10.py
    python train.py --config configs/beit_cifar10.py
    python train.py --config configs/beit_cifar10_finetune.py

Not measured yet. The encoder is the ViT of 2.7 million parameters of SPT_LSA (Lee et al., 2021) and Gani et al. (2022)
as BEiT builds it: with layer scale and relative positions. Recipe: as published, 40% of the patches are masked, in
blocks of at least 8% (75 and 16 of 196 there; 26 and 5 of 64 here), the learning rate is that of 2,048 images. Crops
have at least a fifth of an image, as MAE's: BEiT's 8% would be 9 x 9 of 32 x 32 pixels.
"""

from vit_jax.data.augment import ColorJitter, RandomHorizontalFlip, RandomResizedCrop
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.masked_image_modelling import MaskedImageModelling
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig("beit_pretraining_cifar_patch4_32", dict(drop_path_rate=0.1)),
        data=DataConfig("cifar10"),
        augment=(
            ColorJitter(0.4, 0.4, 0.4),
            RandomResizedCrop(scale=(0.2, 1.0), interpolation="bicubic"),
            RandomHorizontalFlip(),
        ),
        objective=MaskedImageModelling("runs/discrete_vae_cifar10", masked_patches=26, smallest_block=5),
        optimizer=OptimizerConfig("adamw", learning_rate=1.5e-3, weight_decay=0.05, clip_norm=3.0),
        schedule=ScheduleConfig(warmup="10 epochs", final=1e-5 / 1.5e-3),
        duration="800 epochs",
        batch_size=2048,
        dtype="bfloat16",
        evaluate_every="50 epochs",
        checkpoint_every="50 epochs",
    )
