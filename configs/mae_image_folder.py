"""Masked autoencoder on one's own images without labels, then a classifier of those that have some.

    python train.py --config configs/mae_image_folder.py --data.name folder:PHOTOS --workdir runs/photos
    python train.py --config configs/image_folder.py --data.name folder:DIR --workdir runs/mine \\
        --model.pretrained runs/photos

All images below PHOTOS are taken, in whatever folders; a part is held out, of which the report shows what the network
makes of them. DIR has one folder a class. 64 px, so that it trains on a laptop; raise `--model.image_size` and
`--data.load_size` together for more detail.
"""

from vit_jax.data.augment import RandomHorizontalFlip, RandomResizedCrop
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.masked_autoencoding import MaskedAutoencoding
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    fields = dict(image_size=64, patch_size=8, embed_dim=192, depth=6, num_heads=3)
    fields |= dict(decoder_embed_dim=96, decoder_depth=1, decoder_num_heads=3)
    return Config(
        model=ModelConfig("mae_base_patch16_224", fields),
        data=DataConfig("folder:photos", labels=False, load_size=72, test_fraction=0.05),
        augment=(RandomResizedCrop(scale=(0.2, 1.0), interpolation="bicubic"), RandomHorizontalFlip()),
        objective=MaskedAutoencoding(),
        optimizer=OptimizerConfig("muon", learning_rate=1e-3, b2=0.95, clip_norm=None),
        schedule=ScheduleConfig(warmup="2 epochs"),
        duration="30 epochs",
        batch_size=64,
        log_every="5 steps",
    )
