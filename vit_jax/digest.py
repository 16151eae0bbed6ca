"""What tells arrays apart, without keeping them."""

import hashlib
from typing import Any

from flax.traverse_util import flatten_dict


def digest_of(arrays: Any, beside: str = "") -> str:
    """The SHA-256 of a nested dict of numpy arrays, such as parameters, with names and shapes; and of a text beside."""
    digest = hashlib.sha256(beside.encode())
    for path, array in sorted(flatten_dict(arrays, sep="/").items()):
        digest.update(f"{path} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
