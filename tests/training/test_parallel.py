"""One device or eight, one program or one for each device, whole or sharded parameters: the same training."""

import dataclasses
from functools import partial
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks.scaling.collectives import exchange
from tests.models.cases import random_params
from vit_jax.data.augment import Mixup, RandomCrop, RandomHorizontalFlip
from vit_jax.models.network import Network
from vit_jax.models.parameters import parameter_shapes
from vit_jax.models.registry import create_model
from vit_jax.objectives.classification import Classification
from vit_jax.objectives.objective import Examples, Given, Loss
from vit_jax.training import parallel as parallel_module
from vit_jax.training.optimizer import OptimizerConfig, make_optimizer
from vit_jax.training.parallel import (
    OnePerDevice,
    OneProgram,
    ParallelConfig,
    Replicas,
    fetched_late,
    make_parallel,
    norm_of_one_vector,
)
from vit_jax.training.step import Step, start_state

BATCH, CLASSES = 16, 10
TOGETHER = Replicas()
MODEL = dict(embed_dim=16, depth=2, num_heads=2, num_classes=CLASSES)


@pytest.fixture(scope="module")
def params():
    return random_params(create_model("vit_digits_patch2_8", **MODEL), 0)


def make_step(params, replicas=TOGETHER, accumulate_steps=1, ema_decay=0.9, **model_fields):
    model = create_model("vit_digits_patch2_8", **MODEL, **model_fields)
    # SGD, because Adam's first steps turn rounding differences of tiny gradients into whole steps.
    optimizer = make_optimizer(OptimizerConfig(name="sgd", clip_norm=1.0), optax.constant_schedule(0.1), params, 100)
    return Step(
        model=model,
        objective=Classification(label_smoothing=0.1),
        augment=(RandomCrop(padding=1), RandomHorizontalFlip(), Mixup(alpha=0.8)),
        optimizer=optimizer,
        schedule=optax.constant_schedule(0.1),
        num_classes=CLASSES,
        accumulate_steps=accumulate_steps,
        ema_decay=ema_decay,
        replicas=replicas,
    )


def batches(steps):
    """Indices [K, B] of `steps` batches."""
    return {"index": np.random.default_rng(2).integers(0, 60, (steps, BATCH)).astype(np.int32)}


def train(parallel, params, arrays, dispatches=(1, 1, 1), **step_fields):
    """The state and metrics after three steps, on the host."""
    step = make_step(params, parallel.replicas, **step_fields)
    state = parallel.place_state(start_state(jax.tree.map(jnp.array, params), step.optimizer, ema=True))
    placed = parallel.place_arrays(arrays)
    compiled = parallel.compile_train(step)
    everything, losses, first = batches(3), [], 0
    for count in dispatches:
        batch = {name: x[first : first + count] for name, x in everything.items()}
        state, metrics = compiled(state, placed, parallel.place_batch(batch, stacked=True), jax.random.key(3))
        losses.append(np.asarray(metrics["loss"]))
        first += count
    return jax.device_get(parallel.gather_state(state)), np.concatenate(losses)


def assert_equal_training(one, other):
    (state, losses), (other_state, other_losses) = one, other
    np.testing.assert_allclose(other_losses, losses, atol=2e-6)
    assert int(state.step) == int(other_state.step) == 3
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, atol=5e-6), state, other_state)


@pytest.fixture(scope="module")
def on_one_device(params, arrays):
    return train(OneProgram(jax.devices()[:1], fsdp=1), params, arrays)


def test_training_changes_every_parameter(params, on_one_device):
    """The comparisons below would hold for a step that does nothing."""
    state, losses = on_one_device
    changes = jax.tree.map(lambda before, after: float(np.abs(after - before).max()), params, state.params)
    assert min(jax.tree.leaves(changes)) > 0
    assert len(set(losses.tolist())) == 3


@pytest.mark.parametrize("fsdp", [1, 2, 8])
def test_eight_devices_equal_one(fsdp, params, arrays, on_one_device):
    assert_equal_training(on_one_device, train(OneProgram(jax.devices(), fsdp), params, arrays))


