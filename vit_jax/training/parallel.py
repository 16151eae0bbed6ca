"""Many devices as one: a mesh with the axes "data" and "fsdp" (jit), or one program for each device (pmap).

Both run the same step function. What it must know of the other devices it asks of `Replicas`.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vit_jax.choices import check_fields

Tree = Any


@dataclass(frozen=True)
class ParallelConfig:
    """How the work is spread over the devices.

    Attributes:
        mode: "jit": one program over all devices, partitioned by the compiler. "pmap": the same step function on each
            device, with explicit means. In float32 they compute the same, but for dropout, which draws other numbers,
            and batch norm, which in pmap normalises by each device's part of the batch, not the whole (with
            accumulate_steps by each part's, in both modes). Its running statistics are the mean over all parts. In
            bfloat16 they round differently, too: "jit" sums the devices' gradients of layers in bfloat16, with fsdp or
            without, and "pmap" in float32.
        fsdp: number of devices that share one copy of the parameters and optimizer state (jit only); it must divide
            the number of devices. 1: every device has a whole copy.
        distributed: this process is one of several, on one machine or many, that train together; each is started with
            the same command. See docs/cluster.md.
    """

    mode: Literal["jit", "pmap"] = "jit"
    fsdp: int = 1
    distributed: bool = False

    def __post_init__(self):
        check_fields(self, "parallel.")


@dataclass(frozen=True)
class Replicas:
    """What the step function needs of the other devices.

    Attributes:
        axis_name: of the devices in pmap; None where one program sees the whole batch.
        whole: gives whole parameters for those that devices share between them; of its gradient, each device gets the
            part that belongs to its own.
        sharded: whether devices share parameters between them, and their gradient.
    """

    axis_name: str | None = None
    whole: Callable[[Tree], Tree] = lambda params: params
    sharded: bool = False

    def mean(self, tree: Tree) -> Tree:
        """The mean over all devices of what each computed from its part of the batch."""
        return tree if self.axis_name is None else jax.lax.pmean(tree, self.axis_name)

    def norm(self, gradient: Tree) -> jax.Array:
        """The Euclidean norm of a gradient, over all of its arrays.

        On a GPU it is that of one long vector, where each device has it all: three kernels and a copy of the gradient,
        rather than one or two kernels for each array.
        """
        if self.sharded:
            return optax.tree.norm(gradient)
        return jax.lax.platform_dependent(gradient, cuda=norm_of_one_vector, default=optax.tree.norm)

    def key(self, key: jax.Array) -> jax.Array:
        """A key for draws that differ from device to device."""
        return key if self.axis_name is None else jax.random.fold_in(key, jax.lax.axis_index(self.axis_name))

    def positions(self, rows: int) -> jax.Array:
        """The places int32 [rows] of this device's examples in the whole batch."""
        first = 0 if self.axis_name is None else jax.lax.axis_index(self.axis_name) * rows
        return first + jnp.arange(rows)

    def reverse(self, x: jax.Array) -> jax.Array:
        """The whole batch [B, ...] in reverse order: this device's rows of it."""
        if self.axis_name is None:
            return x[::-1]
        count = jax.lax.axis_size(self.axis_name)
        opposite = [(device, count - 1 - device) for device in range(count)]
        return jax.lax.ppermute(x, self.axis_name, opposite)[::-1]


def norm_of_one_vector(tree: Tree) -> jax.Array:
    """The Euclidean norm of all arrays, put side by side."""
    return jnp.linalg.norm(jnp.concatenate([x.reshape(-1) for x in jax.tree.leaves(tree)]))


class Parallel(Protocol):
    """Places arrays on the devices and compiles functions for them."""

    replicas: Replicas
    devices: int

    def place_state(self, state: Tree) -> Tree:
        """Spreads a state (host or device arrays, the same on every process) over the devices."""
        ...

    def build_state(self, build: Callable[[Tree], Tree], params: Tree) -> Tree:
        """`build(params)`, placed as by `place_state`, but each device makes its own part of it, and never holds more.

        The parameters' memory is reused.
        """
        ...

    def gather_state(self, state: Tree) -> Tree:
        """The state as a tree of whole arrays over all devices, as checkpoints hold it."""
        ...

    def describe_gathered(self, shapes: Tree) -> Tree:
        """What `gather_state` gives of a state of these shapes: `jax.ShapeDtypeStruct`s with their shardings."""
        ...

    def place_arrays(self, arrays: Tree) -> Tree:
        """Puts a copy of the arrays on every device."""
        ...

    def place_batch(self, batch: Tree, stacked: bool = False) -> Tree:
        """Spreads this process's rows of a batch [B, ...] (stacked: [K, B, ...]) over its devices."""
        ...

    def compile_train(self, step: Callable) -> Callable:
        """Compiles `step(state, arrays, batches, key) -> (state, metrics [K])`; the old state's memory is reused."""
        ...

    def compile_predict(self, predict: Callable) -> Callable:
        """Compiles `predict(params, arrays, batch) -> tree of [B, ...]`; the result is whole, for `fetched_late`."""
        ...


