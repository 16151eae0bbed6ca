"""benchmarks.throughput.table and targets."""

import copy
from typing import Any

import pytest

from benchmarks.throughput.table import MARKERS, pages, rewritten, section, summary
from benchmarks.throughput.targets import targets

MACHINE = dict(
    device="cpu", devices=1, processor="Some CPU", cores=2, memory_gib=8, versions=dict(jax="0.1", torch="2.0")
)


def spread(median: float) -> dict[str, float]:
    return dict(median=median, min=median / 2, max=2 * median)


def timed(ratio: float) -> dict[str, Any]:
    ours = dict(batch=8, tried={}, images_per_second=spread(123), share_of_peak=0.57, peak_bytes=456_000_000)
    compiled = dict(batch=None, tried={"8": {"failed": "no compiler"}})
    return dict(
        implementations=dict(ours=ours, timm_compiled=compiled),
        ratios=dict(timm=dict(form="timm", **spread(ratio)), plain_flax=dict(form="plain_flax", **spread(2))),
    )


def entry(training: float = 1.2, inference: float = 0.9, device: str = "cpu") -> dict[str, Any]:
    return dict(
        measured="throughput", model="vit_base_patch16_224", device=device, dtype="float32",
        own_processes=device == "cpu", rounds=5, failed={},
        training=timed(training), inference=timed(inference), command="python -m x", time="2026-01-02T",
        machine=MACHINE,
    )  # fmt: skip


def epoch(seconds: float, images: int = 50_000, device: str = "gpu") -> dict[str, Any]:
    return dict(
        measured="epoch", model="vit_cifar_patch4_32", device=device, dtype="bfloat16", images=images,
        test_images=images // 5, steps=400, batch=128,
        seconds_of_an_epoch=spread(seconds), seconds_of_evaluation=spread(0.1),
        command="python -m y", time="2026-01-03T", machine=MACHINE,
    )  # fmt: skip


def test_targets_on_a_cpu():
    met = {str(target).split(",")[1].strip() + target.what[-4:]: target.met for target in targets(entry())}
    assert met == {"trainingtimm": True, "trainingflax": True, "inferencetimm": False, "inferenceflax": True}
    assert [str(t) for t in targets(entry()) if not t.met] == [
        "vit_base_patch16_224, inference, times timm: 0.9, wanted >= 1: NOT met"
    ]


def test_targets_on_a_gpu():
    assert [target.met for target in targets(entry(1.26, 1.24, "gpu"))] == [True, False, True]
    slower = copy.deepcopy(entry(1.26, 1.26, "gpu"))
    slower["training"]["implementations"]["ours"]["share_of_peak"] = 0.49
    assert [target.met for target in targets(slower)] == [True, True, False]


def test_targets_of_an_epoch_are_for_all_of_cifar10_on_a_gpu():
    assert [target.met for target in targets(epoch(1.4))] == [True]
    assert [target.met for target in targets(epoch(1.6))] == [False]
    assert targets(epoch(0.1, images=500)) == targets(epoch(1.4, device="cpu")) == []


def test_parts_of_a_batch_are_in_the_table_and_explained():
    parted = entry()
    parted["training"]["implementations"]["ours"]["parts"] = 4
    text = section([parted])
    assert "| `vit_base_patch16_224` | training | 8 in 4 |" in text
    assert "| `vit_base_patch16_224` | inference | 8 |" in text
    assert "--accumulate_steps 4" in text
    assert "--accumulate_steps" not in section([entry()])


def test_devices_that_a_batch_is_spread_over_are_named_on_a_cpu_alone():
    spread_out = dict(machine=dict(MACHINE, devices=2))
    assert "`JAX_NUM_CPU_DEVICES=2`" in section([entry() | spread_out])
    assert "JAX_NUM_CPU_DEVICES" not in section([entry()]) + section([entry(device="gpu") | spread_out])


def test_what_a_device_for_each_core_gives_is_in_the_table():
    measured = entry()
    measured["training"]["times_one_device"] = spread(1.1)
    lines = section([measured]).splitlines()
    assert any(line.endswith("| times timm | times one device |") for line in lines)
    assert any("| training |" in line and line.endswith("| 1.10 (0.55 to 2.20) |") for line in lines)
    assert any("| inference |" in line and line.endswith("|  |") for line in lines)
    assert "one device" not in section([entry()])