def test_pmap_equals_one_device(params, arrays, on_one_device):
    """Augmentation and mixing, whose partners live on other devices, included."""
    assert_equal_training(on_one_device, train(OnePerDevice(), params, arrays))


@pytest.mark.parametrize("make", [lambda: OneProgram(jax.devices(), 2), OnePerDevice], ids=["fsdp", "pmap"])
@pytest.mark.parametrize("start", [0, 16])
def test_cpu_devices_read_one_copy_of_a_data_set(start, make):
    """Else it would be in the same memory eight times; NumPy's large arrays begin 16 bytes behind a page."""
    memory = np.random.default_rng(0).integers(0, 256, 2**16 + 64 + start, np.uint8)
    begin = -memory.ctypes.data % 64 + start
    images = memory[begin : begin + 2**16].reshape(64, 32, 32)
    (placed,) = make().place_arrays([images])
    assert len({shard.data.unsafe_buffer_pointer() for shard in placed.addressable_shards}) == 1
    np.testing.assert_array_equal(np.asarray(placed.addressable_data(7)).reshape(images.shape), images)


def test_pmap_takes_one_copy_without_asking_the_other_devices(monkeypatch):
    """An exchange for each array of a state, all at once, has stood still on simulated devices."""
    parallel, first = OnePerDevice(), {jax.devices()[0]}
    state = {"kernel": np.arange(6.0, dtype=np.float32).reshape(2, 3), "step": np.int32(7)}
    step = parallel.compile_train(lambda state, arrays, batches, key: (state, {"loss": batches["x"].mean(-1)}))
    batch = parallel.place_batch({"x": np.ones((1, 16), np.float32)}, stacked=True)
    placed, metrics = step(parallel.place_state(state), {}, batch, jax.random.key(0))
    assert metrics["loss"].devices() == first
    np.testing.assert_array_equal(metrics["loss"], [1.0])

    taken, spread = [], parallel_module.spread
    monkeypatch.setattr(parallel_module, "spread", lambda x, sharding: taken.append(x) or spread(x, sharding))
    gathered = parallel.gather_state(placed)
    assert [x.devices() for x in taken] == [first, first]
    jax.tree.map(np.testing.assert_array_equal, gathered, state)
    assert {x.sharding for x in jax.tree.leaves(gathered)} == {parallel.replicated}


def test_dropout_and_drop_path_are_equal_on_one_device_and_eight(params, arrays):
    rates = dict(drop_rate=0.1, proj_drop_rate=0.1, attn_drop_rate=0.1, drop_path_rate=0.2)
    one = train(OneProgram(jax.devices()[:1], 1), params, arrays, **rates)
    assert_equal_training(one, train(OneProgram(jax.devices(), 2), params, arrays, **rates))


@dataclasses.dataclass(frozen=True)
class Drawing(Classification):
    """Computes no network, and tells a number that is drawn with the key of its dropout."""

    def loss(self, model: Network, params: Any, examples: Examples, given: Given) -> Loss:
        return Loss(jnp.sum(params["head"]["bias"]), {"drawn": jax.random.uniform(given.key)}, {})


@pytest.mark.parametrize(
    ("make", "accumulate_steps", "key_of"),
    [
        (OnePerDevice, 1, jax.random.fold_in),
        (lambda: OneProgram(jax.devices()[:1], 1), 8, lambda key, part: jax.random.split(key, 8)[part]),
    ],
    ids=["pmap", "accumulated"],
)
def test_each_part_of_a_batch_drops_differently(make, accumulate_steps, key_of, params, arrays):
    """The same dropout mask in all eight would be an eighth of the noise: the mean of their draws tells."""
    parallel = make()
    step = make_step(params, parallel.replicas, accumulate_steps)
    step = dataclasses.replace(step, objective=Drawing(), augment=())
    state = parallel.place_state(start_state(jax.tree.map(jnp.array, params), step.optimizer, ema=True))
    batch = parallel.place_batch(batches(1), stacked=True)
    _, metrics = parallel.compile_train(step)(state, parallel.place_arrays(arrays), batch, jax.random.key(3))
    _, dropout_key = jax.random.split(jax.random.fold_in(jax.random.key(3), 0))
    draws = [float(jax.random.uniform(key_of(dropout_key, part))) for part in range(8)]
    assert len(set(draws)) == 8
    np.testing.assert_allclose(metrics["drawn"], [np.mean(draws)], rtol=1e-6)


