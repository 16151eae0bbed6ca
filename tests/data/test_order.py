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


def test_repeated_examples_are_there_three_times_in_epochs_of_the_same_length():
    """Three copies of each of the first third of an epoch's permutation, across batches and epochs."""
    order = ShuffledOrder(seed=0, examples=10, repeats=3)
    copies = np.concatenate([np.repeat(ShuffledOrder(0, 10).epoch(epoch), 3)[:10] for epoch in range(2)])
    for step, batch in enumerate(copies.reshape(5, 4)):
        assert sorted(order.batch(step, 4)) == sorted(batch)


def test_copies_of_an_example_have_different_partners_in_mixing():
    """Mixup and cutmix mix the example at j with that at B - 1 - j."""
    batch = ShuffledOrder(seed=0, examples=300, repeats=3).batch(0, 300)
    partners = [set(batch[::-1][batch == example]) for example in np.unique(batch)]
    assert np.mean([len(partner) for partner in partners]) > 2.9  # of 3; side by side they would share 1 or 2


def test_copies_are_shuffled_differently_in_each_batch():
    """Else the same places of every batch would be mixed with copies of each other."""
    order = ShuffledOrder(seed=0, examples=300, repeats=3)
    place = np.argsort(order.epoch(0))
    shuffles = {tuple(place[order.batch(step, 30)] - 10 * step) for step in range(10)}  # batches of 10 examples each
    assert {tuple(sorted(shuffle)) for shuffle in shuffles} == {tuple(np.repeat(range(10), 3))}
    assert len(shuffles) == 10
