"""Names under which the same file was written by other versions or wrappers of a publisher's code."""

import re
from collections.abc import Mapping, Sequence

from vit_jax.pretrained.stored import StoredArray

Spellings = Sequence[tuple[str, str]]
"""Regular expressions and what replaces them, applied to every name from first to last."""


def respelled(arrays: Mapping[str, StoredArray], spellings: Spellings) -> dict[str, StoredArray]:
    """The same arrays by their names in the publisher's table.

    Raises:
        ValueError: if two become one.
    """
    renamed: dict[str, StoredArray] = {}
    written: dict[str, str] = {}
    for name, stored in arrays.items():
        spelled = name
        for pattern, replacement in spellings:
            spelled = re.sub(pattern, replacement, spelled)
        if spelled in renamed:
            raise ValueError(f"two parameters of the file would be the same: {written[spelled]!r} and {name!r}")
        renamed[spelled], written[spelled] = stored, name
    return renamed
