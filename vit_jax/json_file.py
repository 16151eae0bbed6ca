"""JSON files: written whole, and damaged perhaps when they are read. A seal tells that one is as it was written."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vit_jax.whole_file import replace_text

SEAL = "sha256"
"""The name of a sealed object's digest, which is its first entry."""


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file, in the place of one that may be there."""
    replace_text(path, json_text(content))


def json_text(content: Any) -> str:
    """The text of a JSON file."""
    return json.dumps(content, indent=2) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ValueError: if it is damaged; names the file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it should be an object, not {type(content).__name__}")
    return content


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """An object with the SHA-256 of its own text before the rest: `unsealed` notices any change."""
    return {SEAL: hashlib.sha256(json.dumps(content, indent=1).encode()).hexdigest(), **content}


def unsealed(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A sealed object, read again from a path, without its seal; one that never had a seal as it is.

    Raises:
        ValueError: if it is not what was sealed.
    """
    rest = {name: value for name, value in content.items() if name != SEAL}
    if SEAL in content and sealed(rest)[SEAL] != content[SEAL]:
        raise ValueError(
            f"{path} is not as it was written: its SHA-256 is another. Put it back; or if you have edited it, delete "
            f"its entry {SEAL!r}"
        )
    return rest
