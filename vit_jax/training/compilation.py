"""How XLA is asked to compile programs that run for long."""

import jax


def compiler_options(platform: str | None = None) -> dict[str, str]:
    """Options of `jax.jit(..., compiler_options=...)` for a platform; None for the devices at hand.

    On a CPU, matrix products by Eigen rather than by YNNPACK, XLA's default: a training step of ViT-Ti or ViT-S takes
    an eighth less time, one of a Swin the same (two AMD cores with AVX2, jax 0.10.2). Elsewhere, XLA's own choices.
    """
    return {"xla_cpu_experimental_ynn_fusion_type": ""} if (platform or jax.default_backend()) == "cpu" else {}
