"""benchmarks.throughput: its arithmetic, that implementations are compared, and a tiny measurement."""

import json
import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest

import vit_jax
from benchmarks import measure
from benchmarks.scaling.collectives import exchange
from benchmarks.throughput import __main__ as command
from benchmarks.throughput import compare
from benchmarks.throughput.compare import (
    check_equal,
    choose,
    compared,
    computed_multiply_adds,
    make,
    ratios,
    share_of_peak,
)
from benchmarks.throughput.jax_programs import JaxImplementation, mean_gradient
from benchmarks.throughput.ours import ours
from benchmarks.throughput.peak import SIDE, matmul_peak
from benchmarks.throughput.plain_flax import plain_network, plain_params
from benchmarks.throughput.program import Implementation, Program
from benchmarks.throughput.targets import targets
from benchmarks.throughput.workload import Batch, Setting, Workload, make_workload, use_device

VIT = ("vit_tiny_patch4_32", dict(depth=1, embed_dim=48, image_size=16))
SWIN = ("swin_cifar_patch2_window4_32", dict(embed_dim=24, depths=(2, 1), num_heads=(3, 6), image_size=16))
ROOT = Path(__file__).parents[2]
SETTING = Setting("cpu", steps=2, dispatches=1)


def workload(case: tuple[str, dict[str, Any]], dtype: str = "float32") -> Workload:
    return make_workload(case[0], dtype, **case[1])


def program_of(logits: Any) -> Program:
    return Program(lambda: np.asarray(logits), 4, 1, None, None)


BARE_MACHINE = """
import re
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires


def normal(name):
    return re.sub("[-_.]+", "-", name).lower()


installed, todo = set(), ["jax", "flax", "optax", "numpy"]
while todo:
    name = normal(todo.pop())
    if name not in installed:
        installed.add(name)
        try:
            lines = requires(name) or ()
        except PackageNotFoundError:  # of another system or Python
            continue
        todo += [re.match("[\\w.-]+", line)[0] for line in lines if "extra ==" not in line]
homes = {top: {normal(home) for home in found} for top, found in packages_distributions().items()}


class Bare:
    def find_spec(self, name, path, target=None):
        if name in homes and not homes[name] & installed and name not in ("vit_jax", "benchmarks"):
            raise ModuleNotFoundError(f"{name} is not on this machine", name=name)


sys.meta_path.insert(0, Bare())
from benchmarks.throughput import __main__
from benchmarks.throughput.compare import make
from benchmarks.throughput.workload import Setting, make_workload

work = make_workload("vit_tiny_patch4_32", "float32", depth=1, embed_dim=48, image_size=16)
for name in ("ours", "plain_flax"):
    make(name, work, Setting("cpu", steps=1, dispatches=1)).training(work.batch(2), 1).run()
print("measured")
"""


def test_it_needs_jax_flax_optax_numpy_and_what_they_need_alone():
    """A bare GPU machine has no more; the requirements of the distributions that are there say what these need."""
    ran = subprocess.run([sys.executable, "-c", BARE_MACHINE], capture_output=True, text=True, cwd=ROOT)
    assert ran.stdout.endswith("measured\n"), ran.stderr


@pytest.mark.parametrize("case", [VIT, SWIN], ids=["vit", "swin"])
def test_plain_networks_compute_what_ours_do(case: tuple[str, dict[str, Any]]):
    work = workload(case)
    images, _ = work.batch(4)
    logits = jax.jit(plain_network(work.model).apply)({"params": plain_params(work.params)}, images)
    assert check_equal(work, {"plain_flax": program_of(logits)})["plain_flax"] < 1e-5


def test_networks_without_a_plain_form_are_refused():
    for name, fields in (("vit_tiny_patch4_32", dict(pool="avg")), ("swinv2_tiny_window8_256", {}), ("resnet9_32", {})):
        with pytest.raises(ValueError, match="plain"):
            plain_network(vit_jax.create_model(name, **fields))


@pytest.mark.parametrize(("dtype", "noise", "equal"), [
    ("float32", 1e-5, True), ("float32", 1e-3, False), ("bfloat16", 0.005, True), ("bfloat16", 0.05, False),
])  # fmt: skip
def test_logits_that_differ_are_an_error(dtype: str, noise: float, equal: bool):
    work = workload(VIT, dtype)
    images, _ = work.batch(4)
    logits = np.asarray(jax.jit(work.model.clone(dtype="float32").apply)({"params": work.params}, images))
    moved = logits + noise * logits.std() * np.random.default_rng(0).normal(size=logits.shape)
    if equal:
        check_equal(work, {"other": program_of(moved)})
    else:
        with pytest.raises(ValueError, match="logits of other differ"):
            check_equal(work, {"other": program_of(moved)})


