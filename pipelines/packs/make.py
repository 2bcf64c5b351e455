"""Makes packs: gathers, writes both documents, and says so in the audit log."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path

from models import audit
from models.access import LOCAL, Person
from models.catalogue import Rulebook
from pipelines.packs import page
from pipelines.packs.gather import Pack, gather
from pipelines.whole import put_bytes
from sql.warehouse import Warehouse


@dataclass(frozen=True)
class Made:
    """A pack's hash and the files that hold it."""

    hash: str
    files: tuple[Path, ...]


def as_html(pack: Pack) -> bytes:
    """The pack as one HTML file."""
    return page.document(pack)


def as_pdf(pack: Pack) -> bytes:
    """The pack as one PDF file."""
    from pipelines.packs import paper

    return paper.document(pack)


FORMS = {"html": as_html, "pdf": as_pdf}


def file_name(pack_id: str, form: str) -> str:
    """The name of a pack's file."""
    return f"pack-{''.join(c if c.isalnum() or c in '-_.' else '_' for c in pack_id)}.{form}"


def handed_out(warehouse: Warehouse, person: Person, pack: Pack, form: str) -> None:
    """Writes down who took a pack with them."""
    after = {"form": form, "hash": pack.hash, "masked": pack.parts["about"]["masked"]}
    record = audit.Record(person.name, "pack exported", f"pack:{pack.name}", role=person.role, after=after)
    with warehouse.database.begin() as database:
        audit.append(database, record)


def make(warehouse: Warehouse, rulebook: Rulebook, subject: str, folder: Path) -> Made:
    """Writes both documents about a subject into a folder; PackRefused or WriteRefused where that cannot be done."""
    pack = gather(warehouse, rulebook, subject)
    content = {folder / file_name(pack.name, form): write(pack) for form, write in FORMS.items()}
    handed_out(warehouse, Person(getpass.getuser(), LOCAL), pack, " ".join(FORMS))
    for path, held in content.items():
        put_bytes(path, held)
    return Made(pack.hash, tuple(content))
