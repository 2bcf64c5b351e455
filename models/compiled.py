"""The one way functions are compiled: kept on disk, and compiled anew when anything they call or read has changed.

numba itself only looks at the file of a function: one that calls or reads what another file holds would go on with
what that held before.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from types import CodeType, FunctionType, ModuleType
from typing import Any, Literal, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import config, njit
from numba.core import caching
from numba.core.dispatcher import Dispatcher

F = TypeVar("F", bound=Callable[..., object])


class Stamp:
    """What a compiled function is made of; told when first asked for: it may call what comes after it."""

    def __init__(self, function: FunctionType) -> None:
        self.function = function

    @cached_property
    def told(self) -> str:
        """A digest of the function, of all it calls and of the values it reads."""
        return hashlib.sha256("\n".join(_made_of(self.function, set())).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return self.told == (other.told if isinstance(other, Stamp) else other)

    def __hash__(self) -> int:
        return hash(self.told)

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (self.told,)


class _Stamped:
    def __init__(self, function: FunctionType, file: str) -> None:
        super().__init__(function, file)  # type: ignore[call-arg]
        self._function = function

    def get_source_stamp(self) -> Stamp:
        """What numba compares with what it kept."""
        return Stamp(self._function)


class WhereTold(_Stamped, caching.UserProvidedCacheLocator):  # type: ignore[misc]
    """In the folder that NUMBA_CACHE_DIR names."""


class Beside(_Stamped, caching.InTreeCacheLocator):  # type: ignore[misc]
    """Beside the code."""


class WithTheUser(_Stamped, caching.UserWideCacheLocator):  # type: ignore[misc]
    """Where the user's programs keep such things."""


TOLD_OF_TYPES = ("_fields", "__annotations__", "__members__")
PLACES = ",".join(f"{__name__}.{place.__name__}" for place in (WhereTold, Beside, WithTheUser))


def compiled(function: F) -> F:
    """The function compiled to machine code, free of the interpreter's lock, with the signature it is written with."""
    return _kept(function)


def inlined(function: F) -> F:
    """The same, compiled into each function that calls it."""
    return _kept(function, inline="always")


def to_read(values: Any, kind: Any) -> npt.NDArray[Any]:
    """Values as an array that a compiled function may only read, laid out without gaps.

    A function is compiled for every kind of array that it is given, seconds each, and a table gives some columns as its
    own memory and, where a value is missing, others as copies that may be written.
    """
    told = np.ascontiguousarray(values, dtype=kind).view()
    told.flags.writeable = False
    return told


def _kept(function: F, inline: Literal["never", "always"] = "never") -> F:
    with _kept_here():
        return cast(F, njit(cache=True, nogil=True, inline=inline)(function))


@contextmanager
def _kept_here() -> Iterator[None]:
    """The places are those of functions compiled meanwhile; other packages' functions stay in theirs."""
    before = config.CACHE_LOCATOR_CLASSES  # type: ignore[attr-defined]
    config.CACHE_LOCATOR_CLASSES = PLACES  # type: ignore[attr-defined]
    try:
        yield
    finally:
        config.CACHE_LOCATOR_CLASSES = before  # type: ignore[attr-defined]


def _made_of(function: FunctionType, seen: set[str]) -> Iterator[str]:
    """Code, defaults and every global that a function names, those of called functions in the order they are met."""
    yield function.__qualname__
    yield repr(function.__defaults__)
    names = list(dict.fromkeys(re.findall(r"\w+", " ".join(map(str, function.__annotations__.values())))))
    for code in _codes(function.__code__):
        yield code.co_code.hex()
        yield repr([one for one in code.co_consts if not isinstance(one, CodeType)])
        yield repr((code.co_varnames, code.co_names))
        names += code.co_names
    for cell in function.__closure__ or ():
        yield from _value(cell.cell_contents, seen)
    for name in dict.fromkeys(names):
        if name in function.__globals__:
            yield name
            yield from _value(function.__globals__[name], seen)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)


def _value(value: Any, seen: set[str]) -> Iterator[str]:
    """What a global is, as far as compiled code depends on it."""
    function = value.py_func if isinstance(value, Dispatcher) else value
    if isinstance(function, FunctionType):
        name = f"{function.__module__}.{function.__qualname__}"
        if name not in seen:
            seen.add(name)
            yield from _made_of(function, seen)
    elif isinstance(value, ModuleType):
        yield value.__name__
    elif isinstance(value, type):
        yield f"{value.__qualname__} {[getattr(value, told, '') for told in TOLD_OF_TYPES]}"
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape} {value.tobytes().hex()}"
    else:
        yield repr(value)
