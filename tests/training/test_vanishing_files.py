"""A run whose image files vanish or go bad on its way."""

import dataclasses

import jax
import numpy as np
from PIL import Image

from vit_jax.data.dataset import DataConfig
from vit_jax.data.folder import FolderSource
from vit_jax.data.listing import LISTING, write_listing
from vit_jax.data.sources import load_dataset
from vit_jax.training.optimizer import OptimizerConfig


def test_it_ends_as_one_that_was_not_cut_off(small_config, run_to_end, cut_off, tmp_path, capsys):
    for name, shade in (("dark", 40), ("light", 200)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(60):
            noise = np.random.default_rng(number).integers(-40, 40, (8, 8, 3))
            Image.fromarray((shade + noise).astype(np.uint8)).save(tmp_path / "pictures" / name / f"{number}.png")
    data = DataConfig(f"folder:{tmp_path}/pictures", load_size=8, skip_unreadable=True, feed="streaming", workers=0)
    plain = dict(optimizer=OptimizerConfig(), augment=(), ema_decay=None, batch_size=16, duration="24 steps")
    config = dataclasses.replace(small_config, data=data, **plain)
    dataset = load_dataset(data)
    assert isinstance(dataset.train, FolderSource)
    assert isinstance(dataset.test, FolderSource)
    straight, continued = tmp_path / "straight", tmp_path / "continued"
    for workdir in (straight, continued):  # both have begun
        workdir.mkdir()
        write_listing(dataset, workdir / LISTING)
    gone, bad = dataset.train.files[7], dataset.test.files[2]
    (tmp_path / gone).unlink()
    (tmp_path / bad).write_bytes(b"")

    _, expected, _ = run_to_end(config, straight)
    told = capsys.readouterr().out
    assert told.count(gone + " cannot be read") == told.count(bad + " cannot be read") == 1
    cut_off(config, continued, 15)
    run, result, _ = run_to_end(config, continued)
    assert run.dataset.train.files == dataset.train.files
    jax.tree.map(np.testing.assert_array_equal, result.params, expected.params)
    assert result.test.place.tolist() == [0, 1, *range(3, len(dataset.test))]
    assert result.rows[-1]["examples"] == len(dataset.test) - 1