@pytest.mark.parametrize(
    "make", [lambda: OneProgram(jax.devices()[:1], 1), lambda: OneProgram(jax.devices(), 2), OnePerDevice],
    ids=["one device", "fsdp", "pmap"],
)  # fmt: skip
def test_steps_per_dispatch_do_not_matter(make, params, arrays, on_one_device):
    assert_equal_training(on_one_device, train(make(), params, arrays, dispatches=(2, 1)))


@pytest.mark.parametrize("make", [lambda: OneProgram(jax.devices(), 2), OnePerDevice], ids=["fsdp", "pmap"])
def test_the_memory_of_the_old_state_is_used_for_the_new_one(make, params, arrays):
    """A device has room for one state and what a step works in, not for two."""
    parallel = make()
    step = make_step(params, parallel.replicas)
    state = parallel.place_state(start_state(jax.tree.map(jnp.array, params), step.optimizer, ema=True))
    batch = parallel.place_batch(batches(1), stacked=True)
    parallel.compile_train(step)(state, parallel.place_arrays(arrays), batch, jax.random.key(3))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("accumulate_steps", [2, 4])
def test_accumulation_gives_the_update_of_the_whole_batch(accumulate_steps, params, arrays, on_one_device):
    one = OneProgram(jax.devices()[:1], 1)
    assert_equal_training(on_one_device, train(one, params, arrays, accumulate_steps=accumulate_steps))


def test_accumulation_on_several_devices(params, arrays, on_one_device):
    eight = OneProgram(jax.devices(), 2)
    assert_equal_training(on_one_device, train(eight, params, arrays, accumulate_steps=2))
    assert_equal_training(on_one_device, train(OnePerDevice(), params, arrays, accumulate_steps=2))


def test_remat_gives_the_same_training(params, arrays, on_one_device):
    one = OneProgram(jax.devices()[:1], 1)
    assert_equal_training(on_one_device, train(one, params, arrays, remat=True))


def test_fsdp_shards_what_it_can(params):
    """With two devices a copy, each must hold half of every kernel and of its momentum."""
    parallel = OneProgram(jax.devices(), fsdp=2)
    step = make_step(params)
    state = parallel.place_state(start_state(jax.tree.map(jnp.array, params), step.optimizer, ema=True))
    for leaf in jax.tree.leaves(state):
        local = leaf.addressable_shards[0].data.size
        divisible = any(side % 2 == 0 for side in leaf.shape)
        assert local == (leaf.size // 2 if divisible else leaf.size), leaf.shape


@pytest.mark.parametrize("make", [lambda: OneProgram(jax.devices(), 8), OnePerDevice], ids=["fsdp", "pmap"])
def test_a_state_is_built_as_it_would_be_placed(make, params):
    parallel, begin = make(), partial(start_state, optimizer=make_step(params).optimizer, ema=True)
    state = parallel.place_state(begin(jax.tree.map(jnp.array, params)))
    built = parallel.build_state(begin, jax.tree.map(jnp.array, params))
    jax.tree.map(np.testing.assert_array_equal, built, state)
    for one, other in zip(jax.tree.leaves(built), jax.tree.leaves(state), strict=True):
        assert one.sharding.is_equivalent_to(other.sharding, one.ndim)
    gathered, described = parallel.gather_state(state), parallel.describe_gathered(jax.eval_shape(begin, params))
    as_described = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), gathered)
    assert described == as_described


