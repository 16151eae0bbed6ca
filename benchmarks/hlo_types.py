"""The size of arrays by their types, as they stand in the text of a program of XLA's."""

import math
import re

ARRAY = re.compile(r"\b(?P<dtype>pred|[a-z]+(?P<bits>\d+)\w*)\[(?P<shape>[\d,]*)\]")


def array_bytes(type_: str, without: frozenset[str] = frozenset()) -> int:
    """Bytes of an array, or of a tuple of arrays, by its type, e.g. "(f32[2,3]{1,0}, bf16[4]{0})".

    Args:
        type_: the type.
        without: types of arrays that are not counted, e.g. "u8[50000,32,32,3]".
    """
    bits = 0
    for array in ARRAY.finditer(type_):
        if array[0] not in without:
            size = math.prod(int(side) for side in array["shape"].split(",") if side)
            bits += size * int(array["bits"] or 8)  # a truth value takes a byte
    return bits // 8
