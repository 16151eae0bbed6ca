"""metrics.jsonl: complete, in order, and whole after a resume."""

import json
import struct
from types import SimpleNamespace
from typing import Any, cast

import pytest

from vit_jax.training.errors import TrainingError
from vit_jax.training.metrics import MetricsLog, read_rows


def write(workdir, start, steps):
    log = MetricsLog(workdir, start)
    for step in steps:
        log.write("train", step, loss=step / 10)
    log.close()
    return log


def steps_in(workdir):
    return [json.loads(line)["step"] for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_a_resumed_run_drops_the_rows_of_steps_it_does_again(tmp_path):
    write(tmp_path, 0, [1, 2, 3, 4])
    log = write(tmp_path, 2, [3, 4, 5])
    assert steps_in(tmp_path) == [1, 2, 3, 4, 5]
    assert [row["step"] for row in log.rows] == [1, 2, 3, 4, 5]


def test_the_final_test_of_a_finished_run_is_not_kept_twice(tmp_path):
    log = write(tmp_path, 0, [1])
    log = MetricsLog(tmp_path, 1)
    log.write("test", 1, accuracy=0.5, final=True)
    log.close()
    assert [row["kind"] for row in MetricsLog(tmp_path, 1).rows] == ["train"]


def test_the_final_test_stays_until_there_is_another(tmp_path):
    """A finished run that is started again, and stopped before it has been tested again, is finished still."""
    write(tmp_path, 0, [1])
    log = MetricsLog(tmp_path, 1)
    log.write("test", 1, accuracy=0.5, final=True, peak_memory=7)
    log.close()
    MetricsLog(tmp_path, 1).close()
    assert [row.get("accuracy") for row in read_rows(tmp_path / "metrics.jsonl")] == [None, 0.5]
    log = MetricsLog(tmp_path, 1)
    assert log.peak_memory_before == 7
    log.write("test", 1, accuracy=0.625, final=True)
    log.close()
    assert [row.get("accuracy") for row in read_rows(tmp_path / "metrics.jsonl")] == [None, 0.625]


def test_a_line_cut_off_in_mid_write_is_passed_over(tmp_path):
    write(tmp_path, 0, [1, 2])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == [1, 2]


@pytest.mark.parametrize("damaged", ['{"st', "[]", '{"kind": "train", "stfp": 2}', '{"kind": 1, "step": 2}'])
def test_a_damaged_line_ends_the_run_with_its_number(damaged, tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"kind": "train", "step": 1}\n' + damaged + "\n")
    with pytest.raises(TrainingError, match=r"line 2 of .*metrics\.jsonl is damaged; mend or delete it"):
        MetricsLog(tmp_path, 1)


def test_numbers_that_are_not_finite_are_null(tmp_path):
    log = MetricsLog(tmp_path, 0)
    log.write("train", 1, loss=float("nan"), gradient_norm=float("inf"))
    log.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {
        "kind": "train", "step": 1, "loss": None, "gradient_norm": None
    }  # fmt: skip


def test_tensorboard_gets_the_rows_where_it_is_installed(tmp_path):
    pytest.importorskip("tensorboardX")
    log = MetricsLog(tmp_path, 0)
    log.write("train", 1, loss=0.5, images_per_second=None)  # no speed is known after the first step
    log.write("test", 2, final=True, accuracy=0.25)
    log.close()
    (path,) = (tmp_path / "tensorboard").glob("events.*")
    assert list(events(path)) == [("train/loss", 1, 0.5), ("test/final", 2, 1.0), ("test/accuracy", 2, 0.25)]


def events(path):
    """The series, step and value of every scalar in a file of events: records with their length and checksums."""
    messages = pytest.importorskip("tensorboardX.proto.event_pb2")
    content = path.read_bytes()
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        event = messages.Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]
        for value in event.summary.value:
            yield value.tag, event.step, value.simple_value


def test_a_full_disk_names_the_file(tmp_path):
    def no_space(_):
        raise OSError(28, "No space left on device")

    log = MetricsLog(tmp_path, 0)
    assert log.file is not None
    log.file.close()
    log.file = cast(Any, SimpleNamespace(write=no_space))
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path / 'metrics.jsonl'}'"):
        log.write("train", 1, loss=0.5)


def test_a_full_disk_is_an_error_and_no_hang_in_tensorboard_s_file(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    log = MetricsLog(tmp_path, 0)
    assert log.tensorboard is not None
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(log.tensorboard.file._py_recordio_writer, "_writer", full)
        with pytest.raises(OSError, match="No space left"):
            log.write("train", 1, loss=0.5)
