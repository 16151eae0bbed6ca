"""A classifier of CIFAR-10 from the masked autoencoder of `mae_cifar10.py`: the full recipe, for one GPU.

    python train.py --config configs/mae_cifar10_finetune.py

Not measured yet. MAE's fine-tuning (appendix A.1, table 9): the mean of the patches is normalised and classified, lower
layers learn more slowly, mixup or cutmix, erasing, stochastic depth. The learning rate, 1e-3 x batch / 256, and
the layer decay are those of MAE's code for ViT-L and H (for B: 5e-4, 0.65). What differs: 512 images a batch for 1,024,
for one GPU; AutoAugment's policy for CIFAR in the place of RandAugment; crops are shifted, not resized; the sin-cos
positions stay as they are, where MAE's code trains them from there.

After masked autoencoding of CIFAR-10 others report 96.41% (Tan, 2024, less than 3.65 million parameters) and, with a
ViT-Ti in patches of 2, 91.2% (yjh0410) and 89.77% (IcarusWizard).
"""

from vit_jax.data.augment import CifarAutoAugment, MixupOrCutmix, RandomCrop, RandomErasing, RandomHorizontalFlip
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.classification import Classification
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig(pretrained="runs/mae_cifar10", fields=dict(pool="avg", fc_norm=True, drop_path_rate=0.1)),
        data=DataConfig("cifar10"),
        augment=(
            RandomCrop(padding=4),
            RandomHorizontalFlip(),
            CifarAutoAugment(),
            RandomErasing(probability=0.25),
            MixupOrCutmix(mixup_alpha=0.8, cutmix_alpha=1.0),
        ),
        objective=Classification(label_smoothing=0.1),
        optimizer=OptimizerConfig("adamw", learning_rate=2e-3, weight_decay=0.05, clip_norm=None, layer_decay=0.75),
        schedule=ScheduleConfig(warmup="5 epochs"),
        duration="100 epochs",
        evaluate_every="100 epochs",  # the test images are looked at once
        batch_size=512,
        dtype="bfloat16",
    )
