"""A typed door to numba, so that compiled functions keep their signatures."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function compiled to machine code and kept on disk for the next run."""
    return cast(Callable[P, R], njit(cache=True)(function))
