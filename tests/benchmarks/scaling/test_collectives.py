"""Collectives are counted once each, with the bytes of their results, in the forms that compilers print them."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from benchmarks.hlo_types import array_bytes
from benchmarks.scaling.collectives import exchange

TUPLE = "(f32[17,96]{1,0}, f32[96]{0}, /*index=5*/f32[]) all-reduce(%a, %b, %c), channel_id=1"
BEGIN = "((f32[4]{0}), (f32[16]{0})) all-gather-start(%a), dimensions={0}"
TILED = "(bf16[8,128]{1,0:T(8,128)(2,1)}, pred[3]{0:T(256)}) all-to-all(%a, %b)"


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("f32[2,3]{1,0}", 24),
        ("bf16[4]", 8),
        ("pred[5]{0}", 5),
        ("f8e4m3fn[6]", 6),
        ("f32[]", 4),
        ("(u8[2], s64[2])", 18),
    ],
)
def test_bytes_of_a_type(type_, expected):
    assert array_bytes(type_) == expected


def test_every_form_is_counted_once():
    program = f"""
  %all-reduce.1 = {TUPLE}, metadata={{op_name="pmean"}}
  %all-gather-start.2 = {BEGIN}
  %all-gather-done.2 = f32[16]{{0}} all-gather-done(%all-gather-start.2)
  ROOT %all-to-all.3 = {TILED}
  %add.4 = f32[1000]{{0}} add(%all-reduce.1, %all-reduce.1), metadata={{op_name="all-reduce(x)"}}
"""
    found = exchange(program)
    assert found.operations == {"all-reduce": 1, "all-gather": 1, "all-to-all": 1}
    assert found.bytes == 4 * (17 * 96 + 96 + 1) + 4 * 16 + (2 * 8 * 128 + 3)


def test_a_sum_over_devices_is_one_all_reduce_of_its_result():
    mesh = Mesh(jax.devices(), ("data",), axis_types=(AxisType.Auto,))
    x = jax.device_put(jnp.ones((16, 5)), NamedSharding(mesh, PartitionSpec("data")))
    text = jax.jit(lambda x: x.sum(0)).lower(x).compile().as_text()
    assert text is not None
    found = exchange(text)
    assert (found.operations, found.bytes) == ({"all-reduce": 1}, 20)
