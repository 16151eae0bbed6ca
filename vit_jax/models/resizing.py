"""How embeddings are resized for another image or other windows; travels with the model and its weights."""

from dataclasses import dataclass
from typing import Literal

from vit_jax.choices import check_fields

PositionResize = Literal[
    "bicubic",
    "bicubic_antialias",
    "bilinear_aligned",
    "bicubic_aligned",
    "bicubic_offset",
]
"""How a position embedding is resized, and by whom.

| method               | computes                                       | used by                                     |
|----------------------|------------------------------------------------|---------------------------------------------|
| "bicubic"            | torch's bicubic, without antialiasing          | DeiT, MAE, BEiT; Hugging Face (ViT, DeiT,   |
|                      |                                                | BEiT, DINOv2), which resizes DINO so, too   |
| "bicubic_antialias"  | torch's bicubic with antialiasing              | timm; DINOv2 with registers (its authors',  |
|                      |                                                | and Hugging Face's)                         |
| "bilinear_aligned"   | bilinear, corners onto corners:                | Google's own code (vit_jax, big_vision)     |
|                      | `scipy.ndimage.zoom(order=1)`                  |                                             |
| "bicubic_aligned"    | torch's bicubic, corners onto corners          | torchvision                                 |
| "bicubic_offset"     | torch's bicubic by the scale (new + 0.1) / old | DINO; DINOv2 without registers (its         |
|                      |                                                | authors')                                   |
"""

BiasTableResize = Literal["bicubic", "geometric_linear", "geometric_cubic", "bilinear"]
"""How a table of relative position biases is resized, and by whom.

| method             | computes                                                        | used by                       |
|--------------------|-----------------------------------------------------------------|-------------------------------|
| "bicubic"          | torch's bicubic, without antialiasing                           | Swin's authors                |
| "geometric_linear" | old offsets moved apart in geometric progression, lines between | timm (Swin, BEiT)             |
| "geometric_cubic"  | old offsets moved apart likewise, a cubic spline through them   | BEiT's authors                |
| "bilinear"         | torch's bilinear, without antialiasing                          | Hugging Face (BEiT, data2vec) |
"""

WindowScale = Literal["pretrained", "own"]
"""What Swin V2's position biases take for their largest offset where windows grow: that of the windows they were
trained with (the paper's fine-tuning, by its configs' PRETRAINED_WINDOW_SIZES), or that of the new ones (timm)."""


@dataclass(frozen=True)
class Resizing:
    """How the publisher of some weights resizes them: at another size they only give the publisher's results so.

    Attributes:
        positions: learned position embeddings. The defaults are timm's.
        bias_tables: tables of relative position biases (Swin, BEiT).
        window_scale: the scale of Swin V2's position biases. Default: the paper's.

    Raises:
        ValueError: when built, if a choice is none of its values.
    """

    positions: PositionResize = "bicubic_antialias"
    bias_tables: BiasTableResize = "geometric_linear"
    window_scale: WindowScale = "pretrained"

    def __post_init__(self):
        check_fields(self)
