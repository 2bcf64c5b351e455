"""Files that look like statements and prove nothing: refused by what they are."""

import re
from collections.abc import Iterable

from pipelines.sources.kit.csv_table import CUT_OFF
from pipelines.sources.kit.document import Document
from pipelines.sources.kit.statement import SourceRefusal

_PLACEHOLDERS = re.compile(r"<!--[A-Z][A-Z0-9_]{2,40}-->")
_DATED = re.compile(r"\d{4}\.\d\d\.\d\d \d\d:\d\d")
_BINARY = {
    b"\xd0\xcf\x11\xe0": ("an old binary Excel workbook", "save it as XLSX, or export the report as HTML"),
    b"%PDF": ("a PDF", "export the statement as HTML, XLSX or CSV"),
    b"\x1f\x8b": ("a gzip archive", "unpack it first"),
    b"Rar!": ("a RAR archive", "unpack it first"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it first"),
    b"\x89PNG": ("a picture", "export the statement as HTML, XLSX or CSV"),
    b"\xff\xd8\xff": ("a picture", "export the statement as HTML, XLSX or CSV"),
}


def refuse_what_is_no_evidence(document: Document) -> None:
    """Refuse an empty file, a tester report, a template, a frameset and binary formats, each by name."""
    name = document.name
    if not document.data.strip():
        raise SourceRefusal(f"{name} is empty: export it again")
    for start, (what, remedy) in _BINARY.items():
        if document.data.startswith(start):
            raise SourceRefusal(f"{name} is {what}: {remedy}")
    if _is_tester(document):
        raise SourceRefusal(f"{name} is a strategy tester report: a simulation is no account's history")
    if "<frameset" in document.head:
        raise SourceRefusal(f"{name} is a frameset without data: open it in the platform and export the report itself")
    if len(_PLACEHOLDERS.findall(document.text[:200_000])) >= 5 and not _DATED.search(document.text):
        raise SourceRefusal(f"{name} is a report template without rows: export a report from the platform")


def refuse_several_accounts(name: str, accounts: Iterable[str]) -> str | None:
    """Return the account whose history a file holds, or refuse several; a blank and a cut-off cell name none."""
    found = sorted({account for account in accounts if account and not account.endswith(CUT_OFF)})
    if len(found) > 1:
        raise SourceRefusal(f"{name} holds {len(found)} accounts ({', '.join(found[:5])}): export one at a time")
    return found[0] if found else None


def _is_tester(document: Document) -> bool:
    """Tell a strategy tester's report, as a page or as a workbook."""
    if document.is_zip:
        opening = [cell.lower() for sheet in document.sheets for row in sheet[:3] for cell in row.cells]
        return any("strategy tester" in cell for cell in opening)
    return bool(re.search(r"<title>[^<]{0,80}strategy tester|strategy tester report", document.head))
