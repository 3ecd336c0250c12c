"""Who runs the tasks of an experiment: this process, processes of this machine, or an executor such as that of a cluster.

What a task computes is no concern of this file: it gets a function that can be pickled, and arguments.
"""

import signal
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import closing, contextmanager
from multiprocessing import active_children
from typing import Any, TypeVar

from simbus.errors import ScenarioError

T = TypeVar("T")
Task = tuple[Any, ...]
Progress = Callable[[int, int], None]


def run_all(
    work: Callable[..., T], tasks: Sequence[Task], jobs: int, executor: Executor | None, progress: Progress | None
) -> list[T]:
    """Call ``work`` with the arguments of every task, in this process or in others, and answer in their order."""
    if jobs < 1:
        raise ScenarioError("jobs", f"{jobs} is not a number of processes; write 1 or more")
    found: dict[int, T] = {}
    with _runner(work, tasks, min(jobs, len(tasks)), executor) as outcomes:
        for done, (place, outcome) in enumerate(outcomes, start=1):
            found[place] = outcome
            if progress is not None:
                progress(done, len(tasks))
    return [found[place] for place in range(len(tasks))]


@contextmanager
def _runner(
    work: Callable[..., T], tasks: Sequence[Task], jobs: int, executor: Executor | None
) -> Iterator[Iterable[tuple[int, T]]]:
    if executor is not None:
        with closing(_from_executor(executor, work, tasks)) as outcomes:
            yield outcomes
        return
    if jobs == 1:
        yield ((place, work(*task)) for place, task in enumerate(tasks))
        return
    others = set(active_children())
    with ProcessPoolExecutor(jobs, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)) as local:
        try:
            yield _from_executor(local, work, tasks)
        except BaseException:  # an interrupt too: nobody wants to wait for the replications that are under way
            local.shutdown(wait=False, cancel_futures=True)
            for child in set(active_children()) - others:
                child.terminate()
            raise


def _from_executor(executor: Executor, work: Callable[..., T], tasks: Sequence[Task]) -> Generator[tuple[int, T], None, None]:
    """What comes back, as it comes; when nobody asks any more, what has not begun is taken back."""
    if not isinstance(executor, Executor):
        raise ScenarioError(
            "executor", f"{executor!r} is no concurrent.futures.Executor; of a Client of dask write client.get_executor()"
        )
    futures = {executor.submit(work, *task): place for place, task in enumerate(tasks)}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        for future in futures:
            future.cancel()
