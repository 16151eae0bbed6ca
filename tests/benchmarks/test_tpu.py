"""The training step is made for devices that are not there: lowered for a TPU, compiled for those at hand."""

import dataclasses
from types import SimpleNamespace

import jax
import pytest

from benchmarks import measure, tpu
from benchmarks.training_program import training_program
from configs import dino_cifar10, swin_cifar10, vit_cifar10
from vit_jax.training.config import Config, ModelConfig

SMALL = dict(embed_dim=24, depth=2, num_heads=2)
CONFIGS = {
    "vit": (vit_cifar10, SMALL),
    "swin": (swin_cifar10, dict(embed_dim=16, depths=(1, 2), num_heads=(1, 2))),
    "dino": (dino_cifar10, {**SMALL, "prototypes": 32, "head_hidden_dim": 16, "head_bottleneck_dim": 8}),
}


def small(name: str) -> Config:
    """A full recipe of a small network and batch."""
    module, fields = CONFIGS[name]
    config = module.get_config()
    model = ModelConfig(config.model.name, {**config.model.fields, **fields})
    return dataclasses.replace(config, model=model, batch_size=16, steps_per_dispatch=1)


@pytest.mark.parametrize("name", CONFIGS)
def test_full_recipes_lower_for_a_tpu(name: str):
    """With augmentation, in bfloat16: no operation is for a CPU or a GPU alone."""
    program, inputs = training_program(small(name), jax.devices())
    lowered = program.trace(*inputs).lower(lowering_platforms=("tpu",))
    text = lowered.as_text()
    assert "bf16" in text
    assert "mhlo.num_partitions = 8" in text


def test_what_a_device_has_to_hold_is_told():
    """At least the images, of which every device has all."""
    config = small("vit")
    found = tpu.compiled_for(config, jax.devices()[:2])
    images = 50_000 * (32 * 32 * 3 + 4)
    assert images < found["held"] < 1.1 * images
    assert found["scratch"] > 0
    assert found["seconds"] > 0


def test_what_is_kept_says_how_it_was_compiled(tmp_path, monkeypatch: pytest.MonkeyPatch):
    chips = SimpleNamespace(devices=[SimpleNamespace(device_kind="TPU v5 lite")] * 4)
    monkeypatch.setattr(tpu, "topologies", SimpleNamespace(get_topology_desc=lambda *name, platform: chips))
    monkeypatch.setattr(tpu, "compiled_for", lambda config, devices: dict(seconds=1.0, held=2, scratch=3, code=4))
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    monkeypatch.setattr(measure, "version", lambda package: f"{package}'s")
    monkeypatch.setattr("sys.argv", ["tpu", "--configs", "configs/vit_cifar10.py"])
    tpu.main()
    (entry,) = measure.kept("tpu")
    assert (entry["batch"], entry["steps_per_dispatch"], entry["chips"]) == (128, 10, 4)
    assert entry["machine"]["versions"]["libtpu"] == "libtpu's"
