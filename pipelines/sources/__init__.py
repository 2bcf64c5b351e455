"""Platform exports, one file per platform: a reader here is registered by being here.

A reader has ``NAME``, ``recognise(document)`` (by content, never by file name) and ``read(document, ask)``.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from types import ModuleType

from pipelines.sources.kit.checks import outcome_of, remark
from pipelines.sources.kit.document import Document
from pipelines.sources.kit.refusals import refuse_what_is_no_evidence
from pipelines.sources.kit.statement import Ask, Check, Reconciliation, SourceRefusal, Statement

__all__ = ["Reconciliation", "SourceRefusal", "Statement", "read", "recognise", "sources"]


@cache
def sources() -> dict[str, ModuleType]:
    """Return every reader by the name people use for it."""
    names = [found.name for found in pkgutil.iter_modules(__path__)]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {module.NAME: module for module in modules if hasattr(module, "NAME")}


def recognise(data: bytes, file_name: str) -> str | None:
    """Return the name of the source whose shape the content has, or None; the file's name plays no part."""
    return _recognised(Document(data, file_name))[0]


def _recognised(document: Document) -> tuple[str | None, Document]:
    """Return the one source that knows the document's shape, and the document as it knows it.

    That is without the titles above its list, or as text where somebody saved a list as a workbook.
    """
    for shown in _shapes(document):
        for name, module in sources().items():
            if module.recognise(shown):
                return name, shown
    return None, document


def _shapes(document: Document) -> Iterator[Document]:
    """Yield the document as it is, then without titles, then what its workbook would be as text."""
    yield document
    yield from document.below_titles()
    for text in document.as_text():
        yield text
        yield from text.below_titles()


def read(
    source: str | None,
    data: bytes,
    *,
    file_name: str,
    account_id: str,
    server_zone: str | None = None,
    currency: str | None = None,
    mapping: str | None = None,
) -> Statement:
    """Read an export into deals, rejects, facts and a reconciliation.

    ``source`` None recognises the format. ``server_zone`` is needed where the format prints no zone, ``mapping`` (TOML
    text) for generic-csv. Raises SourceRefusal when the file is not evidence, is not what it was said to be, or cannot
    be read whole.
    """
    document = Document(data, file_name)
    refuse_what_is_no_evidence(document)
    found, document = (None, document) if mapping else _recognised(document)
    name = _agreed(source, found, file_name, generic=mapping is not None)
    statement: Statement = sources()[name].read(document, Ask(account_id, server_zone, currency, mapping))
    return _with_remarks(document, statement)


def _with_remarks(document: Document, statement: Statement) -> Statement:
    """Return the statement, told as cut off or as unread where it is."""
    remarks = [*_cut_off(document, statement), *_unread(statement)]
    if not remarks:
        return statement
    checks = [*statement.reconciliation.checks, *remarks]
    return replace(statement, reconciliation=Reconciliation(outcome_of(checks), checks))


def _cut_off(document: Document, statement: Statement) -> list[Check]:
    """Name the end that a file lacks: it stops in the middle of its last row, or its page is never closed."""
    if any(check["name"] == "complete" for check in statement.reconciliation.checks):
        return []
    why = "the page is not closed, so rows may be missing at its end: export it again"
    has_rejects = not statement.rejects.empty
    if document.is_short_list or (has_rejects and document.is_cut_off(int(statement.rejects["line"].max()))):
        why = "the file ends in the middle of a row: export it again"
        if statement.facts.get("is_newest_first"):
            raise SourceRefusal(
                f"{document.name}: the fills that its results would be reckoned from are missing, since {why}"
            )
    elif document.ends_short:
        why = "no line ends behind it and it is shorter than others of its column: if the file was cut, export it again"
        return [remark("complete", "suspect", "last cell of the file", why)]
    elif not document.is_open_page:
        return []
    return [remark("complete", "does_not_add_up", "end of the file", why)]


def _unread(statement: Statement) -> list[Check]:
    """Name rows that could not be read where nothing else tells what they hold: none was, or no figure is printed.

    A list that prints its titles again has lost nothing.
    """
    rejects, checks = statement.rejects, statement.reconciliation.checks
    titles = rejects["value"].astype(str).str.strip().str.lower() == rejects["column"].astype(str).str.lower()
    rejects = rejects[~titles]
    if rejects.empty or (not statement.deals.empty and any(check["expected"] for check in checks)):
        return []
    some = f"{len(rejects)} of {statement.rows} rows could not be read and no total covers them"
    missed = "no row could be read" if statement.deals.empty else some
    first = rejects.iloc[0]
    why = f"{missed}; the first: {first['column']} {first['value']!r:.80}: {first['reason']}"
    return [remark("rows read", "does_not_add_up", f"line {first['line']}", why)]


def _agreed(source: str | None, found: str | None, file_name: str, *, generic: bool) -> str:
    """Return the source to read by, or refuse: unknown, unrecognised, or another than was asked for."""
    if source is not None and source not in sources():
        raise SourceRefusal(f"source {source!r} is not known; there are: {', '.join(sorted(sources()))}")
    if source is None and generic:
        return "generic-csv"
    if found is None and source not in (None, "generic-csv"):
        raise SourceRefusal(f"{file_name} does not have the shape of {source}: export it again from the platform")
    if found is None and source is None:
        raise SourceRefusal(
            f"{file_name} is no export that is known here ({', '.join(sorted(sources()))}): "
            "export it again, or describe its columns in a mapping for generic-csv"
        )
    if found and source not in (None, found, "generic-csv"):
        raise SourceRefusal(f"{file_name} was given as {source} but is a {found}: name the right source")
    return source or str(found)