def spread(x: Any, sharding: NamedSharding) -> jax.Array:
    """Puts an array where a sharding says: one that every process has, or one that is spread over the devices."""
    if sharding.is_fully_addressable or (isinstance(x, jax.Array) and not x.is_fully_addressable):
        return jax.device_put(x, sharding)
    whole = np.asarray(x)  # device_put would send it to every process, to compare it with theirs
    return jax.make_array_from_callback(whole.shape, sharding, lambda part: whole[part])


def shareable(x: Any) -> Any:
    """An array for all devices, on a CPU where they can read the same copy of it: at a multiple of 64 bytes.

    XLA takes such memory of the host as it is. Anything else it copies, for each CPU device: a data set would be in the
    same memory as often as there are devices.
    """
    if jax.default_backend() != "cpu" or isinstance(x, jax.Array) or np.asarray(x).ctypes.data % 64 == 0:
        return x
    x = np.asarray(x)
    memory = np.empty(x.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
    copy[...] = x
    return copy


def on_host(tree: Tree) -> Tree:
    """Arrays that are spread over devices as whole numpy arrays on every process, all of which have to ask."""

    def fetch(x: jax.Array) -> np.ndarray:
        elsewhere = not (x.is_fully_addressable or x.is_fully_replicated)
        return np.asarray(multihost_utils.process_allgather(x, tiled=True) if elsewhere else x)

    return jax.tree.map(fetch, tree)


def fetched_late(results: Iterable[Tree]) -> Iterator[Tree]:
    """What a compiled function gives for one batch after the other, on the host.

    Each is fetched when the next is under way, so that the device always has work. Not on a CPU: there is nothing to
    hide there, and programs of several devices that exchange something would wait for one another side by side.
    """
    late = 0 if jax.default_backend() == "cpu" else 1
    pending: deque[Tree] = deque()
    for result in results:
        pending.append(result)
        if len(pending) > late:
            yield jax.device_get(pending.popleft())
    yield from map(jax.device_get, pending)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def gathered(x: jax.Array, whole: NamedSharding, part: NamedSharding) -> jax.Array:
    """An array that is spread as `part` says, spread as `whole` says; its gradient is spread as `part` says."""
    return jax.lax.with_sharding_constraint(x, whole)


def gathered_forward(x: jax.Array, whole: NamedSharding, part: NamedSharding) -> tuple[jax.Array, None]:
    """The forward pass of `gathered`."""
    return gathered(x, whole, part), None


def gathered_backward(whole: NamedSharding, part: NamedSharding, _: None, gradient: jax.Array) -> tuple[jax.Array]:
    """The backward pass of `gathered`."""
    return (jax.lax.with_sharding_constraint(gradient, part),)


gathered.defvjp(gathered_forward, gathered_backward)


class OneProgram:
    """`mode="jit"`: one program over a mesh, parameters replicated over "data" and sharded over "fsdp"."""

    def __init__(self, devices: Sequence[Any], fsdp: int):
        # The rows of a batch that a process feeds lie side by side, and so do its devices.
        grid = np.array(sorted(devices, key=lambda device: (device.process_index, device.id))).reshape(-1, fsdp)
        self.mesh = Mesh(grid, ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)
        self.replicas = Replicas(whole=self.whole, sharded=fsdp > 1)
        self.devices = grid.size
        self.replicated = NamedSharding(self.mesh, PartitionSpec())

    def sharding(self, x: Any) -> NamedSharding:
        """Shards the largest axis that the fsdp devices divide; an array with none is replicated."""
        shards = self.mesh.shape["fsdp"]
        axes = [axis for axis in range(len(x.shape)) if x.shape[axis] % shards == 0]
        if shards == 1 or not axes:
            return self.replicated
        largest = max(axes, key=lambda axis: x.shape[axis])
        return NamedSharding(self.mesh, PartitionSpec(*[None] * largest, "fsdp"))

    def whole(self, params: Tree) -> Tree:
        """Whole parameters on every device. Left to itself, the compiler exchanges activations, which are larger."""
        if self.mesh.shape["fsdp"] == 1:
            return params
        return jax.tree.map(lambda x: gathered(x, self.replicated, self.sharding(x)), params)

    def place_state(self, state: Tree) -> Tree:
        return jax.tree.map(lambda x: spread(x, self.sharding(x)), state)

    def build_state(self, build: Callable[[Tree], Tree], params: Tree) -> Tree:
        shardings = jax.tree.map(self.sharding, jax.eval_shape(build, params))
        return jax.jit(build, donate_argnums=0, out_shardings=shardings)(self.place_state(params))

    def gather_state(self, state: Tree) -> Tree:
        return state

    def describe_gathered(self, shapes: Tree) -> Tree:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.sharding(x)), shapes)

    def place_arrays(self, arrays: Tree) -> Tree:
        return jax.tree.map(lambda x: spread(shareable(x), self.replicated), arrays)

    def place_batch(self, batch: Tree, stacked: bool = False) -> Tree:
        spec = PartitionSpec(*[None] * stacked, ("data", "fsdp"))
        return jax.tree.map(partial(jax.make_array_from_process_local_data, NamedSharding(self.mesh, spec)), batch)

    def compile_train(self, step: Callable) -> Callable:
        def keep_sharding(state: Tree, *inputs: Tree) -> tuple[Tree, Tree]:
            state, metrics = step(state, *inputs)
            shardings = (jax.tree.map(self.sharding, state), jax.tree.map(lambda _: self.replicated, metrics))
            return jax.lax.with_sharding_constraint((state, metrics), shardings)

        return jax.jit(keep_sharding, donate_argnums=0)

    def compile_predict(self, predict: Callable) -> Callable:
        return jax.jit(predict, out_shardings=self.replicated)


