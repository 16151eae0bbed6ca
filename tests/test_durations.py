from typing import Any

import pytest

from vit_jax import durations
from vit_jax.objectives.discrete_autoencoding import DiscreteAutoencoding
from vit_jax.objectives.self_distillation import SelfDistillation


def test_epochs_round_up_so_that_no_example_is_left_out():
    assert durations.to_steps("2 epochs", examples=100, batch_size=64) == 4
    assert durations.to_steps("0.5 epochs", examples=128, batch_size=64) == 1
    assert durations.to_steps("1 epoch", examples=129, batch_size=64) == 3
    assert durations.to_steps("2.2 epochs", examples=50_000, batch_size=100) == 1100  # 2.2 * 500 is 1100.0000000000002


def test_steps_do_not_depend_on_the_data():
    assert durations.to_steps("500 steps", examples=3, batch_size=64) == 500


@pytest.mark.parametrize("wrong", ["", "epochs", "5", "5 minutes", "-1 epochs", "nan epochs", "inf steps", "5epochs"])
def test_other_texts_are_refused_with_an_example_of_the_form(wrong):
    with pytest.raises(ValueError, match=r"duration is written like \"30 epochs\""):
        durations.parse(wrong, "duration")


@pytest.mark.parametrize(
    ("objective", "field"),
    [
        (SelfDistillation, "frozen_prototypes"),
        (SelfDistillation, "temperature_warmup"),
        (DiscreteAutoencoding, "annealing"),
    ],
)
def test_objectives_name_the_field(objective: Any, field: str):
    with pytest.raises(ValueError, match=f"objective.{field} is written like"):
        objective(**{field: "100"})
