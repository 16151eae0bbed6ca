"""A ViT with a distillation token, taught by a CNN, on CIFAR-10: the full recipe, for one GPU.

    python train.py --config configs/resnet9_cifar10.py
    python train.py --config configs/deit_cifar10.py

Not measured yet. DeiT's recipe (Touvron et al., 2021, table 9) at 32 px: hard distillation, each image three times in a
batch, RandAugment, mixup or cutmix, erasing, stochastic depth. The teacher sees the same augmented images.

What differs: crops are shifted by up to 4 pixels, not resized, as DeiT's code has it for images so small; 512 images a
batch, for one GPU, at the learning rate that DeiT has for them; no colour jitter (0.3), which timm leaves out beside
RandAugment; no average of parameters (0.99996: over 25,000 steps, of the 29,300 here).
"""

from vit_jax.data.augment import MixupOrCutmix, RandAugment, RandomCrop, RandomErasing, RandomHorizontalFlip
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.distillation import Distillation
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig("vit_cifar_patch4_32", dict(distilled=True, drop_path_rate=0.1, kernel_init="normal")),
        data=DataConfig("cifar10", repeats=3),
        augment=(
            RandomCrop(padding=4),
            RandomHorizontalFlip(),
            RandAugment(),
            RandomErasing(probability=0.25),
            MixupOrCutmix(),
        ),
        objective=Distillation("runs/resnet9_cifar10", kind="hard", label_smoothing=0.1),
        optimizer=OptimizerConfig("adamw", learning_rate=5e-4, weight_decay=0.05, clip_norm=None),
        schedule=ScheduleConfig(warmup="5 epochs", final=0.02),
        duration="300 epochs",
        evaluate_every="300 epochs",  # the test images are looked at once
        checkpoint_every="10 epochs",
        batch_size=512,
        dtype="bfloat16",
    )
