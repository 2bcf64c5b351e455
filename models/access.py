"""People, roles and what each may do: one table of permissions, asked for wherever something is read or done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from models import audit
from models.audit import Record
from sql.desk_schema import PEOPLE

ROLES = ("risk_analyst", "payout_reviewer", "manager", "partner_manager", "admin", "auditor")
LOCAL = "local"
"""The role of the only user of an installation in which nobody has an account yet: everything."""
PERMISSIONS: dict[str, frozenset[str]] = {
    "payouts.read": frozenset({"risk_analyst", "payout_reviewer", "manager", "admin", "auditor"}),
    "payouts.decide": frozenset({"payout_reviewer", "manager"}),
    "payouts.confirm": frozenset({"payout_reviewer", "manager"}),
    "payouts.finance": frozenset({"manager"}),
    "payouts.note": frozenset({"risk_analyst", "payout_reviewer", "manager"}),
    "settlements.match": frozenset({"payout_reviewer", "manager"}),
    "risk.read": frozenset({"risk_analyst", "payout_reviewer", "manager", "admin", "auditor"}),
    "risk.decide": frozenset({"risk_analyst", "manager"}),
    "actions.decide": frozenset({"risk_analyst", "manager"}),
    "alerts.manage": frozenset({"manager", "admin"}),
    "management.read": frozenset({"manager", "admin", "auditor"}),
    "segments.edit": frozenset({"manager"}),
    "partners.read": frozenset({"manager", "partner_manager", "admin", "auditor"}),
    "partners.decide": frozenset({"manager", "partner_manager"}),
    "operations.read": frozenset({"risk_analyst", "payout_reviewer", "manager", "admin", "auditor"}),
    "whatif.read": frozenset({"risk_analyst", "manager", "admin", "auditor"}),
    "terms.draft": frozenset({"risk_analyst", "manager"}),
    "terms.read": frozenset({"risk_analyst", "payout_reviewer", "manager", "partner_manager", "admin", "auditor"}),
    "personal.read": frozenset({"risk_analyst", "payout_reviewer"}),
    "audit.read": frozenset({"admin", "auditor"}),
    "people.manage": frozenset({"admin"}),
    "data.move": frozenset({"admin"}),
    "export": frozenset({"risk_analyst", "payout_reviewer", "manager", "auditor"}),
}
"""Who may do what: permission → roles. Nobody has a permission that is not listed."""
IN_WORDS: dict[str, str] = {
    "payouts.read": "see payout requests and their reviews",
    "payouts.decide": "decide on payout requests",
    "payouts.confirm": "agree to another's decision as the second person",
    "payouts.finance": "agree to large payouts as the third person",
    "payouts.note": "write notes on payout requests",
    "settlements.match": "match transfers with requests",
    "risk.read": "see accounts, cases and risk",
    "risk.decide": "decide cases and answer flags",
    "actions.decide": "decide actions on platforms",
    "alerts.manage": "manage who is alerted",
    "management.read": "see cohorts, exposure and other figures of management",
    "segments.edit": "edit the rules of segments",
    "partners.read": "see partners and their commissions",
    "partners.decide": "decide about partners",
    "operations.read": "see the health of data and alerts",
    "whatif.read": "try other terms in the policy lab",
    "terms.draft": "keep drafts of terms",
    "terms.read": "see the overview and the terms",
    "personal.read": "see names and contact data unmasked",
    "audit.read": "see the audit log",
    "people.manage": "manage people and roles",
    "data.move": "move whole datasets in and out",
    "export": "download tables and packs",
}
"""What each permission lets its roles do."""

NAMES = frozenset({"full_name", "trader_name", "email", "phone", "address", "date_of_birth"})
"""Fields that name or reach a person."""
MARKS = frozenset(
    {"ip", "device_id", "device_before", "device_after", "kyc_document", "destination", "transfer_destination"}
    | {"destination_sent", "payout_destination", "last_destination", "fingerprint"}
)
"""Fields that tell a person apart without naming one."""
VALUE_OF = ("signal", "kind", "column")
TOLD_BY_NAME = ("screening",)

PAGES: dict[str, str] = {
    "overview": "terms.read",
    "risk_queue": "risk.read",
    "case": "risk.read",
    "cases": "risk.read",
    "account": "risk.read",
    "network": "risk.read",
    "rings": "risk.read",
    "pair": "risk.read",
    "payout_queue": "payouts.read",
    "payout_review": "payouts.read",
    "approvals": "payouts.confirm",
    "reconciliation": "payouts.read",
    "cohorts": "management.read",
    "partners": "partners.read",
    "segments": "management.read",
    "exposure": "management.read",
    "policy_lab": "whatif.read",
    "data_health": "operations.read",
    "outbox": "risk.read",
    "alerts": "operations.read",
    "terms": "terms.read",
    "portability": "management.read",
    "audit": "audit.read",
    "access": "people.manage",
}
"""What a page asks of those who open it."""

DEMO_PASSWORD = "highwater"
DEMO_PEOPLE: tuple[tuple[str, str], ...] = (
    ("rita", "risk_analyst"),
    ("pavel", "payout_reviewer"),
    ("petra", "payout_reviewer"),
    ("maria", "manager"),
    ("paul", "partner_manager"),
    ("adam", "admin"),
    ("aude", "auditor"),
)
_HASHER = PasswordHasher()


class AccessRefused(Exception):
    """Something that a person may not do; the sentence says what."""


@dataclass(frozen=True)
class Person:
    """Somebody who acts or looks; `desks` None means every desk."""

    name: str
    role: str
    desks: tuple[str, ...] | None = None

    def may(self, permission: str) -> bool:
        """Whether the person's role has a permission."""
        roles = PERMISSIONS.get(permission)
        return roles is not None and (self.role == LOCAL or self.role in roles)

    def sees(self, desk: str | None) -> bool:
        """Whether a desk is one of the person's; what belongs to no desk is seen by those of every desk."""
        return self.desks is None or desk in self.desks


