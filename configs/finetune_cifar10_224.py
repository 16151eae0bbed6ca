"""A pretrained ViT or DeiT fine-tuned on CIFAR-10 at 224 px, for one GPU.

    python train.py --config configs/finetune_cifar10_224.py
    python train.py --config configs/finetune_cifar10_224.py --model.pretrained deit_tiny_patch16_224.pth
    python train.py --config configs/finetune_cifar10_224.py --model.pretrained google/vit-base-patch16-224-in21k

Not measured yet. AdamW with layer-wise decay, as BEiT and MAE fine-tune, but with the gradient clipped at norm 1; mixup
or cutmix, stochastic depth and label smoothing as DeiT has them. The images are kept at 32 px and enlarged on the
device. DeiT-B reaches 99.1% after 1000 epochs of SGD (Touvron et al., 2021). For Swin: `finetune_swin_cifar10.py`.
"""

from vit_jax.data.augment import MixupOrCutmix, RandomCrop, RandomHorizontalFlip
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.classification import Classification
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig(pretrained="facebook/deit-base-patch16-224", fields=dict(image_size=224, drop_path_rate=0.1)),
        data=DataConfig("cifar10"),
        augment=(RandomCrop(padding=4), RandomHorizontalFlip(), MixupOrCutmix(mixup_alpha=0.8, cutmix_alpha=1.0)),
        objective=Classification(label_smoothing=0.1),
        optimizer=OptimizerConfig("adamw", learning_rate=5e-4, weight_decay=0.05, layer_decay=0.75),
        schedule=ScheduleConfig(warmup="2 epochs", final=0.01),
        duration="20 epochs",
        evaluate_every="20 epochs",  # the test images are looked at once
        batch_size=256,
        dtype="bfloat16",
    )
