"""timm's Vision Transformers with our parameters: the implementation that the weights of most publishers came from.

Importing this module needs torch and timm (the extra "parity").
"""

import importlib.util
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from flax import traverse_util

from tests.models.cases import SMALL, Case


def define_operators_of_torchvision() -> torch.library.Library:
    """Declares the operators that importing torchvision asks for, where its own library does not fit this torch.

    timm imports torchvision, of which there is no build for some CPU builds of torch; nothing here calls them.
    The declarations last as long as the returned object.
    """
    library = torch.library.Library("torchvision", "FRAGMENT")
    package = importlib.util.find_spec("torchvision")
    if package is not None and package.origin is not None:
        source = Path(package.origin).with_name("_meta_registrations.py").read_text(encoding="utf-8")
        for name in re.findall(r'register_fake\("torchvision::(\w+)"\)', source):
            library.define(f"{name}() -> ()")
    return library


try:
    import torchvision  # noqa: F401  # pyright: ignore[reportMissingImports]
except RuntimeError:
    OPERATORS = define_operators_of_torchvision()

from timm.layers.mlp import SwiGLUPacked  # noqa: E402  # pyright: ignore[reportMissingImports]
from timm.layers.norm import LayerNorm  # noqa: E402  # pyright: ignore[reportMissingImports]
from timm.models.deit import VisionTransformerDistilled  # noqa: E402  # pyright: ignore[reportMissingImports]
from timm.models.vision_transformer import VisionTransformer  # noqa: E402  # pyright: ignore[reportMissingImports]

# Our fields in timm's words. A field that a case does not name keeps timm's default, so our defaults are tested too.
ARGUMENTS = {
    "image_size": "img_size",
    "in_channels": "in_chans",
    "pool": "global_pool",
    "num_registers": "reg_tokens",
    "layer_scale": "init_values",
    "gelu": "act_layer",
    "norm_eps": "norm_layer",
}

# Our parameter names in timm's words; kernels are transposed besides.
NAMES = (
    (r"blocks_(\d+)", r"blocks.\1"),
    (r"^patch_embed\.", "patch_embed.proj."),
    (r"\.(kernel|scale)$", ".weight"),
)


def timm_model(case: Case) -> torch.nn.Module:
    """timm's network of a case, with random parameters."""
    fields = {**SMALL, **case.fields}
    distilled = fields.pop("distilled", False)
    if "gelu" in fields:
        fields["gelu"] = partial(torch.nn.GELU, approximate={"erf": "none", "tanh": "tanh"}[fields["gelu"]])
    if "norm_eps" in fields:
        fields["norm_eps"] = partial(LayerNorm, eps=fields["norm_eps"])
    if fields.pop("swiglu", False):  # timm's hidden layer is ours and its gate
        fields |= dict(mlp_layer=SwiGLUPacked, act_layer=torch.nn.SiLU, mlp_ratio=2 * fields["mlp_ratio"])
    model = (VisionTransformerDistilled if distilled else VisionTransformer)(
        **{ARGUMENTS.get(name, name): value for name, value in fields.items()}
    )
    model.train(case.train)
    if distilled:
        model.set_distilled_training(case.train)  # pyright: ignore[reportCallIssue]
    return model


def torch_layout(params: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Our parameters by their own names, joined by dots, in torch's layouts."""
    converted = {}
    for name, value in traverse_util.flatten_dict(dict(params), sep=".").items():
        value = np.asarray(value)
        if name.endswith("kernel"):  # [in, out] to [out, in]; [height, width, in, out] to [out, in, height, width]
            value = value.T if value.ndim == 2 else value.transpose(3, 2, 0, 1)
        converted[name] = torch.tensor(value)
    return converted


def timm_parameters(params: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Our parameters by timm's names and in torch's layouts."""
    converted = {}
    for name, value in torch_layout(params).items():
        for pattern, replacement in NAMES:
            name = re.sub(pattern, replacement, name)
        converted[name] = value
    return converted


def timm_logits(case: Case, params: Mapping[str, Any], images: np.ndarray) -> np.ndarray:
    """What timm computes with our parameters for images [B, H, W, C]; a pair of outputs is stacked."""
    model = timm_model(case)
    model.load_state_dict(timm_parameters(params), strict=True)
    with torch.no_grad():
        outputs = model(torch.tensor(images).permute(0, 3, 1, 2))
    return (torch.stack(outputs) if isinstance(outputs, tuple) else outputs).numpy()
