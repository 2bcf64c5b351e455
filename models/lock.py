"""Locks the versions of a rulebook folder: `python -m models.lock [FOLDER]` adds those that are not locked yet.

A locked version can neither change nor vanish without the rulebook being refused (`catalogue.load`).
"""

from __future__ import annotations

import sys
from pathlib import Path

from models import catalogue


def lock(folder: Path) -> list[str]:
    """Appends a folder's unlocked versions to its lock file and returns their lines; what is locked stays as it is.

    Raises catalogue.RulebookRefused when the rulebook does not hold or a locked version was changed.
    """
    rulebook = catalogue.load(folder)
    path = folder / catalogue.LOCK
    locked = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    known = {tuple(line.split()[:2]) for line in locked}
    new = [
        line
        for line in catalogue.lock_text(rulebook.products.values()).splitlines()
        if tuple(line.split()[:2]) not in known
    ]
    path.write_text("".join(f"{line}\n" for line in sorted([*locked, *new])), encoding="utf-8")
    return new


def main(arguments: list[str]) -> int:
    """Locks the folder named, by default Highwater's own, and prints what was added."""
    folder = Path(arguments[0]) if arguments else catalogue.FOLDER
    try:
        new = lock(folder)
    except catalogue.RulebookRefused as refused:
        print(refused, file=sys.stderr)
        return 1
    print("\n".join(new) if new else "every version is locked already")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
