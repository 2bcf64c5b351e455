"""The unit and the container of the live service: it starts where program and homes are read-only."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
READ_ONLY = """
from numba.core import caching
def refused(self): raise OSError("read-only")
caching.InTreeCacheLocator.ensure_cache_path = caching.UserWideCacheLocator.ensure_cache_path = refused
import models.walk
print(models.walk.__name__)
"""


def started(environment: dict[str, str]) -> str:
    """What a process says that has nowhere to keep compiled kernels but where its environment tells it to."""
    given = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"} | environment
    done = subprocess.run([sys.executable, "-c", READ_ONLY], cwd=ROOT, env=given, capture_output=True, text=True)
    return done.stdout.strip() or done.stderr


def test_a_read_only_tree_is_a_danger() -> None:
    assert "cannot cache" in started({})


@pytest.mark.parametrize("file", ["highwater-live.service", "Containerfile"])
def test_a_service_that_may_write_its_data_alone_starts(tmp_path: Path, file: str) -> None:
    told = re.findall(r"\b([A-Z_]+)=(/var/lib/highwater\S*|/data\S*)", (ROOT / "deploy" / file).read_text())
    assert started({name: str(tmp_path / path.strip("/")) for name, path in told}) == "models.walk"
