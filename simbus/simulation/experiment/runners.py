"""Who runs the tasks of an experiment: this process, processes of this machine, or an executor such as that of a cluster.

What a task computes is no concern of this file: it gets a function that can be pickled, and arguments.
"""

import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import closing, contextmanager
from functools import partial
from multiprocessing import active_children
from typing import Any, TypeVar

from simbus.errors import ScenarioError
from simbus.simulation.experiment.local import safe_context
from simbus.simulation.experiment.progress import Progress

T = TypeVar("T")
Task = tuple[Any, ...]
Outcomes = Generator[tuple[int, T], None, None]  # the place of a task and what came of it


def run_waves(
    work: Callable[..., T],
    more: Callable[[Sequence[T]], Sequence[Task]],
    jobs: int,
    executor: Executor | None,
    progress: Progress | None,
) -> list[T]:
    """Call ``work`` with the arguments of every task, in this process or in others, and answer in their order.

    Args:
        work: what can be pickled.
        more: the tasks that follow when so much has been found; none to end. A wave is awaited before the next one is asked for.
        jobs: processes of this machine.
        executor: instead of them.
        progress: called with the tasks done and those known so far.
    """
    if jobs < 1:
        raise ScenarioError("jobs", f"{jobs} is not a number of processes; write 1 or more")
    done: list[T] = []
    tasks = more(done)
    with _runner(min(jobs, len(tasks)), executor) as run:
        while tasks:
            done += _in_order(run(work, tasks), len(done), len(tasks), progress)
            tasks = more(done)
    return done


def _in_order(outcomes: Outcomes[T], before: int, n: int, progress: Progress | None) -> list[T]:
    found: dict[int, T] = {}
    with closing(outcomes):
        for done, (place, outcome) in enumerate(outcomes, start=before + 1):
            found[place] = outcome
            if progress is not None:
                progress(done, before + n)
    return [found[place] for place in range(n)]


@contextmanager
def _runner(jobs: int, executor: Executor | None) -> Iterator[Callable[[Callable[..., T], Sequence[Task]], Outcomes[T]]]:
    if executor is not None:
        yield partial(_from_executor, executor)
        return
    if jobs == 1:
        yield _here
        return
    others = set(active_children())
    deaf = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(jobs, mp_context=safe_context(), initializer=signal.signal, initargs=deaf) as local:
        try:
            yield partial(_from_executor, local)
        except BaseException:  # an interrupt too: nobody wants to wait for the replications that are under way
            local.shutdown(wait=False, cancel_futures=True)
            for child in set(active_children()) - others:
                child.terminate()
            raise


def _here(work: Callable[..., T], tasks: Sequence[Task]) -> Outcomes[T]:
    for place, task in enumerate(tasks):
        yield place, work(*task)


def _from_executor(executor: Executor, work: Callable[..., T], tasks: Sequence[Task]) -> Outcomes[T]:
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
