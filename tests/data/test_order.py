import numpy as np

from vit_jax.data.order import ShuffledOrder


def test_every_epoch_has_every_example_once_though_batches_run_across_its_end():
    order = ShuffledOrder(seed=0, examples=10)
    seen = np.concatenate([order.batch(step, 4) for step in range(10)])  # 40 examples: 4 epochs
    for epoch in seen.reshape(4, 10):
        assert sorted(epoch) == list(range(10))


def test_epochs_and_seeds_differ():
    orders = [tuple(ShuffledOrder(seed, 100).epoch(epoch)) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == 9


def test_a_batch_is_a_function_of_seed_and_step_alone():
    """A resumed run, or a worker that sees every other step, must get the batches of an uninterrupted run."""
    straight = ShuffledOrder(seed=5, examples=7)
    steps = [straight.batch(step, 3) for step in range(20)]
    for step in (19, 0, 7, 6, 13):
        np.testing.assert_array_equal(ShuffledOrder(5, 7).batch(step, 3), steps[step])
        np.testing.assert_array_equal(straight.batch(step, 3), steps[step])


def test_a_batch_larger_than_the_set_goes_round():
    assert sorted(ShuffledOrder(0, 3).batch(0, 6)) == [0, 0, 1, 1, 2, 2]


def test_only_the_last_epochs_are_kept():
    order = ShuffledOrder(0, 10)
    for step in range(50):
        order.batch(step, 4)
    assert len(order.epochs) <= 2


def test_repeated_examples_stand_side_by_side_in_epochs_of_the_same_length():
    """Three at a time from the first third of each epoch's permutation, across batches and epochs."""
    order = ShuffledOrder(seed=0, examples=10, repeats=3)
    seen = np.concatenate([order.batch(step, 4) for step in range(5)]).reshape(2, 10)  # 2 epochs
    for number, epoch in enumerate(seen):
        np.testing.assert_array_equal(epoch, np.repeat(ShuffledOrder(0, 10).epoch(number), 3)[:10])
