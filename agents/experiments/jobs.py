"""Many units, one after another or in processes of their own: the same results either way."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any, Protocol

from .unit import Outcome, Unit, run

REPORTS = 0.2  # seconds between two reports of a process


class Display(Protocol):
    """Who is told how far every unit is."""

    def advance(self, place: int, share: float) -> None: ...

    def finish(self, place: int, outcome: Outcome) -> None: ...


def run_all(units: Sequence[Unit], jobs: int, display: Display) -> list[Outcome]:
    """Run every unit, `jobs` at a time, and give the outcomes in the order of the units.

    What fails does not stop the others. KeyboardInterrupt ends the processes; what they have written stays.
    """
    if jobs == 1:
        outcomes = []
        for place, unit in enumerate(units):
            outcomes.append(run(unit, lambda share, place=place: display.advance(place, share)))
            display.finish(place, outcomes[-1])
        return outcomes
    return _in_processes(units, min(jobs, len(units)), display)


def _in_processes(units: Sequence[Unit], jobs: int, display: Display) -> list[Outcome]:
    # Spawned, not forked: a fork of a process in which torch has run can hang.
    context = multiprocessing.get_context("spawn")
    reports: Any = context.Queue()
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(reports,))
    done: dict[int, Outcome] = {}
    try:
        with _deaf_to_interrupts():
            futures: dict[Future[Outcome], int] = {executor.submit(_run, i, unit): i for i, unit in enumerate(units)}
        waiting = set(futures)
        while waiting:
            finished, waiting = wait(waiting, timeout=REPORTS, return_when=FIRST_COMPLETED)
            _pass_on(reports, display)
            for future in finished:
                place = futures[future]
                done[place] = _outcome(future, units[place])
                display.finish(place, done[place])
        executor.shutdown()
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    return [done[i] for i in range(len(units))]


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes that begin in here ignore Ctrl-C from their first moment: the one that began them answers it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _outcome(future: Future[Outcome], unit: Unit) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        return Outcome(
            unit, error=f"policy '{unit.policy.called}': its process was ended from outside, or had no memory"
        )


def _pass_on(reports: Any, display: Display) -> None:
    while True:
        try:
            place, share = reports.get_nowait()
        except queue.Empty:
            return
        display.advance(place, share)


# --- in the process of a job ---------------------------------------------------------------------------------------

_reports: Any = None


def _begin(reports: Any) -> None:
    """Set up a process, which ends with the one that began it, however that ends."""
    global _reports
    _reports = reports
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _run(place: int, unit: Unit) -> Outcome:
    return run(unit, _reporter(place))


def _reporter(place: int) -> Callable[[float], None]:
    last = 0.0

    def report(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > REPORTS:
            last = time.monotonic()
            _reports.put((place, share))

    return report
