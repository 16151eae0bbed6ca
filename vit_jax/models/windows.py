"""Windows on a map of tokens: partition, reverse, cyclic shift and its mask (Swin, section 3.2).

Everything that depends on sizes alone is a NumPy constant, made when a network is traced: never a parameter.
"""

import math
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.models.layers import patchify, unpatchify

WindowRule = Literal["microsoft", "huggingface_v2", "huggingface_backbone", "timm", "torchvision"]
"""Where the publishers' code differs: maps that are not whole windows, or smaller than one.

- "microsoft" (the paper's code; Hugging Face's Swin): pads, then shifts. Where the smaller side of the map fits into
  one window, the window is as large as that side, on both axes, and nothing is shifted.
- "huggingface_v2" (Hugging Face's Swin V2): the same, but the height decides alone: a map that is narrower than a
  window, but higher, is padded and shifted.
- "huggingface_backbone" (Hugging Face's `SwinBackbone`): pads, then shifts, whatever the size of the map.
- "timm": shifts, then pads. On each axis by itself, the window is no larger than the map, and where it covers the map
  nothing is shifted.
- "torchvision": pads, then shifts. Windows keep their size; an axis that fits into one window is not shifted.
"""

MASKED = -100.0
"""Added to the attention logits between regions that are no neighbours in the image; of the published code."""


def window_partition(x: jax.Array, window: tuple[int, int]) -> jax.Array:
    """Cuts maps [B, H, W, C] into windows [B * windows, tokens of a window, C], both row by row."""
    return patchify(x, window).reshape(-1, math.prod(window), x.shape[-1])


def window_reverse(windows: jax.Array, window: tuple[int, int], height: int, width: int) -> jax.Array:
    """Puts windows [B * windows, tokens of a window, C] back together as maps [B, H, W, C]."""
    grid = height // window[0], width // window[1]
    return unpatchify(windows.reshape(-1, math.prod(grid), math.prod(window) * windows.shape[-1]), grid, window)


def shift_mask(height: int, width: int, window: tuple[int, int], shift: tuple[int, int]) -> np.ndarray:
    """What is added to the attention logits of shifted windows (Swin, figure 4): float32 [windows, M, M].

    The shift brings the first rows and columns to the end, into windows with tokens from the opposite side. Tokens
    attend to each other only if both, or neither, were brought there along each axis: 0 then, `MASKED` otherwise.
    """
    wrapped_rows, wrapped_columns = np.arange(height) >= height - shift[0], np.arange(width) >= width - shift[1]
    region = 2 * wrapped_rows[:, None] + wrapped_columns  # [H, W]
    rows, columns = height // window[0], width // window[1]
    region = region.reshape(rows, window[0], columns, window[1]).transpose(0, 2, 1, 3).reshape(rows * columns, -1)
    return np.where(region[:, :, None] == region[:, None, :], 0, MASKED).astype(np.float32)


@dataclass(frozen=True)
class WindowGrid:
    """How the maps of one block are cut into windows.

    Attributes:
        height: of the map, in tokens.
        width: of the map.
        window: height and width of a window.
        shift: of the windows against those of an unshifted block; (0, 0) for none.
        shift_first: whether the map is shifted before it is padded to whole windows (timm), or after.
    """

    height: int
    width: int
    window: tuple[int, int]
    shift: tuple[int, int]
    shift_first: bool

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the map in whole windows."""
        return -(-self.height // self.window[0]) * self.window[0], -(-self.width // self.window[1]) * self.window[1]

    @property
    def num_windows(self) -> int:
        return math.prod(self.padded) // math.prod(self.window)

    def same_windows(self, other: "WindowGrid") -> bool:
        """Whether another grid cuts the same maps into the same windows: the order counts if they shift and pad."""
        order = any(self.shift) and self.padded != (self.height, self.width)
        ours, theirs = (
            (grid.height, grid.width, grid.window, grid.shift, grid.shift_first and order) for grid in (self, other)
        )
        return ours == theirs

    def mask(self) -> np.ndarray | None:
        """`shift_mask` of these windows; None where nothing is shifted. Padding is not masked, as published."""
        return shift_mask(*self.padded, self.window, self.shift) if any(self.shift) else None

    def partition(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] to (shifted, padded) windows [B * windows, M, C]."""
        bottom, right = self.padded[0] - self.height, self.padded[1] - self.width
        if self.shift_first:
            x = self.roll(x, -1)
        if bottom or right:
            x = jnp.pad(x, ((0, 0), (0, bottom), (0, right), (0, 0)))
        if not self.shift_first:
            x = self.roll(x, -1)
        return window_partition(x, self.window)

    def reverse(self, windows: jax.Array) -> jax.Array:
        """The inverse of `partition`: windows [B * windows, M, C] to maps [B, H, W, C]."""
        x = window_reverse(windows, self.window, *self.padded)
        if self.shift_first:
            return self.roll(x[:, : self.height, : self.width], 1)
        return self.roll(x, 1)[:, : self.height, : self.width]

    def roll(self, x: jax.Array, direction: int) -> jax.Array:
        """The cyclic shift (-1: towards the top left) of maps [B, H, W, C]."""
        return jnp.roll(x, (direction * self.shift[0], direction * self.shift[1]), (1, 2)) if any(self.shift) else x


def window_grid(height: int, width: int, window_size: int, shifted: bool, rule: WindowRule) -> WindowGrid:
    """The windows of a block on a map of `height` x `width` tokens; shifted blocks shift by half a window."""
    half = window_size // 2 * shifted
    if rule in ("microsoft", "huggingface_v2"):
        deciding = min(height, width) if rule == "microsoft" else height
        side, shift = min(deciding, window_size), half if deciding > window_size else 0
        return WindowGrid(height, width, (side, side), (shift, shift), shift_first=False)
    window = (window_size, window_size)
    if rule == "huggingface_backbone":
        return WindowGrid(height, width, window, (half, half), shift_first=False)
    if rule == "timm":
        window = (min(height, window_size), min(width, window_size))
    shift = (half if height > window_size else 0, half if width > window_size else 0)
    return WindowGrid(height, width, window, shift, shift_first=rule == "timm")
