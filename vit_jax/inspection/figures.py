"""Arrays to pictures that live inside an HTML file, as `data:` addresses."""

import base64
import io

import numpy as np

LARGEST_SIDE = 160  # pixels; larger images are reduced to this, which a page of thumbnails does not show
SMALL_SIDE = 64  # images up to this side are enlarged with hard edges, pixel by pixel, and stored without loss

RIGHT_COLOUR = (58, 118, 232)  # blue and orange: told apart by colour-blind readers, visible on white and on black
WRONG_COLOUR = (235, 98, 32)


def is_small(image: np.ndarray) -> bool:
    """Whether an image [H, W, C] is enlarged with hard edges and stored without loss."""
    return max(image.shape[:2]) <= SMALL_SIDE


def picture(image: np.ndarray) -> str:
    """uint8 [H, W, C] as a picture: C = 1 or 2 is drawn as grey from the first channel, more as the first three."""
    if is_small(image):
        return encode(drawn_channels(image), "PNG")
    return encode(drawn_channels(image), "JPEG", LARGEST_SIDE)


def drawn_channels(image: np.ndarray) -> np.ndarray:
    """Of [H, W, C] those that are drawn: [H, W], grey, or [H, W, 3]."""
    return image[..., :3] if image.shape[-1] >= 3 else image[..., 0]


def heat_map(shades: np.ndarray) -> str:
    """Shades [classes, classes] in [0, 1] as one pixel a cell: blue on the diagonal, orange off it."""
    diagonal = np.eye(len(shades), dtype=bool)[..., None]
    return encode(np.where(diagonal, rgba(shades, RIGHT_COLOUR), rgba(shades, WRONG_COLOUR)), "PNG")


def rgba(opacity: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Opacity [H, W] in [0, 1] and one colour as uint8 [H, W, 4]."""
    pixels = np.empty((*opacity.shape, 4), np.uint8)
    pixels[..., :3] = colour
    pixels[..., 3] = np.rint(255 * opacity)
    return pixels


def encode(pixels: np.ndarray, form: str, largest_side: int | None = None) -> str:
    """uint8 [H, W], [H, W, 3] or [H, W, 4] as a `data:` address holding a PNG or JPEG."""
    from PIL import Image  # imported when drawing: a run that starts needs no picture

    image = Image.fromarray(pixels)
    if largest_side is not None:
        image.thumbnail((largest_side, largest_side))
    buffer = io.BytesIO()
    image.save(buffer, form, optimize=True, quality=85)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
