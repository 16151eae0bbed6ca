"""The one form in which a transform refuses a bad field."""


def require(condition: bool, transform: object, field: str, right: str) -> None:
    """Raises ValueError naming the transform, its field, the value given and `right`, the values that would do."""
    if not condition:
        value = getattr(transform, field)
        raise ValueError(f"{type(transform).__name__}({field}={value!r}): {field} must be {right}")


def is_interval(interval: tuple[float, float], low: float, high: float) -> bool:
    """Whether `interval` is two numbers with low <= first <= second <= high (never true of NaN)."""
    return len(interval) == 2 and low <= interval[0] <= interval[1] <= high
