"""What a compiled program launches is counted, and what it moves: by hand for one text, and for one of XLA's."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks.hlo_types import array_bytes
from benchmarks.kernels import Kernel, kernels

PROGRAM = """\
HloModule jit_step, is_scheduled=true, entry_computation_layout={(u8[100,4]{1,0}, f32[8]{0})->f32[8]{0}}

%fused_inside (param_0: f32[8]) -> f32[8] {
  %param_0 = f32[8]{0} parameter(0)
  ROOT %not_a_kernel = f32[8]{0} negate(%param_0)
}

%command_buffer (p: f32[8], p.1: bf16[2,8]) -> (bf16[2,8], pred[]) {
  %p = f32[8]{0} parameter(0)
  %p.1 = bf16[2,8]{1,0} parameter(1)
  %cublas.1 = (bf16[2,8]{1,0}, s8[64]{0}) custom-call(%p.1, %p, /*index=2*/%p.1), custom_call_target="x", calls=%y
  %get.1 = bf16[2,8]{1,0} get-tuple-element(%cublas.1), index=0
  %compare_fusion = pred[] fusion(%p), kind=kLoop, calls=%fused_inside
  ROOT %pair = (bf16[2,8]{1,0}, pred[]) tuple(%get.1, %compare_fusion)
}

ENTRY %main.5 (images.1: u8[100,4], x.1: f32[8]) -> f32[8] {
  %images.1 = u8[100,4]{1,0} parameter(0)
  %x.1 = f32[8]{0} parameter(1), metadata={op_name="x"}
  %gather_fusion = bf16[2,8]{1,0} fusion(%images.1, %x.1), kind=kLoop, calls=%fused_inside
  %call = (bf16[2,8]{1,0}, pred[]) call(%x.1, %gather_fusion), to_apply=%command_buffer
  ROOT %copy.3 = f32[8]{0} copy(%x.1)
}
"""


def test_each_kernel_reads_its_operands_once_and_writes_its_results():
    assert kernels(PROGRAM) == [
        Kernel("gather_fusion", "fusion", 400 + 32, 32),
        Kernel("cublas.1", "custom-call", 32 + 32, 32 + 64),
        Kernel("compare_fusion", "fusion", 32, 1),
        Kernel("copy.3", "copy", 32, 32),
    ]


def test_arrays_of_which_little_is_read_are_left_out():
    assert kernels(PROGRAM, frozenset(["u8[100,4]"]))[0] == Kernel("gather_fusion", "fusion", 32, 32)


@pytest.mark.parametrize(
    ("text", "expected"), [("f32[]", 4), ("bf16[2,3]{1,0}", 12), ("(pred[], s64[5]{0})", 41), ("()", 0), ("token[]", 0)]
)
def test_types_have_sizes(text: str, expected: int):
    assert array_bytes(text) == expected


def test_a_program_of_xla_is_read():
    """Of two arrays and their product, written on this machine's CPU."""

    def function(x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.sin(x @ y)

    text = jax.jit(function).lower(jnp.ones((16, 32)), jnp.ones((32, 8))).compile().as_text()
    assert text is not None
    found = kernels(text)
    product = 4 * 16 * 8
    assert found[0].read >= 4 * (16 * 32 + 32 * 8)
    assert found[-1].written == product
