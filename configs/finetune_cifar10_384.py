"""A pretrained ViT or DeiT fine-tuned on CIFAR-10 at 384 px, as in the ViT paper, for one large GPU.

    python train.py --config configs/finetune_cifar10_384.py
    python train.py --config configs/finetune_cifar10_384.py --model.pretrained ViT-B_16.npz
    python train.py --config configs/finetune_cifar10_384.py --model.pretrained facebook/deit-base-patch16-384

Not measured yet. SGD with momentum, a cosine from 0.01 over 10,000 steps of 512, no weight decay, clipping at norm 1
(Dosovitskiy et al., 2021, table 4; the rate is that of the paper's code for B/16 on CIFAR-10, for others it has 0.03).
Crops are of 5% to 100% of the area, as in that code. Momentum is Nesterov's here, plain there; all training images are
learned from, there 98%. ViT-B/16, pre-trained on ImageNet-21k, reaches 98.95% in the paper, 98.76% and 99.02% by its
code. The position embeddings are resized to 24x24 patches; the images are kept at 32 px and enlarged on the device.
`--accumulate_steps` and `--model.remat True` fit it into less memory. For Swin: `finetune_swin_cifar10.py`.
"""

from vit_jax.data.augment import RandomHorizontalFlip, RandomResizedCrop
from vit_jax.data.dataset import DataConfig
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig(pretrained="google/vit-base-patch16-224-in21k", fields=dict(image_size=384)),
        data=DataConfig("cifar10"),
        augment=(RandomResizedCrop(scale=(0.05, 1.0)), RandomHorizontalFlip()),
        optimizer=OptimizerConfig("sgd", learning_rate=0.01, weight_decay=0.0, clip_norm=1.0),
        schedule=ScheduleConfig(warmup="500 steps"),
        duration="10000 steps",
        evaluate_every="10000 steps",  # the test images are looked at once
        batch_size=512,
        accumulate_steps=4,
        checkpoint_every="1000 steps",
        dtype="bfloat16",
    )
