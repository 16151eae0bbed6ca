"""How functions are timed in turn, and where results are kept."""

import json
import os
from types import SimpleNamespace

import pytest

from benchmarks import measure


def test_rest_is_taken_after_every_call_and_not_counted(monkeypatch: pytest.MonkeyPatch):
    """What a large program leaves to the system must not fall on the one timed after it."""
    now, began = [0.0], []

    def passes(seconds: float) -> None:
        now[0] += seconds

    def run() -> None:
        began.append(now[0])
        passes(3.0)

    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: now[0], sleep=passes))
    seconds = measure.in_turn({"first": run, "second": run}, rounds=2, warm_up=1, rest=0.5)
    assert began == [0.0, 3.5, 7.0, 10.5, 14.0, 17.5]  # two functions, three rounds
    assert {name: times.tolist() for name, times in seconds.items()} == {"first": [3.0, 3.0], "second": [3.0, 3.0]}


def on(monkeypatch: pytest.MonkeyPatch, platform: str, kind: str, count: int) -> None:
    """Pretends that there are so many devices of a kind."""
    device = SimpleNamespace(platform=platform, device_kind=kind)
    monkeypatch.setattr(measure, "jax", SimpleNamespace(devices=lambda: [device] * count, device_count=lambda: count))


def test_results_of_another_machine_have_another_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measure, "processor", lambda: "Intel(R) Xeon(R) Processor @ 2.50GHz")
    monkeypatch.setattr(measure, "cores", lambda: 2)
    on(monkeypatch, "cpu", "cpu", 8)  # simulated: they are the processor's
    assert measure.device_name() == "intel_xeon_processor_2_50ghz_2_cores"
    on(monkeypatch, "gpu", "NVIDIA H200", 1)
    assert measure.device_name() == "nvidia_h200"
    on(monkeypatch, "gpu", "NVIDIA H200", 8)
    assert measure.device_name() == "8_nvidia_h200"
    assert measure.machine()["devices"] == 8


def test_results_are_kept_by_device_with_the_command_that_gave_them(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    monkeypatch.setattr(measure, "device_name", lambda: "some_device")
    monkeypatch.setattr("sys.argv", ["attention", "--rounds", "2"])
    path = measure.save("attention", [{"x": 1}])
    assert path.name == "attention_some_device.json"
    assert json.loads(path.read_text())["command"] == "python -m benchmarks.attention --rounds 2"


def test_only_results_of_the_same_key_are_replaced(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    assert measure.kept("epochs") == []
    for entry in (
        {"model": "a", "images": 9},
        {"model": "a"},
        {"model": "a", "images": 3},
        {"model": "a", "new": True},
    ):
        measure.merge("epochs", "epoch", [entry], key=("model", "images"))
    found = [(entry.get("images"), entry.get("new")) for entry in measure.kept("epochs")]
    assert found == [(9, None), (None, True), (3, None)]


def test_cores_are_those_that_this_process_may_use():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert measure.cores() == measure.machine()["cores"] == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "two"])
def test_numbers_of_rounds_are_positive(text: str):
    assert measure.positive("3") == 3
    with pytest.raises(ValueError, match=r"is not positive|invalid literal"):
        measure.positive(text)
