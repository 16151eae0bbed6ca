"""benchmarks.loading: time and memory of a load."""

import numpy as np
from safetensors.numpy import save_file

from benchmarks import loading


def test_the_growth_of_the_largest_resident_set_is_told_in_mib(tmp_path, monkeypatch):
    path, peaks = tmp_path / "model.safetensors", iter((5 * 2**20, 7 * 2**20))
    save_file({"x": np.zeros(3, np.float32)}, path)
    monkeypatch.setattr(loading, "peak_resident_set", lambda: next(peaks))
    found = loading.load("safetensors", path)
    assert found["MiB"] == 2
    assert found["seconds"] > 0
