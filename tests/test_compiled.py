"""What is kept of compiled functions is not used once anything they are made of has changed, in whatever file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CALLED = """
from typing import NamedTuple
from models.compiled import compiled, inlined

SHARE = 2.0


class Row(NamedTuple):
    size: float
    price: float


@compiled
def part(x: float) -> float:
    return x * SHARE


@inlined
def more(x: float) -> float:
    return x + 1.0
"""
CALLER = """
import sys
from called import Row, more, part
from models.compiled import compiled

STEP = 10.0


@compiled
def whole(row: Row) -> float:
    return later(row.size)


@compiled
def later(x: float) -> float:
    return more(part(x)) + STEP


print(whole(Row(size=3.0, price=5.0)), sum(whole.stats.cache_misses.values()))
"""
CHANGES = [
    pytest.param("called", "x * SHARE", "x * SHARE * 2.0", 23.0, id="what is called, in another file"),
    pytest.param("called", "x + 1.0", "x + 4.0", 20.0, id="what is compiled into it"),
    pytest.param("called", "SHARE = 2.0", "SHARE = 3.0", 20.0, id="a value that what it calls reads"),
    pytest.param("caller", "STEP = 10.0", "STEP = 1.0", 8.0, id="a value of its own file"),
    pytest.param(
        "called",
        "    size: float\n    price: float",
        "    price: float\n    size: float",
        17.0,
        id="where a field lies",
    ),
]


def told(folder: Path, seed: str = "0") -> tuple[float, int]:
    """The result in a new process, and how many functions had to be compiled for it."""
    script = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(ROOT)!r}]; import caller"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
    )
    result, compiled = done.stdout.split()
    return float(result), int(compiled)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two modules whose functions are compiled and kept."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "called.py").write_text(CALLED)
    (folder / "caller.py").write_text(CALLER)
    assert told(folder) == (17.0, 1)
    return folder


def test_what_has_not_changed_is_not_compiled_again(kept: Path) -> None:
    """A stamp that told an address, or the order of a set, would be new in every process."""
    assert told(kept, seed="1") == (17.0, 0)


@pytest.mark.parametrize(("module", "before", "after", "result"), CHANGES)
def test_what_has_changed_is_compiled_again(
    kept: Path, tmp_path: Path, module: str, before: str, after: str, result: float
) -> None:
    """Numba alone would go on with the earlier result where the change is in another file."""
    for file in kept.rglob("*"):
        if file.is_file():
            copy = tmp_path / file.relative_to(kept)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(file.read_bytes())
    source = (tmp_path / f"{module}.py").read_text()
    assert before in source
    (tmp_path / f"{module}.py").write_text(source.replace(before, after))
    assert told(tmp_path) == (result, 1)
