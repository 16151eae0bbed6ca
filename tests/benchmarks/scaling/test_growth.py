"""Sweeps, their exponents and tables, of made-up costs; and the whole command once, on tiny networks."""

import json
import sys

import jax
import numpy as np
import pytest

from benchmarks import measure
from benchmarks.scaling import __main__, growth, tables
from benchmarks.scaling.growth import Family, Point
from benchmarks.scaling.parameters import random_parameters
from vit_jax.models.registry import create_model

TINY = Family("vit_digits_patch2_8", dict(embed_dim=16, depth=1, num_heads=2, patch_size=4), (8, 16), "tokens", 2.0)


def point(network: str, kind: str, image_size: int, batch: int) -> Point:
    """One whose time grows with the images, and with the pixels to the power of 1.5 in the second round."""
    pixels = image_size**2
    kept = pixels * batch if kind == "gradient" else 0
    return Point(
        network, kind, image_size, batch, pixels * batch, kept, pixels, np.array([pixels, pixels**1.5]) * batch
    )


@pytest.fixture
def points():
    cases = [(32, 1), (64, 1), (128, 1), (32, 4), (32, 16)]
    return [point(network, kind, *case) for network in growth.FAMILIES for kind in growth.PASSES for case in cases]


def test_each_sweep_varies_one_thing(points):
    found = {
        (sweep[0].network, sweep[0].kind, unit): [point.size(unit) for point in sweep]
        for unit, _, sweep in growth.sweeps(points)
    }
    assert found["ViT-Ti/4", "gradient", "tokens"] == [65, 257, 1025]
    assert found["Swin-T", "forward", "pixels"] == [1024, 4096, 16384]
    assert found["Swin-T", "forward", "images"] == [1, 4, 16]
    assert len(found) == 8


def test_exponents_of_every_round(points):
    found = {(r["network"], r["pass"], r["against"], r["cost"]): r for r in growth.exponents(points)}
    time = found["Swin-T", "gradient", "pixels", "time"]
    assert (time["exponent"], time["verdict"]) == ({"median": 1.25, "min": 1, "max": 1.5}, "met within the spread")
    assert found["Swin-T", "gradient", "images", "time"]["exponent"]["max"] == pytest.approx(1)
    assert found["ViT-Ti/4", "gradient", "tokens", "time"]["target"] == 2
    assert ("ViT-Ti/4", "forward", "tokens", "kept for the backward pass") not in found


def test_rows_name_the_growth_over_the_one_above(points):
    lines = tables.of_growth(points).splitlines()
    assert lines[2].startswith("| network | image | multiply-adds (G) | kept for the backward pass (MB) |")
    assert "| Swin-T | 64 px | 4.1e-06 (4.0x) | 0.0041 (4.0x) | 0.0041 (4.0x) |" in lines[8]
    assert len(lines) == 4 * (4 + 6) + 3


@pytest.mark.parametrize("arguments", [["--devices", "--growth"], ["--rounds", "some"]])
def test_wrong_arguments_are_refused(arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scaling", *arguments])
    with pytest.raises(SystemExit, match="2"):
        __main__.main()


def test_a_programs_memory_has_its_results():
    model = create_model(TINY.registered, **TINY.fields)
    gradient = sum(array.nbytes for array in jax.tree.leaves(random_parameters(model)))
    assert growth.programs(model, 1)["gradient"].program_bytes > gradient


@pytest.mark.slow
def test_growth_from_the_command_to_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(growth, "FAMILIES", {"tiny": TINY})
    monkeypatch.setattr(growth, "SMALLEST", 8)
    monkeypatch.setattr(growth, "BATCHES", (1, 2))
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["scaling", "--growth", "--rounds", "1"])
    __main__.main()
    (path,) = tmp_path.iterdir()
    rows = json.loads(path.read_text())["results"]
    grown = {(row["pass"], row["image_size"], row["batch"]): row for row in rows if row["part"] == "growth"}
    assert len(grown) == 6
    one, two = grown["gradient", 8, 1], grown["gradient", 8, 2]
    assert two["multiply_adds"] == 2 * one["multiply_adds"] > 0
    assert one["activation_bytes"] < two["activation_bytes"] <= 2 * one["activation_bytes"]
    exact = [r for r in rows if r["part"] == "exponents" and (r["cost"], r["against"]) == ("multiply-adds", "images")]
    assert [(row["exponent"]["median"], row["verdict"]) for row in exact] == [(1, "met")] * 2
    assert "| tiny | 16 px |" in capsys.readouterr().out
