"""The journal: what was acknowledged, on disk before it is acknowledged, until it is in the lake.

A segment is a file of frames; a frame is one dataset's rows of one micro-batch as an Arrow stream, with its length and
checksum before it. A torn last frame was never acknowledged and is cut off when the segment is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from pipelines.files import Broken

HEAD = struct.Struct("<4sII")
MAGIC = b"HWJ1"
FRAME_BYTES_MAX = 1 << 30


@dataclass(frozen=True)
class Entry:
    """Rows of one dataset: those that hold (typed, `_line` from 0) and those refused; lines count both."""

    dataset: str
    held: pa.Table
    refused: tuple[Broken, ...]

    @property
    def rows(self) -> int:
        """Rows delivered, refused ones included."""
        return int(self.held.num_rows) + len(self.refused)


@dataclass(frozen=True)
class Delivery:
    """All rows of one dataset in a segment, with the fingerprint that lets them land only once."""

    dataset: str
    held: pa.Table
    refused: tuple[Broken, ...]
    fingerprint: str


class Journal:
    """Appends to one open segment; closed segments wait in the folder until they have landed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.lock = threading.RLock()
        self.segment: Path | None = None
        self._file: BinaryIO | None = None
        self._lines: Counter[str] = Counter()
        self._number = 0

    def append(self, entries: Sequence[Entry]) -> Path:
        """Writes entries and waits for the disk; returns their segment. OSError leaves the segment as it was."""
        with self.lock:
            file, segment = self._opened()
            before = file.tell()
            lines = Counter(self._lines)
            try:
                for entry in entries:
                    file.write(_frame(entry, lines[entry.dataset]))
                    lines[entry.dataset] += entry.rows
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                self._abandon(before)
                raise
            self._lines = lines
            return segment

    def rotate(self) -> None:
        """Closes the open segment; the next append begins another."""
        with self.lock:
            if self._file is not None:
                self._file.close()
            self._file = self.segment = None
            self._lines = Counter()

    def closed(self) -> list[Path]:
        """Segments that nobody writes any more, oldest first."""
        with self.lock:
            return [path for path in sorted(self.folder.glob("*.journal")) if path != self.segment]

    def _opened(self) -> tuple[BinaryIO, Path]:
        if self._file is None or self.segment is None:
            self.segment = self.folder / f"{self._next_number():020d}.journal"
            self._file = self.segment.open("xb", buffering=1 << 20)
            _sync_folder(self.folder)
        return self._file, self.segment

    def _next_number(self) -> int:
        """The time, or what follows the newest segment: segments land in order though the clock was set back."""
        newest = max((int(path.stem) for path in self.folder.glob("*.journal")), default=self._number)
        self._number = max(time.time_ns(), newest + 1, self._number + 1)
        return self._number

    def _abandon(self, size: int) -> None:
        """Takes back a write that failed half-way; the segment is closed, the next append begins another."""
        assert self.segment is not None
        path = self.segment
        try:
            if self._file is not None:
                self._file.close()
        except OSError:
            pass
        self._file = self.segment = None
        self._lines = Counter()
        os.truncate(path, size)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _frame(entry: Entry, first_line: int) -> bytes:
    told = {"dataset": entry.dataset, "first": first_line, "refused": [list(broken) for broken in entry.refused]}
    table = entry.held.replace_schema_metadata({"highwater": json.dumps(told, ensure_ascii=False)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body: bytes = sink.getvalue().to_pybytes()
    return HEAD.pack(MAGIC, len(body), zlib.crc32(body)) + body


def read_segment(path: Path) -> list[Delivery]:
    """What a segment holds, one delivery per dataset, lines counted from 1 through the segment."""
    held: dict[str, list[pa.Table]] = {}
    refused: dict[str, list[Broken]] = {}
    digests: dict[str, hashlib._Hash] = {}
    for body in _bodies(path):
        table = pa.ipc.open_stream(body).read_all()
        told = json.loads(table.schema.metadata[b"highwater"])
        dataset, first = told["dataset"], told["first"] + 1
        lines = pa.array(table["_line"].to_numpy() + first)
        place = table.schema.get_field_index("_line")
        held.setdefault(dataset, []).append(table.replace_schema_metadata().set_column(place, "_line", lines))
        refused.setdefault(dataset, []).extend(Broken(line + first, *rest) for line, *rest in told["refused"])
        digests.setdefault(dataset, hashlib.sha256(path.name.encode())).update(body)
    return [
        Delivery(name, pa.concat_tables(tables), tuple(refused[name]), digests[name].hexdigest())
        for name, tables in held.items()
    ]


def _bodies(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while len(head := file.read(HEAD.size)) == HEAD.size:
            magic, size, checksum = HEAD.unpack(head)
            body = file.read(size) if magic == MAGIC and size < FRAME_BYTES_MAX else b""
            if len(body) != size or zlib.crc32(body) != checksum:
                return
            yield body
