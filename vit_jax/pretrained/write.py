"""Weights and the JSON files beside them, written so that nobody reads weights with the config of others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax.json_file import json_text
from vit_jax.pretrained.safetensors_file import write_safetensors
from vit_jax.whole_file import replace_text


def write_model(
    directory: Path, arrays: Mapping[str, np.ndarray], format: str, documents: Mapping[str, Mapping[str, Any]]
) -> None:
    """Writes `model.safetensors` and JSON files, each at once, in the place of those of an earlier model.

    If the documents stay as they are, the weights take the place of the old ones, and who reads finds one or the other:
    a run that is training writes its model again and again. Otherwise the old weights go before other documents come: a
    folder whose writing was stopped in between has none, and is refused.

    Args:
        directory: made if need be.
        arrays: by their names, each contiguous.
        format: as `write_safetensors` takes it.
        documents: the JSON files, by their names.

    Raises:
        TypeError: if a document has what JSON cannot hold. Nothing is written then.
        OSError: as `replace_file`.
    """
    texts = {directory / name: json_text(document) for name, document in documents.items()}
    weights = directory / "model.safetensors"

    def write_texts() -> None:
        if any(not path.is_file() or path.read_bytes() != text.encode() for path, text in texts.items()):
            weights.unlink(missing_ok=True)
            for path, text in texts.items():
                replace_text(path, text)

    directory.mkdir(parents=True, exist_ok=True)
    write_safetensors(weights, arrays, format, write_texts)
