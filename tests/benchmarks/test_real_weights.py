"""benchmarks.real_weights: it computes on the CPU, as its comparison says."""

import json

import jax
import pytest

from benchmarks import measure, real_weights


def test_it_chooses_the_cpu(tmp_path, monkeypatch: pytest.MonkeyPatch):
    chosen = []

    def beside_timm(*asked):
        chosen.append(jax.config.jax_platforms)  # pyright: ignore[reportAttributeAccessIssue]
        return {"difference": 0.0, "largest": 1.0}

    monkeypatch.setattr(real_weights, "beside_timm", beside_timm)
    monkeypatch.setattr(real_weights, "of_features", lambda *asked: {"linear_probe": 0.5})
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["real_weights", "file.pth", "--timm", "name"])
    jax.config.update("jax_platforms", None)
    try:
        real_weights.main()
    finally:
        jax.config.update("jax_platforms", "cpu")
    assert set(chosen) == {"cpu"}
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text())["results"][0]["linear_probe"] == 0.5
