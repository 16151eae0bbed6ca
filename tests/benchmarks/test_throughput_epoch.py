"""benchmarks.throughput.epoch: a tiny epoch with the project's step."""

from dataclasses import replace

import pytest

from benchmarks import measure
from benchmarks.throughput import epoch
from benchmarks.throughput.epoch import measured
from configs.swin_cifar10 import get_config
from vit_jax.training.config import ModelConfig


@pytest.mark.slow
def test_an_epoch_is_trained_and_evaluated():
    recipe = get_config()
    model = ModelConfig("vit_cifar_patch4_32", dict(depth=1, embed_dim=16, num_heads=2))
    config = replace(recipe, model=model, batch_size=16, steps_per_dispatch=2, dtype="float32")
    entry = measured(config, "cpu", images=40, test_images=24, rounds=1)
    assert (entry["images"], entry["test_images"]) == (40, 24)
    assert entry["steps"] == 4  # 2.5 batches, in whole dispatches
    assert entry["seconds_of_an_epoch"]["median"] < entry["seconds_of_the_first_epoch"]
    assert entry["seconds_of_training"]["median"] < entry["seconds_of_an_epoch"]["median"]


def test_an_epoch_of_few_images_does_not_replace_one_of_all(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys):
    def pretended(config, device, images, test_images, rounds):
        times = dict(median=2.0, min=1.0, max=3.0)
        size = dict(images=images, test_images=test_images, steps=4, batch=128)
        return dict(measured="epoch", model=config.model.name, device=device, seconds_of_an_epoch=times, **size)

    monkeypatch.setattr(epoch, "measured", pretended)
    monkeypatch.setattr(epoch, "use_device", lambda device: None)
    monkeypatch.setattr(epoch, "device_name", lambda: "some_gpu")
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    for images in ("50000", "500", "500"):
        monkeypatch.setattr("sys.argv", ["epoch", "--models", "vit_cifar_patch4_32", "--images", images])
        epoch.main()
    assert [entry["images"] for entry in measure.kept("throughput_some_gpu")] == [50_000, 500]
    assert "an epoch, 4 steps of 128 images, and its evaluation take 2 (1 to 3) s" in capsys.readouterr().out