def require(person: Person, permission: str, desk: str | None = None, *, any_desk: bool = False) -> None:
    """Raises AccessRefused when a person lacks a permission, or has it but not at that desk."""
    if not person.may(permission):
        raise AccessRefused(f"{person.name} ({person.role.replace('_', ' ')}) may not do this: {IN_WORDS[permission]}.")
    if not any_desk and not person.sees(desk):
        raise AccessRefused(f"{person.name} does not work at desk {desk or 'unknown'}.")


def masked(value: Any, person: Person) -> Any:
    """A name as a person may see it: whole for roles that need it, else its first letter."""
    if value is None or value != value or person.may("personal.read"):
        return value
    text = str(value)
    return text[:1] + "•" * min(max(len(text) - 1, 1), 8)


def _token(value: Any) -> Any:
    """What tells a person apart as a short mark: one value has one mark, from which the value cannot be had."""
    if value is None or value != value or value == "":
        return value
    return f"••{hashlib.sha256(str(value).encode()).hexdigest()[:4]}"


def veil(value: Any, person: Person, key: str = "") -> Any:
    """A record, or list of records, as a person may see it: personal data masked unless the role needs it.

    What is personal goes by the name of its field (`NAMES`, `MARKS`); a bare `value` is, where a field beside it says
    of what (`signal`, `kind`, `column`), and so is all that the check of a screening list says.
    """
    if person.may("personal.read"):
        return value
    if isinstance(value, Mapping):
        return _veiled_record(value, person)
    if isinstance(value, list | tuple):
        return [veil(one, person, key) for one in value]
    if key in NAMES:
        return masked(value, person)
    return _token(value) if key in MARKS else value


def _veiled_record(record: Mapping[str, Any], person: Person) -> dict[str, Any]:
    if record.get("check") in TOLD_BY_NAME:
        return dict(record) | {"sentence": "Masked for this role.", "numbers": {}}
    named = any(name in record for name in VALUE_OF)
    return {
        name: _token(held) if name == "value" and named else veil(held, person, name) for name, held in record.items()
    }


def is_personal(columns: Iterable[str]) -> list[str]:
    """Those of some columns that hold personal data."""
    listed = list(columns)
    told = [name for name in listed if name in NAMES or name in MARKS]
    return told + (["value"] if "value" in listed and any(name in listed for name in VALUE_OF) else [])


