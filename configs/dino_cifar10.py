"""Self-distillation (DINO) on CIFAR-10 without labels: the full recipe, for one GPU.

    python train.py --config configs/dino_cifar10.py
    python train.py --config configs/dino_cifar10_finetune.py

Not measured yet. Network and recipe are those of Gani et al. (2022), whose ViT of 2.7 million parameters reaches 96.41%
after such a pre-training and fine-tuning: 1,024 prototypes, 200 epochs, two large crops and eight small ones, which
here are resized to 16 px. `--model.name dino_pretraining_swin_cifar_patch2_window4_32` trains their Swin.
Unlike in DINO's code, class token and position embeddings do not decay, and blurs are weaker (a sigma of at most 0.5
pixels, there 2, for 224 px).
"""

from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.self_distillation import SelfDistillation
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig


def get_config() -> Config:
    """The experiment."""
    return Config(
        model=ModelConfig("dino_pretraining_vit_cifar_patch4_32"),
        data=DataConfig("cifar10"),
        objective=SelfDistillation(
            local_size=16,
            local_scale=(0.2, 0.5),
            global_scale=(0.7, 1.0),
            blur_sigma=(0.1, 0.5),
            teacher_temperature=0.07,
            temperature_warmup="10 epochs",
        ),
        optimizer=OptimizerConfig(
            "adamw", learning_rate=1e-4, weight_decay=0.04, final_weight_decay=0.4, clip_norm=3.0, clip="each"
        ),
        schedule=ScheduleConfig(warmup="30 epochs", final=1e-2),
        duration="200 epochs",
        batch_size=512,
        dtype="bfloat16",
        evaluate_every="20 epochs",
        checkpoint_every="20 epochs",
    )
