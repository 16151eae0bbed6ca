"""What tells parameters apart, without keeping them."""

import hashlib
from typing import Any

from flax.traverse_util import flatten_dict


def digest_of(params: Any, beside: str = "") -> str:
    """The SHA-256 of parameters, a nested dict of numpy arrays, with their names and shapes; and of a text beside."""
    digest = hashlib.sha256(beside.encode())
    for path, array in sorted(flatten_dict(params, sep="/").items()):
        digest.update(f"{path} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
