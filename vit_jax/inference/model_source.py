"""Which network a command is about."""

from typing import NamedTuple

from vit_jax.pretrained.load import Pretrained, load


class ModelSource(NamedTuple):
    """A stored network, as the flags of a command say it.

    Attributes:
        source: a run's workdir, a saved model, or any weights that `vit_jax.load_pretrained` reads.
        publisher: whose weights they are, where names do not tell; None: what they tell.
        revision: of a model on a hub.
        image_size: height and width to use it at (one number for squares); None: its own.
    """

    source: str
    publisher: str | None = None
    revision: str | None = None
    image_size: int | tuple[int, int] | None = None

    def load(self) -> Pretrained:
        """The network, its parameters and classes; errors as of `vit_jax.load_pretrained`."""
        return load(self.source, publisher=self.publisher, revision=self.revision, image_size=self.image_size)
