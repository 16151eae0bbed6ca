"""DeiT-III's recipe on CIFAR-10 from scratch, for one GPU.

    python train.py --config configs/deit3_cifar10.py

Not measured yet. Touvron et al. (2022) at 32 px, with the rate and decay of their code for ViT-S (README_revenge.md;
table 1 of the paper has 3e-3 and 0.02): LAMB, binary cross-entropy, 3-Augment (one of grayscale, solarize or blur, and
mild color jitter), mixup or cutmix, LayerScale, repeated augmentation (each image three times in a batch), position
embeddings for the patches only. What differs: stochastic depth grows with depth (there, all blocks have the same rate);
crops are shifted by up to 4 pixels (there, resized); the head begins as zeros and moves by Adam (there, a normal
distribution, and LAMB).
"""

from vit_jax.data.augment import ColorJitter, MixupOrCutmix, RandomCrop, RandomHorizontalFlip, ThreeAugment
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.classification import Classification
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    fields = dict(layer_scale=1e-4, no_embed_class=True, drop_path_rate=0.05, kernel_init="normal")
    return Config(
        model=ModelConfig("vit_cifar_patch4_32", fields),
        data=DataConfig("cifar10", repeats=3),
        augment=(
            RandomCrop(padding=4),
            RandomHorizontalFlip(),
            ThreeAugment(sigma=(0.1, 1.0)),  # of 32 px; the paper's 2 is for 224
            ColorJitter(0.3, 0.3, 0.3),
            MixupOrCutmix(),
        ),
        objective=Classification(binary=True),
        optimizer=OptimizerConfig("lamb", learning_rate=4e-3, weight_decay=0.05, clip_norm=1.0),
        schedule=ScheduleConfig(warmup="5 epochs", final=0.0025),
        duration="400 epochs",
        evaluate_every="400 epochs",  # the test images are looked at once
        checkpoint_every="10 epochs",
        batch_size=2048,
        dtype="bfloat16",
    )
