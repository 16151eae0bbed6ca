"""ViT of width 96 and depth 4 on the 8x8 digits of scikit-learn: the first run, a minute or two, no download.

    python train.py

Test accuracy 99.16%, 99.44%, 98.33%, 99.16% and 98.89% with seeds 0 to 4 (359 images; 2026-11-28). Runs of the days
before took 51 to 61 s on 2 cores of an AMD EPYC, 103 to 129 s on 2 of an Intel Xeon at 2.5 GHz.

With 1,438 training images augmentation decides. Crops are resized rather than shifted: shifting by one pixel moves
strokes across the borders of the 2x2 patches, so that most training images are cut into patches unlike a test image's.
"""

from vit_jax.data.augment import Mixup, RandomResizedCrop
from vit_jax.data.dataset import DataConfig
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig("vit_digits_patch2_8", dict(pool="avg", pos_embed="sincos")),
        data=DataConfig("digits"),
        augment=(RandomResizedCrop(scale=(0.7, 1.0), ratio=(0.85, 1.18)), Mixup(alpha=0.8)),
        optimizer=OptimizerConfig("muon", learning_rate=3e-3),
        schedule=ScheduleConfig(warmup="2 epochs"),
        duration="50 epochs",
        batch_size=64,
        steps_per_dispatch=8,  # a quarter faster: the steps are short
        log_every="5 epochs",
        evaluate_every="5 epochs",
        checkpoint_every="10 epochs",
    )
