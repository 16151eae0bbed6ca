"""The metrics as TensorBoard reads them, where tensorboardX is installed.

They are written by the thread that trains. tensorboardX itself has a thread and a queue: when the thread dies (on a
full disk, or when the clock is set) whoever puts something into the full queue waits for ever.
"""

import importlib
import importlib.util
import time
from collections.abc import Mapping
from pathlib import Path

FLUSH_SECONDS = 10
"""How old what is seen in TensorBoard may be, at most, when something is written."""


class EventFile:
    """A new file of events in a directory."""

    def __init__(self, directory: Path):
        directory.mkdir(parents=True, exist_ok=True)
        self.messages = importlib.import_module("tensorboardX.proto.event_pb2")
        self.summaries = importlib.import_module("tensorboardX.summary")
        self.file = importlib.import_module("tensorboardX.event_file_writer").EventsWriter(str(directory / "events"))
        self.flushed = time.monotonic()

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Writes values at a step as the series "kind/name"."""
        for name, value in values.items():
            summary = self.summaries.scalar(f"{kind}/{name}", value)
            self.file.write_event(self.messages.Event(wall_time=time.time(), step=step, summary=summary))
        if time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.file.flush()
            self.flushed = time.monotonic()

    def close(self) -> None:
        """Closes the file."""
        self.file.close()


def event_file(directory: Path) -> EventFile | None:
    """A new file of events, or None where tensorboardX is not installed."""
    return EventFile(directory) if importlib.util.find_spec("tensorboardX") else None