def test_logits_that_are_no_numbers_are_an_error():
    work = workload(VIT)
    with pytest.raises(ValueError, match="logits of other differ"):
        check_equal(work, {"other": program_of(np.full((4, 10), np.nan))})


def test_ratios_are_taken_round_by_round_against_the_faster_form():
    speeds = {
        "ours": np.array([10.0, 20, 30]),
        "timm": np.array([10.0, 10, 40]),
        "timm_compiled": np.array([5.0, 20, 20]),
    }
    found = ratios(speeds)
    assert found == {"timm": dict(form="timm_compiled", median=1.5, min=1.0, max=2.0)}


def test_the_share_of_the_peak_counts_the_backward_pass_and_the_fastest_product():
    speed, flops = np.array([1.0, 2, 9]), np.array([100.0, 400, 200])
    assert share_of_peak("inference", 50, speed, flops) == pytest.approx(2 * 50 * 2 / 400)
    assert share_of_peak("training", 50, speed, flops) == pytest.approx(3 * 2 * 50 * 2 / 400)


@pytest.mark.parametrize("attention", ["auto", "xla"])
def test_what_a_last_block_leaves_out_is_not_computed(attention: str):
    """Of 16 patches: queries, keys and values of all 17 tokens, the rest of the class token alone."""
    model, width = vit_jax.create_model(VIT[0], **VIT[1], attention=attention), 48
    left_out = 9 * width**2 * 16 + 2 * 17 * width * 16  # projection and MLP, attention's products
    assert computed_multiply_adds(model) == vit_jax.cost(model).multiply_adds - left_out
    swin = vit_jax.create_model(SWIN[0], **SWIN[1])
    assert computed_multiply_adds(swin) == vit_jax.cost(swin).multiply_adds


def test_the_peak_counts_two_operations_a_multiply_add():
    peak = matmul_peak(SETTING, side=8)
    peak.run()
    assert peak.flops == 4 * 2 * 8**3


class Failing:
    """An implementation that has room for batches of up to 4, of which 2 is the fastest."""

    def __init__(self, name: str, message: str):
        self.name, self.message = name, message

    def inference(self, batch: Batch) -> Program:
        size = len(batch[0])

        def run():
            if size > 4:
                raise RuntimeError(self.message)

        return Program(run, {1: 1, 2: 200, 4: 4}.get(size, size), 1, None, None)

    def training(self, batch: Batch, parts: int) -> Program:
        """Twice as fast in two parts."""
        program = self.inference(batch)
        return replace(program, images=program.images * (2 if parts == 2 else 1))


def test_the_best_batch_is_chosen_and_want_of_memory_recorded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compare, "trial", lambda program: program.run() or 1.0)
    work = workload(VIT)
    chosen = choose(Failing("ours", "RESOURCE_EXHAUSTED: Out of memory"), "inference", work, (1, 2, 4, 8), (1, 2), 1)
    assert (chosen.batch, chosen.parts) == (2, 1)
    assert chosen.tried["2"] == {"images_per_second": 200.0}
    assert "RESOURCE_EXHAUSTED" in chosen.tried["8"]["failed"]


def test_what_fails_of_others_is_recorded_and_of_ours_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compare, "trial", lambda program: program.run() or 1.0)
    work = workload(VIT)
    chosen = choose(Failing("timm_compiled", "no compiler"), "training", work, (8, 16), (1,), 1)
    assert (chosen.batch, chosen.tried["8"]) == (None, {"failed": "no compiler"})
    with pytest.raises(RuntimeError, match="no compiler"):
        choose(Failing("ours", "no compiler"), "training", work, (8, 16), (1,), 1)


def test_the_best_number_of_parts_is_chosen_for_training(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compare, "trial", lambda program: program.run() or 1.0)
    chosen = choose(Failing("timm", ""), "training", workload(VIT), (4,), (1, 2, 3, 4), 1)
    assert (chosen.batch, chosen.parts) == (4, 2)
    speeds = {form: tried["images_per_second"] for form, tried in chosen.tried.items()}
    assert speeds == {"4": 4, "4 in 2": 8, "4 in 4": 4}


