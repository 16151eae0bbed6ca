"""ResNet-9 on CIFAR-10 from scratch: the CNN to beat, for one GPU.

    python train.py --config configs/resnet9_cifar10.py

Not measured yet. Network and recipe are those of Page (2018, "How to train your ResNet"), an entry of DAWNBench that
reports 94.1% after 24 epochs: SGD with Nesterov momentum, a learning rate that rises for 5 epochs and falls linearly to
0, shifted and mirrored images with a square of 8x8 pixels cut out (here black; there, grey). The published rate of 0.4
and decay of 5e-4 x 512 are for the batch's summed loss: this is the same for its mean. There, images are padded by
their mirror image, everything decays, and the linear layer has no bias.
"""

from vit_jax.data.augment import RandomCrop, RandomErasing, RandomHorizontalFlip
from vit_jax.data.dataset import DataConfig
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    cutout = RandomErasing(probability=1.0, area=(1 / 16, 1 / 16), aspect=(1.0, 1.0), fill="zero")  # 8x8 of 32x32
    return Config(
        model=ModelConfig("resnet9_32"),
        data=DataConfig("cifar10"),
        augment=(RandomCrop(padding=4), RandomHorizontalFlip(), cutout),
        optimizer=OptimizerConfig("sgd", learning_rate=0.4, weight_decay=5e-4, clip_norm=None),
        schedule=ScheduleConfig("linear", warmup="5 epochs"),
        duration="24 epochs",
        evaluate_every="24 epochs",  # the test images are looked at once
        batch_size=512,
        dtype="bfloat16",
    )
