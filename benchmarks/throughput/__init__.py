"""Images per second of this project beside timm, transformers and a plain Flax network; see `__main__.py`."""
