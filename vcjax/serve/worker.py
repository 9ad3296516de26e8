"""The thread in which models speak, and the jobs that a server hands to it."""

import asyncio
import contextlib
import dataclasses
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

import jax

from vcjax.errors import InputError
from vcjax.generation.sampler import Answer, Request, Sampler, SoFar


class Busy(Exception):
    """As many answers are awaited as may be."""


class Failed(Exception):
    """The worker has stopped with an error."""


@dataclasses.dataclass(eq=False)
class Job:
    """Answers that one client waits for. changed is set in the client's event loop as they grow.

    so_far: of each answer, after a step; the answers themselves grow in another thread.
    """

    sampler: Sampler
    answers: list[Answer]
    changed: asyncio.Event
    loop: asyncio.AbstractEventLoop
    so_far: list[SoFar]
    failed: bool = False

    @property
    def done(self) -> bool:
        return all(one.finish for one in self.so_far)

    async def wait(self) -> None:
        """Until the answers have grown or a second has passed; Failed if they will not."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.changed.wait(), timeout=1)
        self.changed.clear()
        if self.failed:
            raise Failed

    def tell(self) -> None:
        """Takes `so_far` anew, in the thread in which the answers grow, and sets `changed`."""
        self.so_far = [answer.so_far for answer in self.answers]
        with contextlib.suppress(RuntimeError):  # the server has stopped, and its loop with it
            self.loop.call_soon_threadsafe(self.changed.set)


class Worker:
    """Runs samplers in a thread of its own, the only one that changes them.

    most: answers that may be awaited at once. on_failure: called, in the thread, when a step has
    raised; no job is finished after that.
    """

    def __init__(
        self,
        samplers: Iterable[Sampler],
        mesh: jax.sharding.Mesh,
        most: int,
        on_failure: Callable[[BaseException], None],
    ):
        self._samplers, self._mesh, self._most = list(samplers), mesh, most
        self._on_failure = on_failure
        self._jobs: set[Job] = set()
        self._awaited = 0  # answers of jobs; of the server's thread
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self.failed = False

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The thread runs inside."""
        self._thread.start()
        try:
            yield
        finally:
            self._calls.put(None)
            self._thread.join()

    def check_room(self, count: int) -> None:
        """Raises Busy where so many answers have to wait, InputError where they always had to."""
        if count > self._most:
            raise InputError(f"{count:,} answers at once; this server gives at most {self._most:,}")
        if self._awaited + count > self._most:
            raise Busy

    @contextlib.contextmanager
    def job(self, sampler: Sampler, requests: Sequence[Request]) -> Iterator[Job]:
        """Asks for answers; at the end those that are not finished are dropped.

        To be called in an event loop, after `check_room`. Raises InputError for a request that
        cannot be answered.
        """
        answers = [sampler.prepare(request) for request in requests]
        so_far = [answer.so_far for answer in answers]
        job = Job(sampler, answers, asyncio.Event(), asyncio.get_running_loop(), so_far)
        self._awaited += len(answers)
        self._calls.put(lambda: self._begin(job))
        job.failed = self.failed  # read last: a thread that fails later knows of the job
        try:
            yield job
        finally:
            self._awaited -= len(answers)
            self._calls.put(lambda: self._end(job))

    def _begin(self, job: Job) -> None:
        self._jobs.add(job)
        for answer in job.answers:
            job.sampler.add(answer)

    def _end(self, job: Job) -> None:
        self._jobs.discard(job)
        for answer in job.answers:
            job.sampler.drop(answer)

    def _run(self) -> None:
        try:
            with jax.set_mesh(self._mesh):
                while self._take_calls():
                    for sampler in self._samplers:
                        sampler.step()
                    for job in self._jobs:
                        job.tell()
        except BaseException as error:
            self.failed = True
            with contextlib.suppress(queue.Empty):
                while call := self._calls.get(block=False):
                    call()
            for job in self._jobs:
                job.failed = True
                job.tell()
            self._on_failure(error)

    def _take_calls(self) -> bool:
        """Calls what waits to be called; waits for it where all samplers are idle. False: stop."""
        idle = all(sampler.is_idle for sampler in self._samplers)
        with contextlib.suppress(queue.Empty):
            while True:
                call = self._calls.get(block=idle)
                if call is None:
                    return False
                call()
                idle = all(sampler.is_idle for sampler in self._samplers)
        return True
