"""Figures and clocks for the benches."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    unit: str
    values: list[float]


def seconds(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def repeat(name: str, unit: str, count: int, measure: Callable[[int], float]) -> Figure:
    """`measure(n)` for n from 0; the first try warms up and does not count."""
    return Figure(name, unit, [measure(n) for n in range(count + 1)][1:])