def test_one_lucky_turn_chooses_nothing(monkeypatch: pytest.MonkeyPatch):
    """4 in 2 is twice as fast but for its first turn; whole, but for its last."""
    turns = iter([1.0, 10.0, 1.0, 1.0, 9.0, 1.0])  # whole and in 2, by turns
    monkeypatch.setattr(compare, "trial", lambda program: next(turns))
    forms = [(4, 1, program_of(0)), (4, 2, replace(program_of(0), images=8))]
    assert compare.contest(forms, 3) == [4, 8]
    taken: list[int] = []
    monkeypatch.setattr(compare, "trial", lambda program: taken.append(program.images) or 1.0)
    assert choose(Failing("timm", ""), "training", workload(VIT), (4,), (1, 2, 4), 3).parts == 2
    assert taken == [4] * 3 + [4, 8] * 3 + [8, 4] * 3  # the fastest stays


def test_inference_that_is_spread_over_devices_gives_the_same():
    work = workload(VIT)
    spread = ours(work, SETTING)
    alone = replace(spread, spread=False)
    for size in (8, 6):  # of which eight devices divide the first
        one, several = (implementation.inference(work.batch(size)) for implementation in (alone, spread))
        np.testing.assert_allclose(one.run(), several.run(), atol=1e-5)
        assert one.peak_bytes is not None
        assert several.peak_bytes is not None
        assert (several.peak_bytes > one.peak_bytes) == (size == 8)


def test_training_that_is_spread_over_devices_gives_the_same(monkeypatch: pytest.MonkeyPatch):
    """With one exchange in a step; a batch whose parts the devices do not divide is trained on by one."""
    texts, states, compiled = [], [], JaxImplementation.compiled

    def spy(self: JaxImplementation, function: Any, *inputs: Any, donate: Any) -> Any:
        program, seconds = compiled(self, function, *inputs)
        texts.append(program.as_text())
        states.append(jax.device_get(program(*inputs)))
        return program, seconds

    monkeypatch.setattr(JaxImplementation, "compiled", spy)
    # Adam's first steps turn rounding differences of tiny gradients into whole steps.
    monkeypatch.setattr(optax, "adamw", lambda rate, weight_decay: optax.sgd(0.1))
    work = workload(VIT)
    spread = ours(work, SETTING)
    alone = replace(spread, spread=False)
    for parts, exchanged in ((1, {"all-reduce": 1}), (2, {"all-reduce": 1}), (4, {})):
        states.clear()
        one, several = (implementation.training(work.batch(16), parts) for implementation in (alone, spread))
        assert exchange(texts[-1]).operations == exchanged
        jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), *states)
        moved = jax.tree.map(lambda after, before: np.abs(after - before).max(), states[0][0], work.params)
        assert min(jax.tree.leaves(moved)) > 1e-4
        assert one.peak_bytes is not None
        assert several.peak_bytes is not None
        assert (several.peak_bytes > one.peak_bytes) == bool(exchanged)


def test_the_gradient_of_a_batch_is_that_of_its_parts():
    work = workload(VIT)

    def gradient(params: Any, batch: Any) -> Any:
        def loss(params: Any) -> jax.Array:
            logits: Any = work.model.apply({"params": params}, batch[0])
            return (logits * batch[1][:, None]).mean()

        return jax.grad(loss)(params)

    whole, parted = (mean_gradient(gradient, work.params, work.batch(4), parts) for parts in (1, 2))
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), whole, parted)


