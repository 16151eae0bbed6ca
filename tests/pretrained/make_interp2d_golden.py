"""Makes golden/resize_interp2d.npz: bias tables as BEiT's authors resize them, with the function that they call.

    pip install "scipy<1.14" && python -m tests.pretrained.make_interp2d_golden

SciPy removed `interp2d` in 1.14; this file was made with 1.13.1, in an environment with nothing but SciPy and NumPy.
"""

from typing import Any

import numpy as np
from scipy.interpolate import interp2d

from tests.pretrained.fitpack_reference import beit_bias_table
from tests.pretrained.resize_cases import BIAS_CASES, INTERP2D_FILE, bias_table


def spline(x: np.ndarray, y: np.ndarray, values: np.ndarray, new_x: np.ndarray, new_y: np.ndarray) -> np.ndarray:
    """interp2d's cubic spline."""
    return interp2d(x, y, values, kind="cubic")(new_x, new_y)  # pyright: ignore[reportCallIssue]


def main() -> None:
    golden: Any = {name: beit_bias_table(bias_table(case), case, spline) for name, case in BIAS_CASES.items()}
    np.savez(INTERP2D_FILE, **golden)


if __name__ == "__main__":
    main()
