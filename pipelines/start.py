"""`make run`: the firm on the screen. Makes the demo firm where there is none, lands and scores it, serves the app."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
from pathlib import Path

import sqlalchemy as sa

from models import access, catalogue
from pipelines import attempts, progress
from sql import schema
from sql.warehouse import Warehouse

APP = Path(__file__).parent.parent / "dashboards" / "app.py"


def say(text: str) -> None:
    """One progress line on standard error."""
    print(f"highwater: {text}", file=sys.stderr, flush=True)


def is_empty(warehouse: Warehouse) -> bool:
    """Whether nothing has been landed in this home."""
    with warehouse.database.connect() as database:
        return database.execute(sa.select(sa.func.count()).select_from(schema.LOADS)).scalar_one() == 0


def unscored(warehouse: Warehouse) -> bool:
    """Whether something was landed and nothing scored, as after an interrupted start."""
    with warehouse.database.connect() as database:
        return database.execute(sa.select(sa.func.count()).select_from(schema.RUNS)).scalar_one() == 0


def make_demo(warehouse: Warehouse, traders: int, days: int) -> None:
    """Writes the demo firm and lands it; a start that was interrupted here is taken up by the next one."""
    from pipelines.demo import write_demo
    from pipelines.land import land_paths

    unfinished = _unfinished(warehouse)
    unfinished.touch()
    with tempfile.TemporaryDirectory(dir=warehouse.home / "tmp") as folder:
        out = Path(folder) / "demo"
        with progress.counted("making the demo firm", "traders") as told:
            write_demo(out, traders, days, progress=told)
        with progress.files("landing its feeds") as landing:
            land_paths(warehouse, [out], landing)
    with warehouse.database.begin() as database:
        access.ensure_demo_people(database)
    unfinished.unlink()


def _unfinished(warehouse: Warehouse) -> Path:
    """The file that stands while the demo firm is being landed."""
    return warehouse.home / "locks" / "demo-unfinished"


def prepare(traders: int, days: int) -> Warehouse:
    """A home with something in it, scored."""
    from pipelines.score import score

    warehouse = Warehouse.open()
    if is_empty(warehouse) or _unfinished(warehouse).exists():
        make_demo(warehouse, traders, days)
    if unscored(warehouse):
        with progress.steps("scoring") as bar, attempts.begun(warehouse, bar) as step:
            score(warehouse, catalogue.load(), say=step)
    return warehouse


def refuse_taken(port: int) -> None:
    """Ends the process with a sentence where another one already answers on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            sys.exit(
                f"highwater: port {port} cannot be used ({error.strerror}): perhaps Highwater runs already at"
                f" http://localhost:{port}; otherwise choose another: `make run PORT={port + 1}`, or --port"
            )


def main() -> None:
    """Prepares a home and hands the process over to the dashboards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--traders", type=int, default=2000)
    parser.add_argument("--days", type=int, default=120)
    args = parser.parse_args()
    refuse_taken(args.port)
    warehouse = prepare(args.traders, args.days)
    say(f"Highwater is at http://localhost:{args.port} (stop with Ctrl+C)")
    command = [sys.executable, "-m", "streamlit", "run", str(APP), "--server.port", str(args.port)]
    os.execvpe(
        sys.executable, [*command, "--server.headless", "true"], os.environ | {"HIGHWATER_HOME": str(warehouse.home)}
    )


if __name__ == "__main__":
    main()