def test_no_device_ever_holds_more_than_its_share_of_a_state(params, monkeypatch):
    """Parameters are sent; what the optimizer keeps, and the average, is made where it belongs."""
    parallel = OneProgram(jax.devices(), fsdp=8)
    sent, spread = [], parallel_module.spread
    monkeypatch.setattr(parallel_module, "spread", lambda x, sharding: sent.append(x.nbytes) or spread(x, sharding))
    begin = partial(start_state, optimizer=make_step(params).optimizer, ema=True)
    state = parallel.build_state(begin, jax.tree.map(jnp.array, params))
    assert sum(sent) == sum(x.nbytes for x in jax.tree.leaves(params))
    held = dict.fromkeys(jax.devices(), 0)
    for shard in (shard for leaf in jax.tree.leaves(state) for shard in leaf.addressable_shards):
        held[shard.device] += shard.data.nbytes
    leaves = [(leaf.nbytes, any(side % 8 == 0 for side in leaf.shape)) for leaf in jax.tree.leaves(state)]
    assert set(held.values()) == {sum(size // 8 if divisible else size for size, divisible in leaves)}


def test_pmap_sends_each_device_its_copy_from_the_host(monkeypatch):
    """Copies made by JAX would all be on one device first."""
    sent, device_put = [], jax.device_put
    monkeypatch.setattr(jax, "device_put", lambda x, sharding: sent.append(x) or device_put(x, sharding))
    images = np.arange(12, dtype=np.uint8).reshape(4, 3)
    placed = OnePerDevice().place_arrays({"image": images, "on a device": jnp.asarray(images)})
    for copies in jax.tree.leaves(placed):
        np.testing.assert_array_equal(copies, [images] * 8)
        assert [shard.data.shape for shard in copies.addressable_shards] == [(1, 4, 3)] * 8
    assert [(type(x), x.strides[0]) for x in sent] == [(np.ndarray, 0)] * 2


def test_the_moving_average_follows_its_definition(params, arrays):
    parallel = OneProgram(jax.devices()[:1], 1)
    step = make_step(params, ema_decay=0.15)
    state = parallel.place_state(start_state(jax.tree.map(jnp.array, params), step.optimizer, ema=True))
    expected, compiled = np.array(params["head"]["kernel"]), parallel.compile_train(step)
    for number in range(3):
        batch = parallel.place_batch({"index": batches(3)["index"][number : number + 1]}, stacked=True)
        state, _ = compiled(state, parallel.place_arrays(arrays), batch, jax.random.key(3))
        decay = min(0.15, (1 + number) / (10 + number))  # 0.1 at the start, then capped
        expected = decay * expected + (1 - decay) * np.asarray(state.params["head"]["kernel"])
    np.testing.assert_allclose(state.ema_params["head"]["kernel"], expected, atol=1e-6)
    assert state.evaluated_params is state.ema_params


def test_without_a_moving_average_the_parameters_are_evaluated(params):
    state = start_state(params, make_step(params).optimizer, ema=False)
    assert state.ema_params is None
    assert state.evaluated_params is state.params


@pytest.mark.parametrize(("backend", "order"), [
    ("cpu", ["begun 0", "taken 0", "begun 1", "taken 1", "begun 2", "taken 2"]),
    ("gpu", ["begun 0", "begun 1", "taken 0", "begun 2", "taken 1", "taken 2"]),
])  # fmt: skip
def test_what_is_predicted_is_fetched_when_the_next_is_under_way(backend, order, monkeypatch):
    """But for a CPU, where two programs that exchange something would be on the way at once."""
    seen: list[str] = []

    def results():
        for number in range(3):
            seen.append(f"begun {number}")
            yield {"number": jnp.full(2, number)}

    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    for result in fetched_late(results()):
        assert isinstance(result["number"], np.ndarray)
        seen.append(f"taken {result['number'][0]}")
    assert seen == order


def test_a_batch_the_devices_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="batch_size 20 must be a multiple of 8 devices x accumulate_steps 1"):
        make_parallel(ParallelConfig(), batch_size=20, accumulate_steps=1)
    with pytest.raises(ValueError, match="accumulate_steps 3"):
        make_parallel(ParallelConfig(), batch_size=16, accumulate_steps=3)


@pytest.mark.parametrize("config", [ParallelConfig(fsdp=3), ParallelConfig("pmap", fsdp=2), ParallelConfig(fsdp=0)])
def test_an_impossible_fsdp_is_refused(config):
    with pytest.raises(ValueError, match=f"parallel.fsdp={config.fsdp} must divide the 8 devices"):
        make_parallel(config, batch_size=16, accumulate_steps=1)


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_processes_with_different_numbers_of_devices_are_refused(mode, monkeypatch):
    """Each is to feed an equal part of a batch."""
    monkeypatch.setattr(jax, "devices", lambda: [SimpleNamespace(process_index=index) for index in (0, 0, 0, 1)])
    with pytest.raises(ValueError, match="same number of devices, but process 0 has 3, process 1 has 1"):
        make_parallel(ParallelConfig(mode), batch_size=16, accumulate_steps=1)


def test_bfloat16_computes_low_and_keeps_high(params, arrays):
    """Parameters and optimizer stay float32; the result is near the float32 one."""
    parallel = OneProgram(jax.devices()[:1], 1)
    low, low_losses = train(parallel, params, arrays, dtype=jnp.bfloat16)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(dataclasses.asdict(low))} == {"float32", "int32"}
    _, losses = train(parallel, params, arrays)
    assert 0 < np.abs(low_losses - losses).max() < 0.05