def one_copy(x: jax.Array) -> jax.Array:
    """One of the equal arrays that pmap's devices have, [devices, ...]: that of this process's first device.

    Not x[0], which is a program on all devices, with an exchange. Many of them at once, one for each array of a state,
    have been seen to wait for one another on a busy CPU until XLA aborted.
    """
    return x.addressable_data(0).reshape(x.shape[1:])


class OnePerDevice:
    """`mode="pmap"`: every device runs the step on its part of the batch; gradients are averaged over "devices"."""

    def __init__(self):
        self.replicas = Replicas("devices")
        self.devices = jax.device_count()
        self.local = jax.local_devices()
        self.replicated = NamedSharding(Mesh(np.array(jax.devices()), ("devices",)), PartitionSpec())

    def place_state(self, state: Tree) -> Tree:
        def mine(x: Any) -> Any:
            return x.addressable_data(0) if isinstance(x, jax.Array) else x

        return self.place_arrays(jax.tree.map(mine, state))

    def build_state(self, build: Callable[[Tree], Tree], params: Tree) -> Tree:
        return jax.pmap(build, donate_argnums=0)(self.place_state(params))

    def gather_state(self, state: Tree) -> Tree:
        return jax.tree.map(lambda x: spread(one_copy(x), self.replicated), state)

    def describe_gathered(self, shapes: Tree) -> Tree:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.replicated), shapes)

    def place_arrays(self, arrays: Tree) -> Tree:
        mesh = Mesh(np.array(self.local), ("devices",))
        copies = NamedSharding(mesh, PartitionSpec("devices"))

        def copy(x: Any) -> jax.Array:
            # A view: jnp's would be an array on one device, which would hold the copies of all.
            return jax.device_put(np.broadcast_to(np.asarray(shareable(x)), (len(self.local), *x.shape)), copies)

        return jax.tree.map(copy, arrays)

    def place_batch(self, batch: Tree, stacked: bool = False) -> Tree:
        def split(x: np.ndarray) -> np.ndarray:  # [K, B, ...] -> [devices, K, B / devices, ...]
            axis = int(stacked)
            parts = np.split(x, len(self.local), axis)
            return np.stack(parts)

        return jax.tree.map(split, batch)

    def compile_train(self, step: Callable) -> Callable:
        mapped = jax.pmap(step, axis_name="devices", in_axes=(0, 0, 0, None), donate_argnums=0)

        def run(*inputs: Tree) -> tuple[Tree, Tree]:
            state, metrics = mapped(*inputs)
            return state, jax.tree.map(one_copy, metrics)

        return run

    def compile_predict(self, predict: Callable) -> Callable:
        def whole(*inputs: Tree) -> Tree:
            return jax.lax.all_gather(predict(*inputs), "devices", tiled=True)

        mapped = jax.pmap(whole, axis_name="devices")
        return lambda *inputs: jax.tree.map(one_copy, mapped(*inputs))


def make_parallel(config: ParallelConfig, batch_size: int, accumulate_steps: int) -> Parallel:
    """The devices at hand, as the config wants them.

    Raises:
        ValueError: if the batch or the number of devices cannot be divided as asked, or a process has more devices
            than another.
    """
    of_process = Counter(device.process_index for device in jax.devices())
    if len({*of_process.values()}) > 1:
        told = ", ".join(f"process {index} has {count}" for index, count in sorted(of_process.items()))
        raise ValueError(f"all processes must have the same number of devices, but {told}")
    devices = jax.device_count()
    if config.fsdp < 1 or devices % config.fsdp or (config.mode == "pmap" and config.fsdp > 1):
        raise ValueError(
            f'parallel.fsdp={config.fsdp} must divide the {devices} devices, and be 1 when parallel.mode="pmap"'
        )
    if batch_size < 1 or accumulate_steps < 1 or batch_size % (devices * accumulate_steps):
        raise ValueError(
            f"batch_size {batch_size} must be a multiple of {devices} devices x accumulate_steps {accumulate_steps}"
        )
    return OneProgram(jax.devices(), config.fsdp) if config.mode == "jit" else OnePerDevice()
