"""Which network a command is about."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vit_jax.pretrained.load import Pretrained


@dataclass(frozen=True)
class LoadOptions:
    """How a stored network is loaded.

    Attributes:
        publisher: Whose weights they are, where names do not tell, e.g. dino or deit.
        revision: Of a model on a hub.
        image_size: Height and width to use the model at, or one number for squares. Without it, its own.
    """

    publisher: str | None = None
    revision: str | None = None
    image_size: int | tuple[int, int] | None = None


class ModelSource(NamedTuple):
    """A stored network, as the flags of a command say it.

    Attributes:
        source: a run's workdir, a saved model, or any weights that `vit_jax.load_pretrained` reads.
        options: of loading it.
    """

    source: str
    options: LoadOptions = LoadOptions()

    def load(self) -> "Pretrained":
        """The network, its parameters and classes; errors as of `vit_jax.load_pretrained`."""
        # Imports Flax, which a command's --help need not wait for.
        from vit_jax.pretrained.load import open_stored, read

        return read(open_stored(self.source, **asdict(self.options)))