def test_the_section_has_all_that_was_measured():
    text = section([entry(), epoch(1.6)])
    lines = text.splitlines()
    assert lines[0] == "On 2 cores of Some CPU, in float32 (jax 0.1, PyTorch 2.0):"
    numbers = "8 | 123 | 57% | 456 MB | 2.00 (1.00 to 4.00) | 1.20 (0.60 to 2.40), eager"
    assert f"| `vit_base_patch16_224` | training | {numbers} |" in lines
    assert "| network |  | batch | images/s | of the peak | memory | times plain Flax | times timm |" in lines
    assert "| `vit_cifar_patch4_32` | 400 of 128 images | 10,000 images | 1.6 (0.8 to 3.2) | 0.1 |" in lines
    assert "`vit_base_patch16_224`, timm_compiled, training: no compiler" in lines
    assert "that take turns, each in a process of its own, with" in " ".join(lines)
    assert "`python -m x`, `python -m y`; measured 2026-01-02 to 2026-01-03." in lines
    assert [line for line in lines if "NOT met" in line] == [
        "- vit_base_patch16_224, inference, times timm: 0.9, wanted >= 1: NOT met",
        "- vit_cifar_patch4_32, seconds of an epoch: 1.6, wanted <= 1.5: NOT met",
    ]


def test_the_summary_is_a_row_a_network_of_the_ratios():
    lines = summary([entry(), epoch(1.6)]).splitlines()
    assert lines[0] == "On 2 cores of Some CPU, in float32 (jax 0.1, PyTorch 2.0):"
    titles = [f"{kind}, times {peer}" for kind in ("training", "inference") for peer in ("plain Flax", "timm")]
    assert lines[2] == f"| network | {' | '.join(titles)} |"
    assert lines[4:] == ["| `vit_base_patch16_224` | 2.00 | 1.20 | 2.00 | 0.90 |"]


def test_how_timm_ran_is_said():
    """Of the networks that ran in the same ways; what failed did not run."""

    def ran(*forms: str) -> dict[str, Any]:
        tried = entry()
        for kind in ("training", "inference"):
            tried[kind]["implementations"] |= {form: dict(batch=8, tried={}) for form in forms}
            tried[kind]["ratios"]["timm"] = dict(form=forms[-1], **spread(2))
        return tried

    compiled, autotuned = "compiled (torch.compile, default mode)", 'mode "max-autotune-no-cudagraphs"'
    assert "timm was tried" not in section([entry()])
    assert f"timm was tried {compiled} alone." in section([ran("timm_compiled")])
    both, all_three = ran("timm", "timm_compiled"), ran("timm", "timm_compiled", "timm_autotuned")
    text = " ".join(section([both, all_three | dict(model="swin")]).split())
    assert f"timm was tried eager and {compiled} in `vit_base_patch16_224`; the table has the fastest of these." in text
    assert f"{compiled} and autotuned (torch.compile, {autotuned}) in `swin`; the table" in text
    assert "(1.00 to 4.00), compiled |" in text
    assert "(1.00 to 4.00), autotuned |" in text


def test_what_ran_in_one_process_is_said_to_have():
    assert "take turns, in one process, with" in " ".join(section([entry(device="gpu")]).splitlines())


def test_a_note_is_printed_once_with_the_networks_that_have_it():
    noted = entry() | dict(note="seen twice.")
    text = section([noted, entry() | dict(model="other"), noted | dict(model="swin")])
    assert "`vit_base_patch16_224`, `swin`: seen twice." in text.splitlines()
    assert "note" not in section([entry()])


@pytest.mark.parametrize(("count", "expected"), [
    (1, "On H200, in"), (8, "On 8 H200 (images/s are of one of them, epochs of all), in"),
])  # fmt: skip
def test_several_accelerators_are_said(count: int, expected: str):
    machine = MACHINE | dict(device="H200", devices=count)
    assert section([entry(device="gpu") | dict(machine=machine)]).startswith(expected)


def test_only_what_is_between_the_markers_is_rewritten():
    begin, end = MARKERS
    once = rewritten(f"before\n{begin}\nold\n{end}\nafter\n", "new")
    assert once == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"
    assert rewritten(once, "new") == once
    for readme in ("nothing", f"{end} {begin}", f"{begin} {end} {end}"):
        with pytest.raises(ValueError, match="once each"):
            rewritten(readme, "new")


def test_the_documents_have_what_is_kept():
    """Otherwise: python -m benchmarks.throughput.table."""
    for page, content in pages().items():
        written = page.read_text(encoding="utf-8")
        assert rewritten(written, content) == written, page.name
