"""A pack against the lake: whether the file is what was made, and which of its parts would be made differently now."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.access import Person
from models.catalogue import Rulebook
from pipelines.packs import page
from pipelines.packs.gather import FORMAT, READER, SOURCES, Pack, PackRefused, gather
from pipelines.packs.make import as_pdf
from sql.warehouse import Warehouse

MASKED_READER = Person("pack", "auditor")
DOCUMENT = "document"


@dataclass(frozen=True)
class Finding:
    """One part of a pack, where it comes from, and whether it is the same, differs, is missing or was altered."""

    part: str
    source: str
    state: str


def verify(warehouse: Warehouse, rulebook: Rulebook, file: Path) -> list[Finding]:
    """Checks a pack's document and each of its parts against lake, terms and decisions as they stand.

    The document comes first: `same`, or `altered` when it is not what its own parts give (of a PDF this can be said
    only while no part differs; else `unknown`). PackRefused for a file that is no pack.
    """
    try:
        held = file.read_bytes()
    except OSError as error:
        raise PackRefused(f"{file} cannot be read: {error.strerror or error}") from error
    about, hashes, carried = _of_pdf(file, held) if held.startswith(b"%PDF") else _of_html(file, held)
    try:
        now = _gathered(warehouse, rulebook, about)
    except PackRefused as refused:
        raise PackRefused(f"{file}: it cannot be made again: {refused}") from refused
    found = [
        Finding(name, SOURCES[name], _state(hashes.get(name), now.hashes.get(name)))
        for name in SOURCES
        if name in hashes or name in now.hashes
    ]
    return [Finding(DOCUMENT, SOURCES["about"], _document(held, carried, hashes, now)), *found]


def _gathered(warehouse: Warehouse, rulebook: Rulebook, about: dict[str, Any]) -> Pack:
    person = MASKED_READER if about["masked"] else READER
    return gather(warehouse, rulebook, about["id"], person=person, as_of=dt.datetime.fromisoformat(about["as_of"]))


def _state(then: str | None, now: str | None) -> str:
    if then is None or now is None:
        return "missing" if now is None else "new"
    return "same" if then == now else "differs"


def _document(held: bytes, carried: Pack | None, hashes: dict[str, str], now: Pack) -> str:
    """Whether the document is what its parts give."""
    if carried is not None:
        return "same" if page.document(carried) == held else "altered"
    if hashes != now.hashes:
        return "unknown"
    return "same" if as_pdf(now) == held else "altered"


def _of_html(file: Path, held: bytes) -> tuple[dict[str, Any], dict[str, str], Pack | None]:
    text = held.decode("utf-8", "replace")
    found = re.search(re.escape(page.CARRIED) + r"(.*?)</script>", text, re.DOTALL)
    carried = _parsed(file, found.group(1) if found else "")
    pack = Pack(carried)
    return _about(file, carried), pack.hashes, pack


def _of_pdf(file: Path, held: bytes) -> tuple[dict[str, Any], dict[str, str], Pack | None]:
    found = re.search(rb"/Keywords \(([A-Za-z0-9+/=\\\r\n]*)\)", held)
    try:
        text = base64.b64decode(re.sub(rb"\\\r?\n", b"", found.group(1)) if found else b"").decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise PackRefused(f"{file} is no evidence pack: what it carries cannot be read.") from error
    carried = _parsed(file, text)
    hashes = carried.get("hashes")
    if not isinstance(hashes, dict):
        raise PackRefused(f"{file} is no evidence pack: it carries no hashes.")
    return _about(file, carried), hashes, None


def _parsed(file: Path, text: str) -> dict[str, Any]:
    try:
        carried = json.loads(text)
    except ValueError as error:
        raise PackRefused(f"{file} is no evidence pack: it carries no parts.") from error
    return carried if isinstance(carried, dict) else {}


def _about(file: Path, carried: dict[str, Any]) -> dict[str, Any]:
    about = carried.get("about")
    if not isinstance(about, dict) or not {"id", "as_of", "masked"} <= set(about):
        raise PackRefused(f"{file} is no evidence pack: it does not say what it is about.")
    if about.get("format") != FORMAT:
        raise PackRefused(f"{file} was made by another version of Highwater, which alone can check it.")
    return about