def add_person(
    connection: sa.Connection,
    by: Person,
    name: str,
    password: str,
    role: str,
    desks: tuple[str, ...] | None = None,
    *,
    demo: bool = False,
) -> None:
    """Makes a local account; AccessRefused unless `by` may manage people, ValueError for an unknown role."""
    require(by, "people.manage", any_desk=True)
    if role not in ROLES:
        raise ValueError(f"{role} is no role; roles are {', '.join(ROLES)}")
    if not name or len(password) < 8:
        raise ValueError("a person needs a name, and a password of 8 characters or more")
    if connection.execute(sa.select(PEOPLE.c.name).where(PEOPLE.c.name == name)).first():
        raise ValueError(f"{name} has an account already; it can be changed")
    row = {"name": name, "role": role, "desks": json.dumps(desks), "demo": demo, "active": True}
    audit.append(connection, Record(by.name, "person added", f"person:{name}", role=by.role, after=row))
    connection.execute(sa.insert(PEOPLE).values(password_hash=_HASHER.hash(password), **row))


def change_person(connection: sa.Connection, by: Person, name: str, reason: str, **changes: Any) -> None:
    """Changes role, desks or active of a local account; nobody changes their own. KeyError for an unknown name."""
    require(by, "people.manage", any_desk=True)
    if by.name == name:
        raise AccessRefused("Nobody changes their own account.")
    if not changes:
        raise ValueError("Nothing was changed.")
    if not reason.strip():
        raise ValueError("Say why.")
    if changes.get("role", ROLES[0]) not in ROLES:
        raise ValueError(f"{changes['role']} is no role")
    values = {key: json.dumps(value) if key == "desks" else value for key, value in changes.items()}
    columns = [PEOPLE.c[key] for key in values]
    before = connection.execute(sa.select(*columns).where(PEOPLE.c.name == name)).mappings().first()
    if before is None:
        raise KeyError(name)
    record = Record(by.name, "person changed", f"person:{name}", reason, by.role, dict(before), values)
    audit.append(connection, record)
    connection.execute(sa.update(PEOPLE).where(PEOPLE.c.name == name).values(**values))


def sign_in(connection: sa.Connection, name: str, password: str) -> Person | None:
    """The person of a local account, None when name or password is wrong; either way it is in the audit log.

    An unknown name costs as much time as a wrong password, so that names cannot be told apart by it.
    """
    row = connection.execute(sa.select(PEOPLE).where(PEOPLE.c.name == name, PEOPLE.c.active)).mappings().first()
    known = _fits(row["password_hash"] if row else _nobody(), password) and row is not None
    role = str(row["role"]) if row else ""
    audit.append(connection, Record(name, "signed in" if known else "sign-in refused", f"person:{name}", role=role))
    return person_of(dict(row)) if known and row is not None else None


def _fits(held: str, password: str) -> bool:
    try:
        return _HASHER.verify(held, password)
    except (VerificationError, InvalidHashError):
        return False


_NOBODY: list[str] = []


def _nobody() -> str:
    if not _NOBODY:
        _NOBODY.append(_HASHER.hash("nobody"))
    return _NOBODY[0]


def person_of(row: Mapping[str, Any]) -> Person:
    """The person of a row of `people`."""
    desks = json.loads(row["desks"])
    return Person(str(row["name"]), str(row["role"]), None if desks is None else tuple(desks))


def from_claims(claims: Mapping[str, Any]) -> Person | None:
    """The person that an identity provider vouches for: claims `email` or `sub`, `highwater_role`, `highwater_desks`.

    None without a known role: who the provider knows but nobody gave a role sees nothing.
    """
    name, role = claims.get("email") or claims.get("sub"), claims.get("highwater_role")
    if not name or role not in ROLES:
        return None
    desks = claims.get("highwater_desks")
    return Person(str(name), str(role), None if desks is None else tuple(str(desk) for desk in desks))


def people(connection: sa.Connection) -> list[dict[str, Any]]:
    """Local accounts without their passwords, by name."""
    columns = [column for column in PEOPLE.c if column.name != "password_hash"]
    found = connection.execute(sa.select(*columns).order_by(PEOPLE.c.name)).mappings()
    return [dict(row) | {"desks": json.loads(row["desks"])} for row in found]


def ensure_demo_people(connection: sa.Connection) -> None:
    """Makes the demo's people where nobody has an account yet."""
    audit.lock(connection)
    if connection.execute(sa.select(sa.func.count()).select_from(PEOPLE)).scalar_one():
        return
    first = Person("highwater", "admin")
    for name, role in DEMO_PEOPLE:
        add_person(connection, first, name, DEMO_PASSWORD, role, demo=True)
