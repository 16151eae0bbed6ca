"""Steps are compiled for a GPU that is not there: here, for the CPU, in its place."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from benchmarks import gpu, measure
from tests.benchmarks.test_tpu import small
from vit_jax.models.attention_kernel import choose_kernel


def test_attention_is_chosen_as_on_a_gpu():
    choice = ("auto", 65, 16, jnp.bfloat16, False, 0.0)
    with gpu.attention_as_on_a_gpu():
        assert choose_kernel(*choice).kernel == "cudnn"
        assert choose_kernel("auto", 65, 16, jnp.bfloat16, True, 0.0).kernel == "matmul"
    assert choose_kernel(*choice).kernel == "matmul"


def test_a_step_s_kernels_and_bytes_are_told():
    """At least the parameters are read and written; the images lie there, but are not all read."""
    found = gpu.compiled_step(small("swin"), jax.devices()[0])
    images = 50_000 * (32 * 32 * 3 + 4)
    assert images < found["held"] < 1.1 * images
    assert found["kernels"] > 100
    assert 2 * (found["held"] - images) < found["moved"] < images
    assert found["scratch"] > 0


def test_gradient_accumulation_is_refused():
    """Its kernels are in a loop, which counts as one."""
    with pytest.raises(ValueError, match="accumulate_steps is 2"):
        gpu.compiled_step(replace(small("swin"), accumulate_steps=2), jax.devices()[0])


def test_a_network_of_the_registry_is_trained_in_16_bits():
    config = gpu.plain_config("vit_small_patch16_224", 32)
    assert (config.model.name, config.batch_size, config.dtype) == ("vit_small_patch16_224", 32, "bfloat16")
    assert config.optimizer.name == "adamw"


def test_what_is_kept_says_what_was_compiled(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    chip = SimpleNamespace(devices=[SimpleNamespace(device_kind="NVIDIA H200")])
    found = dict(seconds=1.0, kernels=2_000, moved=3 * 10**9, held=4, scratch=5 * 10**9)
    monkeypatch.setattr(gpu, "topologies", SimpleNamespace(get_topology_desc=lambda *name, **options: chip))
    monkeypatch.setattr(gpu, "compiled_step", lambda config, device: found)
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    monkeypatch.setattr(measure, "version", lambda package: f"{package}'s")
    monkeypatch.setattr("sys.argv", ["gpu", "--configs", "configs/vit_cifar10.py", "--models", "deit_tiny_patch16_224"])
    gpu.main()
    recipe, network = measure.kept("gpu")
    assert (recipe["step"], recipe["batch"], recipe["kernels"]) == ("vit_cifar10", 128, 2_000)
    assert (network["step"], network["batch"], network["compiled_for"]) == ("deit_tiny_patch16_224", 256, "NVIDIA H200")
    assert recipe["machine"]["versions"]["nvidia-cudnn-cu13"] == "nvidia-cudnn-cu13's"
    assert "2,000 kernels move 3.00 GB and work in 5.00 GB" in capsys.readouterr().out
