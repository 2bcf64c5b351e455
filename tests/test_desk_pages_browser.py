"""A reviewer clears 20 clean requests by keyboard in a real Chromium: how long is told, how many keys is asserted."""

from __future__ import annotations

import datetime as dt
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect, sync_playwright

from models.audit import verify
from pipelines import marts
from sql import schema
from sql.desk_schema import PAYOUT_STATES
from sql.warehouse import Warehouse
from tests import pages_firm
from tests.desk_world import NOW, add_request
from tests.test_browser import CHROMIUM, FLAGS, MISSING, WAIT_MS, _open, _serve

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
CLEAN = [f"C{number:02}" for number in range(20)]
ONE_BY_ONE = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small firm with twenty clean requests of repeat payees in its queue, and no other."""
    made = pages_firm.copied(tmp_path_factory)
    house = Warehouse.open(made / "home")
    queue = sa.Table("mart_payout_queue", sa.MetaData(), autoload_with=house.database)
    with house.database.begin() as connection:
        connection.execute(sa.delete(queue))
    for number, payout_id in enumerate(CLEAN):
        add_request(house, payout_id)
        with house.database.begin() as connection:
            asked = NOW - dt.timedelta(hours=len(CLEAN) - number)
            row = {"payout_id": payout_id, "account_id": f"A-{payout_id}", "trader_id": f"T-{payout_id}"}
            row |= {"desk_id": "prague", "currency": "EUR", "state": "waiting"}
            numbers = {"amount": 1000.0, "waits": True, "overdue": False, "payout_hours": 24}
            connection.execute(
                sa.insert(queue).values(
                    **row, **numbers, **{marts.SAID: number}, requested_at=asked.replace(tzinfo=None)
                )
            )
            risk = {"account_id": row["account_id"], "trader_id": row["trader_id"], "score": 5.0, "band": "low"}
            risk |= {"reasons": "[]", "as_of": NOW, "model_version": "1"}
            connection.execute(sa.insert(schema.RISK_SCORES).values(**risk))
    house.database.dispose()
    return made


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[str]:
    yield from _serve(folder / "home", folder / "book")


@pytest.fixture(scope="module")
def page(served: str) -> Iterator[Page]:
    if not CHROMIUM:
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield _open(browser.new_context(), f"{served}/payout_queue")
        browser.close()


def test_twenty_clean_requests_by_keyboard(page: Page, folder: Path) -> None:
    begun, pressed = time.monotonic(), 0

    def press(keys: str) -> None:
        nonlocal pressed
        pressed += 1
        page.keyboard.press(keys)

    def drawn() -> None:
        """Waits until the page is drawn to its end."""
        expect(page.get_by_role("button", name="Leave note")).to_be_visible(timeout=WAIT_MS)
        expect(page.locator("[data-testid=stStatusWidget]")).to_have_count(0, timeout=WAIT_MS)

    page.goto(page.url.split("payout_queue")[0] + f"payout_review?payout={CLEAN[0]}")
    for payout_id in CLEAN[:ONE_BY_ONE]:
        expect(page.get_by_text(f"{payout_id} · 1,000.00 EUR")).to_be_visible(timeout=WAIT_MS)
        expect(page.get_by_text("✓ Approve · New")).to_be_visible(timeout=WAIT_MS)
        expect(page.get_by_role("button", name="Approve")).to_be_visible(timeout=WAIT_MS)
        drawn()
        press("Alt+a")
        expect(page.get_by_text("✓ Approve · Queued")).to_be_visible(timeout=WAIT_MS)
        drawn()
        press("Alt+n")
    expect(page.get_by_text(f"{CLEAN[ONE_BY_ONE]} · 1,000.00 EUR")).to_be_visible(timeout=WAIT_MS)
    page.goto(page.url.split("payout_review")[0] + "payout_queue")
    expect(page.get_by_text(f"{len(CLEAN) - ONE_BY_ONE} clean requests")).to_be_visible(timeout=WAIT_MS)
    press("Alt+b")
    expect(page.get_by_text("Asked for: 17,000.00 EUR")).to_be_visible(timeout=WAIT_MS)
    press("Alt+a")
    expect(page.get_by_text("17 of 17 approved")).to_be_visible(timeout=WAIT_MS)
    told = f"20 clean requests in {time.monotonic() - begun:.0f} s with {pressed} keystrokes"
    print(told, file=sys.stderr)
    assert pressed == 2 * ONE_BY_ONE + 2
    house = Warehouse.open(folder / "home")
    with house.database.connect() as connection:
        query = sa.select(PAYOUT_STATES.c.payout_id).where(PAYOUT_STATES.c.state == "queued")
        assert sorted(connection.execute(query).scalars()) == CLEAN
        assert verify(connection) is None
    house.database.dispose()
