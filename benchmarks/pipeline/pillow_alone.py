"""What the streaming feed is measured by: Pillow's own calls, and nothing around them.

It imports nothing else, as the processes that run it do.
"""

from PIL import Image


def decode(path: str, size: int) -> Image.Image:
    """The centre square of an image file, resized to size x size: what `vit_jax.data.decoding.read_centre` gives."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))


def decode_and_forget(task: tuple[str, int]) -> None:
    """Decodes (path, size) in another process, which does not send the image back."""
    decode(*task)
