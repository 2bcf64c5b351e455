"""The one way functions of this package are compiled: cached on disk, free of the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """The function compiled to machine code, with the signature it is written with."""
    return cast(F, njit(cache=True, nogil=True)(function))