def test_devices_that_share_parameters_exchange_them_and_no_activations():
    """Each gathers the parameters and adds up the gradients: twice the parameters' bytes, and some scalars.

    Of a network wide enough that the compiler, left to itself, exchanges nine times as much.
    """
    parallel = OneProgram(jax.devices()[:2], 2)
    model = create_model("vit_digits_patch2_8", embed_dim=192, depth=1, num_heads=3)
    params = jax.tree.map(lambda p: jnp.zeros(p.shape, p.dtype), parameter_shapes(model))
    step = dataclasses.replace(make_step(params, parallel.replicas), model=model, augment=())
    state = parallel.place_state(start_state(params, step.optimizer, ema=False))
    images = {"image": np.zeros((64, 8, 8, 1), np.uint8), "label": np.zeros(64, np.int32)}
    batch = parallel.place_batch({"index": np.zeros((1, 64), np.int32)}, stacked=True)
    program: Any = parallel.compile_train(dataclasses.replace(step, ema_decay=None))
    inputs = (state, parallel.place_arrays(images), batch, jax.random.key(3))
    moved = exchange(program.lower(*inputs).compile().as_text())
    size = sum(p.nbytes for p in jax.tree.leaves(params))
    assert size < moved.bytes < 2.1 * size


@pytest.mark.parametrize(
    ("platform", "sharded", "one_vector"), [("cuda", False, True), ("cuda", True, False), ("cpu", False, False)]
)
def test_the_norm_of_a_gradient_is_that_of_one_vector_on_a_gpu(params, platform, sharded, one_vector):
    """Not of parts on several devices, which would have to be brought together."""
    norm, arrays = Replicas(sharded=sharded).norm, len(jax.tree.leaves(params))
    program = jax.jit(norm).trace(params).lower(lowering_platforms=(platform,)).as_text()
    assert ("stablehlo.concatenate" in program) == one_vector
    assert program.count("stablehlo.reduce(") == (1 if one_vector else arrays)
    np.testing.assert_array_equal(norm(params), optax.tree.norm(params))


def test_the_norm_of_one_vector_is_that_of_all_arrays(params):
    np.testing.assert_allclose(norm_of_one_vector(params), optax.tree.norm(params), rtol=1e-6)


@pytest.mark.parametrize(("fsdp", "sharded"), [(1, False), (2, True)])
def test_devices_that_share_parameters_say_so(fsdp, sharded):
    assert OneProgram(jax.devices(), fsdp).replicas.sharded == sharded
    assert not OnePerDevice().replicas.sharded
