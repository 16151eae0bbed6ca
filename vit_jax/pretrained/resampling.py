"""Resampling one axis as a matrix [new, old], the way each library computes it.

Images, embeddings and tables are resampled by one such matrix for their rows and one for their columns. All of it is
float64 NumPy on sizes that are known, so that no accelerator's reduced precision enters.
"""

from collections.abc import Callable

import numpy as np

Kernel = Callable[[np.ndarray], np.ndarray]
"""The weight of a sample by its distance from the position that is asked for; zero from a distance of 2 on."""


def resample(grid: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Applies a matrix to the rows and one to the columns of a grid.

    Args:
        grid: [H, W, ...].
        rows: [new H, H].
        columns: [new W, W].

    Returns:
        float32 [new H, new W, ...].
    """
    resampled = np.einsum("ih,jw,hw...->ij...", rows, columns, np.asarray(grid, np.float64), optimize=True)
    return resampled.astype(np.float32)


def triangle(x: np.ndarray) -> np.ndarray:
    """The kernel of linear interpolation."""
    return np.maximum(1 - np.abs(x), 0)


def cubic(x: np.ndarray, a: float) -> np.ndarray:
    """The kernels of cubic convolution (Keys, 1981); `a` is the slope at a distance of 1."""
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def opencv_cubic(x: np.ndarray) -> np.ndarray:
    """OpenCV's cubic kernel, and torch's without antialiasing."""
    return cubic(x, -0.75)


def keys_cubic(x: np.ndarray) -> np.ndarray:
    """The cubic kernel that Keys chose; Pillow's, and torch's with antialiasing."""
    return cubic(x, -0.5)


def interpolated_at(positions: np.ndarray, old: int, kernel: Kernel) -> np.ndarray:
    """The matrix [positions, old] that interpolates samples at 0, 1, ..., old - 1; edges are repeated beyond them."""
    taps = np.floor(positions)[:, None] + np.arange(-1, 3)  # [positions, 4]: all that a kernel reaches
    matrix = np.zeros((len(positions), old))
    samples = np.clip(taps, 0, old - 1).astype(int)
    np.add.at(matrix, (np.arange(len(positions))[:, None], samples), kernel(taps - positions[:, None]))
    return matrix


def plain(old: int, new: int, kernel: Kernel, offset: float = 0.0) -> np.ndarray:
    """torch's `interpolate(antialias=False)`: half-pixel centres, the kernel as wide growing as shrinking.

    Args:
        old: samples there are.
        new: samples there will be.
        kernel: of the interpolation.
        offset: with one, `interpolate(scale_factor=(new + offset) / old)`: still `new` samples, at the centres of a
            division into `new + offset`. They lie a little off, and the last ones most.
    """
    return interpolated_at((np.arange(new) + 0.5) * old / (new + offset) - 0.5, old, kernel)


def antialiased(old: int, new: int, kernel: Kernel) -> np.ndarray:
    """torch's `interpolate(antialias=True)`: the kernel widens where samples get fewer, and is cut off at edges."""
    positions = (np.arange(new) + 0.5) * old / new - 0.5
    weights = kernel((np.arange(old) - positions[:, None]) / max(old / new, 1.0))
    return weights / weights.sum(axis=1, keepdims=True)


def aligned(old: int, new: int, kernel: Kernel) -> np.ndarray:
    """Corners stay where they are: torch's `align_corners=True`; with `triangle`, `scipy.ndimage.zoom(order=1)`."""
    return interpolated_at(np.linspace(0, old - 1, new), old, kernel)


def geometric_points(old: int, new: int) -> np.ndarray:
    """Where BEiT puts the `old` (an odd number of) offsets of a table on the axis of the new ones: [old], increasing.

    The middle one is offset 0; distances between neighbours grow by a constant ratio towards both ends, so that the
    outermost old offset comes to lie on the outermost new one, new // 2. As published, the ratio is the last midpoint
    of a bisection of [1.01, 1.5] to 1e-6: where no ratio in there does, the ends do not meet.
    """
    half = old // 2
    low = ratio = 1.01
    high = 1.5
    while high - low > 1e-6:
        ratio = (low + high) / 2
        if (ratio**half - 1) / (ratio - 1) > new // 2:
            high = ratio
        else:
            low = ratio
    offsets = np.cumsum(ratio ** np.arange(half))
    return np.concatenate([-offsets[::-1], [0.0], offsets])


def geometric_targets(old: int, new: int) -> np.ndarray:
    """The new offsets, 1 - W ... W - 1, those outside all old ones moved to the outermost: [new]."""
    points = geometric_points(old, new)
    return np.clip(np.arange(new) - new // 2, points[0], points[-1])


def geometric_linear(old: int, new: int) -> np.ndarray:
    """Straight lines between values at `geometric_points` (timm)."""
    points, targets = geometric_points(old, new), geometric_targets(old, new)
    return np.stack([np.interp(targets, points, sample) for sample in np.eye(old)], axis=1)


def geometric_cubic(old: int, new: int) -> np.ndarray:
    """The cubic spline through values at `geometric_points`, at least 5 of them (BEiT's authors).

    Their `scipy.interpolate.interp2d(kind="cubic")`, gone from SciPy 1.14 on, was FITPACK's regrid without smoothing:
    one spline along each axis, with no knots at the second points from the ends ("not-a-knot").
    """
    from scipy.interpolate import make_interp_spline  # 0.3 s, which nothing else need wait for

    spline = make_interp_spline(geometric_points(old, new), np.eye(old), k=3)
    return spline(geometric_targets(old, new))