@pytest.mark.slow
def test_a_measurement_and_its_merging(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    monkeypatch.setattr(command, "use_device", lambda device: None)
    monkeypatch.setitem(SIDE, "cpu", 64)
    monkeypatch.setattr(command, "make_workload", lambda name, dtype: workload(VIT))
    monkeypatch.setattr(command, "device_name", lambda: "cpu")
    path = tmp_path / "throughput_cpu.json"
    path.write_text(json.dumps({"results": [{"measured": "throughput", "model": "another", "command": "before"}]}))
    flags = "--models vit_tiny_patch4_32 --batches 2 --peers plain_flax --rounds 1 --steps 2"
    monkeypatch.setattr(sys, "argv", ["throughput", *flags.split()])
    command.main()
    other, entry = json.loads(path.read_text())["results"]
    assert other["command"] == "before"
    assert entry["command"] == f"python -m benchmarks.throughput {flags}"
    assert entry["machine"]["versions"]["jax"] == jax.__version__
    for kind in ("training", "inference"):
        assert set(entry[kind]["implementations"]) == {"ours", "plain_flax", "one_device"}
        assert entry[kind]["times_one_device"]["median"] > 0
        assert entry[kind]["ratios"]["plain_flax"]["median"] > 0
        row = entry[kind]["implementations"]["ours"]
        assert row["images_per_second"]["median"] > 0 < row["share_of_peak"]
        assert row["peak_bytes"] > 0 < row["compile_seconds"]
        names = {"ours": "multiply_adds_of_ours", "one_device": "multiply_adds_of_ours", "plain_flax": "multiply_adds"}
        rows = entry[kind]["implementations"]
        shares = [x["share_of_peak"] / x["images_per_second"]["median"] / entry[names[n]] for n, x in rows.items()]
        assert shares == pytest.approx([shares[0]] * 3, rel=0.02)
    assert entry["training"]["implementations"]["ours"]["steps_per_dispatch"] == 2
    assert "times plain_flax" in capsys.readouterr().out
    assert targets(entry)


def refused(monkeypatch: pytest.MonkeyPatch, capsys: Any, *flags: str) -> str:
    """What the command says before it makes a network."""
    monkeypatch.setattr(command, "use_device", lambda device: None)
    monkeypatch.setattr(command, "make_workload", lambda *asked: pytest.fail("a network was made"))
    monkeypatch.setattr(sys, "argv", ["throughput", *flags])
    with pytest.raises(SystemExit):
        command.main()
    return capsys.readouterr().err


@pytest.mark.parametrize(("flags", "message"), [
    (["--rounds", "0"], "--rounds: invalid positive value: '0'"),
    (["--steps", "0"], "--steps: invalid positive value: '0'"),
    (["--batches", "8,0"], "--batches: invalid numbers value: '8,0'"),
    (["--models", "vit_tiny_patch4_32,resnet9_32"], "resnet9_32 is no ViT or Swin classifier"),
    (["--models", "mae_base_patch16_224"], "mae_base_patch16_224 is no ViT or Swin classifier"),
    (["--models", "vit_tny_patch4_32"], "did you mean vit_tiny_patch4_32"),
])  # fmt: skip
def test_what_cannot_be_measured_is_refused_before_work(flags, message, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    assert message in refused(monkeypatch, capsys, *flags)


def test_results_beside_more_peers_are_not_replaced(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    monkeypatch.setattr(command, "device_name", lambda: "cpu")
    kind = {"ratios": {"timm": {}, "plain_flax": {}}}
    entry = {"measured": "throughput", "model": "vit_tiny_patch4_32", "training": kind, "inference": kind}
    (tmp_path / "throughput_cpu.json").write_text(json.dumps({"results": [entry]}))
    flags = ("--models", "vit_tiny_patch4_32", "--peers")
    assert "was measured beside plain_flax too" in refused(monkeypatch, capsys, *flags, "timm_compiled,transformers")
    command.refuse_to_lose([entry], "vit_tiny_patch4_32", ("plain_flax", "timm_compiled"))
    command.refuse_to_lose([entry], "vit_small_patch16_224", ("timm",))


@pytest.mark.parametrize(("peers", "expected"), [
    ("timm", ["timm", "timm_compiled"]),
    ("plain_flax,timm_compiled", ["plain_flax", "timm_compiled"]),
    ("timm,timm_autotuned,timm", ["timm", "timm_compiled", "timm_autotuned"]),
])  # fmt: skip
def test_a_form_of_timm_may_be_asked_for_by_name(peers, expected, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def pretended(work: Any, setting: Any, implementations: list[str], *others: Any) -> Any:
        asked.extend(implementations)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "use_device", lambda device: None)
    monkeypatch.setattr(command, "make_workload", lambda name, dtype: None)
    monkeypatch.setattr(command, "compared", pretended)
    monkeypatch.setattr(command, "kept", lambda name: [])
    monkeypatch.setattr(sys, "argv", ["throughput", "--device", "gpu", "--models", VIT[0], "--peers", peers])
    with pytest.raises(KeyboardInterrupt):
        command.main()
    assert asked == expected


@pytest.mark.parametrize("name", ["XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"])
def test_a_share_of_memory_that_the_user_chose_is_the_only_one(name: str, monkeypatch: pytest.MonkeyPatch):
    """JAX refuses to start with both names set."""
    both = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")
    monkeypatch.setattr(jax.config, "update", lambda *option: None)
    for other in both:
        monkeypatch.setenv(other, "0.5")  # so that what is set below is taken back
        monkeypatch.delenv(other)
    monkeypatch.setenv(name, "0.3")
    use_device("gpu")
    assert {other: os.environ.get(other) for other in both if other in os.environ} == {name: "0.3"}
    monkeypatch.delenv(name)
    use_device("gpu")
    assert os.environ["XLA_CLIENT_MEM_FRACTION"] == "0.45"


def off_by_a_hundredth(name: str, work: Workload, setting: Setting) -> Implementation:
    """As `make`, but for the parameters of the others, in their processes too."""
    other = replace(work, params=jax.tree.map(lambda x: x * 1.01, work.params))
    return make(name, work if name == "ours" else other, setting)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_unequal_networks_are_not_timed(device: Any, monkeypatch: pytest.MonkeyPatch):
    """Neither in processes of their own, as on a CPU, nor in one, as on a GPU."""
    setting = Setting(device, steps=2, dispatches=1)
    assert setting.own_processes == (device == "cpu")
    monkeypatch.setattr(compare, "make", off_by_a_hundredth)
    monkeypatch.setitem(SIDE, device, 64)
    with pytest.raises(ValueError, match="not the same network"):
        compared(workload(VIT), setting, ["plain_flax"], (2,), (1,), rounds=1)
    assert not multiprocessing.active_children()


@pytest.mark.parity("torch", "timm", "transformers")
def test_the_peers_in_pytorch_compute_what_ours_do():
    from benchmarks.throughput.torch_peers import torch_peer

    for case in (VIT, SWIN):
        work = workload(case)
        programs = {name: torch_peer(name, work, SETTING).inference(work.batch(2)) for name in ("timm", "transformers")}
        assert max(check_equal(work, programs).values()) < 1e-5
        assert programs["timm"].images == 2
        training = torch_peer("timm", work, SETTING).training(work.batch(2), 2)
        assert (training.images, training.compile_seconds, training.peak_bytes) == (4, None, None)


@pytest.mark.parity("torch", "timm")
def test_timm_is_compiled_in_the_mode_that_was_asked_for(monkeypatch: pytest.MonkeyPatch):
    """On a GPU cuDNN may choose its fastest convolutions."""
    import torch  # pyright: ignore[reportMissingImports]

    from benchmarks.throughput.torch_peers import torch_peer

    modes: list[str] = []
    monkeypatch.setattr(torch, "compile", lambda network, mode, **options: modes.append(mode) or network)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share: None)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    work = workload(VIT)
    for name in ("timm", "timm_compiled", "timm_autotuned"):
        torch_peer(name, work, SETTING).inference(work.batch(2))
    assert modes == ["default", "max-autotune-no-cudagraphs"]
    assert not torch.backends.cudnn.benchmark
    torch_peer("timm", work, Setting("gpu", steps=2, dispatches=1))
    assert torch.backends.cudnn.benchmark


@pytest.mark.parity("torch", "timm", "transformers")
@pytest.mark.parametrize("peer", ["timm", "transformers"])
def test_the_peers_train_the_network_that_ours_is(peer: str):
    """Stochastic depth, which both have in Swin by themselves, would spare them and cost them work."""
    import torch  # pyright: ignore[reportMissingImports]

    from benchmarks.throughput.torch_peers import torch_peer

    work = workload(SWIN)
    network = torch_peer(peer, work, SETTING).build()
    images = torch.tensor(work.batch(8)[0]).permute(0, 3, 1, 2)
    with torch.no_grad():
        assert torch.equal(network.train()(images), network.eval()(images))


@pytest.mark.parity("torch", "timm", "transformers")
def test_timm_is_measured_without_transformers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "benchmarks.throughput.torch_peers", raising=False)
    assert make("timm", workload(VIT), SETTING).name == "timm"


@pytest.mark.parity("torch", "timm", "transformers")
def test_a_failure_of_torch_compile_says_so(monkeypatch: pytest.MonkeyPatch):
    import torch  # pyright: ignore[reportMissingImports]

    from benchmarks.throughput.torch_peers import torch_peer

    def fails(network: Any, **options: Any) -> Any:
        def call(images: Any) -> Any:
            raise OSError("no C++ compiler")

        network.forward = call
        return network

    monkeypatch.setattr(torch, "compile", fails)
    work = workload(VIT)
    chosen = choose(torch_peer("timm_compiled", work, SETTING), "inference", work, (2,), (1,), 1)
    assert chosen.program is None
    assert chosen.tried["2"] == {"failed": "torch.compile failed: OSError: no C++ compiler"}
