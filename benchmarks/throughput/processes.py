"""Implementations in processes of their own, which are asked to work one after the other.

On a CPU, inference by JAX is slower beside others in one process than alone (docs/performance.md, "Processes").
"""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.throughput.program import Implementation, Program
from benchmarks.throughput.workload import Batch, Setting, Workload, use_device

PASSED_ON = (ImportError, ValueError, RuntimeError)
"""Errors that come back from the other process, as these: libraries have kinds of them that cannot be sent."""

Make = Callable[[str, Workload, Setting], Implementation]


@dataclass(frozen=True)
class RemoteImplementation:
    """An implementation in another process, used as if it were in this one.

    Attributes:
        name: of the implementation.
        connection: to its process.
    """

    name: str
    connection: Connection

    def inference(self, batch: Batch) -> Program:
        """The logits of a batch."""
        return self.program("inference", batch)

    def training(self, batch: Batch, parts: int) -> Program:
        """Steps of training."""
        return self.program("training", batch, parts)

    def program(self, kind: str, batch: Batch, *parts: int) -> Program:
        """A program of the other process; a turn of it here is a turn there."""
        facts = self.ask(kind, (batch, *parts))
        return Program(lambda: self.ask("run", (kind, len(batch[0]), *parts)), **facts)

    def ask(self, what: str, of: Any = None) -> Any:
        """What the other process answers.

        Raises:
            ImportError, ValueError, RuntimeError: as raised there; RuntimeError if that process has ended.
        """
        try:
            self.connection.send((what, of))
            answer = self.connection.recv()
        except (EOFError, OSError) as error:
            raise RuntimeError(f"the process of {self.name} has ended") from error
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def in_own_process(make: Make, name: str, work: Workload, setting: Setting) -> Iterator[RemoteImplementation]:
    """An implementation in a process of its own, which ends with the context.

    Args:
        make: gives the implementation of a name; a function of a module.
        name: of the implementation.
        work: what it is to compute.
        setting: how it is measured.

    Raises:
        ImportError, ValueError, RuntimeError: as `make` does.
    """
    context = multiprocessing.get_context("spawn")
    connection, its_connection = context.Pipe()
    process = context.Process(target=serve, args=(its_connection, make, name, work, setting))
    process.start()
    its_connection.close()  # so that its end is seen here
    try:
        remote = RemoteImplementation(name, connection)
        remote.ask("make")
        yield remote
    finally:
        connection.close()
        process.join()


def serve(connection: Connection, make: Make, name: str, work: Workload, setting: Setting) -> None:
    """Does what it is asked to until nobody asks any more: the other end of a `RemoteImplementation`."""
    use_device(setting.device)
    served = Served(lambda: make(name, work, setting))
    while True:
        try:
            what, of = connection.recv()
        except EOFError:
            return
        try:
            connection.send(served.answer(what, of))
        except PASSED_ON as error:
            connection.send(next(kind for kind in PASSED_ON if isinstance(error, kind))(str(error)))


class Served:
    """An implementation in its own process, and its programs of one kind, by batch size and parts."""

    def __init__(self, make: Callable[[], Implementation]):
        self.make = make
        self.programs: dict[tuple[str | int, ...], Program] = {}

    def answer(self, what: str, of: Any) -> Any:
        """Makes the implementation or a program, or runs one."""
        if what == "make":
            self.implementation = self.make()
            return None
        if what == "run":
            return self.programs[of].run()
        for key in [key for key in self.programs if key[0] != what]:
            del self.programs[key]  # one kind is measured after the other
        batch, *parts = of
        program = self.programs[what, len(batch[0]), *parts] = getattr(self.implementation, what)(batch, *parts)
        return {field.name: getattr(program, field.name) for field in fields(program) if field.name != "run"}
