"""A person's way through the pages in a real Chromium, from the overview to the evidence, on both screens."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

import cli
from models import access, audit
from sql.warehouse import Warehouse
from tests import pages_firm

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

ROOT = Path(__file__).parent.parent
SAMPLES = Path(os.environ.get("HIGHWATER_SAMPLES") or ROOT.parent / "shared" / "samples")
TRIAL = SAMPLES / "mt5-report-fr-prop-trial.xlsx"
PRESETS = ROOT / "models" / "products" / "presets"
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
MISSING = "THE PAGES WERE NOT SEEN IN A BROWSER: no chromium on this machine (apt-get install chromium)"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WAIT_MS = 180_000
GROUND = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
LIGHT = "rgb(255, 255, 255)"
WIDER = """Math.max(...[document.documentElement, document.querySelector('[data-testid=stMain]')].map(
    one => one.scrollWidth - one.clientWidth))"""
CUT = """[...document.querySelectorAll('[data-testid=stMetricLabel], [data-testid=stMetricLabel] *')].filter(
    one => one.scrollWidth > one.clientWidth && getComputedStyle(one).overflowX === 'hidden').map(
    one => one.innerText)"""
SEEN = (
    "",
    "overview",
    "overview?view=glance",
    "risk_queue?state=all",
    "account?account=B1",
    "payout_queue",
    "cohorts",
    "data_health",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM:
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the app over the small firm."""
    folder = pages_firm.copied(tmp_path_factory)
    house = Warehouse.open(folder / "home")
    pages_firm.suspect(house)
    house.database.dispose()
    yield from _serve(folder / "home", folder / "book")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _serve(home: Path, book: Path, port: int | None = None, *options: str) -> Iterator[str]:
    """Runs the app until the test is done with it."""
    port = port or _free_port()
    environment = os.environ | {"HIGHWATER_HOME": str(home), "HIGHWATER_RULEBOOK": str(book)}
    environment.pop("HIGHWATER_DATABASE_URL", None)
    command = [sys.executable, "-m", "streamlit", "run", "dashboards/app.py", "--server.port", str(port), *options]
    app = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(f"http://127.0.0.1:{port}/_stcore/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        app.terminate()
        try:
            app.wait(timeout=30)
        except subprocess.TimeoutExpired:  # how a server ends is not what is looked at
            app.kill()
            app.wait()


def _await(address: str) -> None:
    for _ in range(900):
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"nothing answers at {address}")


@pytest.fixture(scope="module")
def screen(chromium: Browser) -> Iterator[BrowserContext]:
    """A laptop in light colours, whose pages share what they have loaded."""
    with chromium.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light") as context:
        yield context


def _open(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(address)
    page.get_by_text("Figures stand at").wait_for()
    return page


def test_from_the_overview_to_the_evidence(served: str, screen: BrowserContext) -> None:
    page = _open(screen, served)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.get_by_role("link", name="All breaches →").click()
    expect(page.get_by_role("heading", name="Risk queue")).to_be_visible(timeout=WAIT_MS)
    expect(page).to_have_url(re.compile("risk_queue.*state=breached"))
    expect(page.get_by_text("Equity 94,999.99 fell below the daily floor 95,000.00").first).to_be_visible(
        timeout=WAIT_MS
    )
    page.get_by_role("button", name="Open account").click()
    expect(page).to_have_url(re.compile("account.*account=B1"), timeout=WAIT_MS)
    expect(page.get_by_text("Did equity stay above its floors?")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text("✕ Breached · Daily loss → the account ends")).to_be_visible(timeout=WAIT_MS)
    numbers = page.locator("table.hw-sum").first
    expect(numbers).to_contain_text("94,999.99 EUR")
    when = page.locator("time").first
    assert str(when.get_attribute("title")).endswith("UTC"), "UTC on hover"
    page.close()


def test_the_view_of_one_page_is_not_taken_for_that_of_the_next(served: str, screen: BrowserContext) -> None:
    """The account's first view has a namesake on the case, which then had no view at all and fell over."""
    page = _open(screen, f"{served}/account?account=N1")
    page.get_by_role("link", name="Open the case").click()
    expect(page.get_by_role("heading", name="Case", exact=True)).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text("See the network →")).to_be_visible(timeout=WAIT_MS)
    assert page.locator("[data-testid=stException]").count() == 0
    assert "None" not in page.url
    page.close()


def test_a_statement_comes_whenever_it_is_asked_for_and_is_written_down(served: str, screen: BrowserContext) -> None:
    """Each click brings the file, however the page stands, and says so in the audit log."""
    page = _open(screen, f"{served}/partners?partner=P1")
    for label, begins in (("CSV", b"happened_at,"), ("PDF", b"%PDF"), ("CSV", b"happened_at,")):
        with page.expect_download(timeout=WAIT_MS) as coming:
            page.get_by_role("button", name=f"Statement as {label}").click()
        assert Path(coming.value.path()).read_bytes().startswith(begins)
    page.goto(f"{served}/audit")
    expect(page.get_by_text("statement P1").first).to_be_attached(timeout=WAIT_MS)
    page.close()


def test_the_browser_asks_nobody_but_the_app(served: str, screen: BrowserContext) -> None:
    """The icon of the tab was fetched from a host outside, at every page."""
    asked: set[str] = set()

    def note(request: Request) -> None:
        asked.add(urlsplit(request.url).netloc)

    screen.on("request", note)
    _open(screen, served).close()
    screen.remove_listener("request", note)
    assert asked - {""} == {urlsplit(served).netloc}


def test_a_filter_goes_to_the_address_and_the_address_opens_the_same_view(served: str, screen: BrowserContext) -> None:
    page = _open(screen, f"{served}/risk_queue?state=all")
    expect(page.get_by_text("5 accounts · select a row")).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("combobox", name=re.compile("Desk")).click()
    page.get_by_role("option", name="Tokyo").click()
    expect(page.get_by_text("1 account · select a row")).to_be_visible(timeout=WAIT_MS)
    expect(page).to_have_url(re.compile("desk=tokyo"))
    colleague = _open(screen, page.url)
    expect(colleague.get_by_text("1 account · select a row")).to_be_visible(timeout=WAIT_MS)
    page.close()
    colleague.close()


def test_pages_fit_both_screens_and_follow_both_themes(served: str, screen: BrowserContext) -> None:
    """Each page on a laptop in light colours, then, as somebody's evening begins, on a wide screen in dark ones."""
    for name in SEEN:
        page = _open(screen, f"{served}/{name}")
        assert page.evaluate(GROUND) == LIGHT, name
        _fits(page, name)
        page.set_viewport_size({"width": 1920, "height": 1080})
        page.emulate_media(color_scheme="dark")
        page.wait_for_function(f"{GROUND} !== '{LIGHT}'")
        expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_visible(timeout=WAIT_MS)
        _fits(page, name)
        page.close()


def test_a_word_without_an_end_does_not_widen_the_page(served: str, screen: BrowserContext) -> None:
    """A reason of 6,000 letters made a case 40,000 pixels wide."""
    page = _open(screen, f"{served}/account?account=B1")
    page.locator(".hw-card p").first.evaluate("one => { one.textContent = 'x'.repeat(6000) }")
    assert page.evaluate(WIDER) <= 0
    page.close()


def _fits(page: Page, name: str) -> None:
    """The page is no wider than its screen and fell over nowhere."""
    overflow = page.evaluate(WIDER)
    assert overflow <= 0, f"/{name} is {overflow} px wider than the screen"
    assert not page.evaluate(CUT), f"names of figures are cut on /{name}"
    assert page.locator("[data-testid=stException]").count() == 0, name


@pytest.mark.skipif(not TRIAL.is_file(), reason=f"THE REAL STATEMENT WAS NOT SEEN: {TRIAL} is not there")
def test_a_real_statement_is_shown_with_its_path_and_trades(
    screen: BrowserContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HIGHWATER_HOME", str(home))
    feed = tmp_path / "feed"
    feed.mkdir()
    (feed / "desks.csv").write_text("desk_id,name,currency,time_zone\nD,Paris,USD,Europe/Paris\n")
    (feed / "traders.csv").write_text(
        "trader_id,full_name,kyc_status,registered_at\nT,Ann Example,none,2026-01-01T00:00:00Z\n"
    )
    (feed / "challenges.csv").write_text(
        "challenge_id,trader_id,desk_id,product,purchased_at,fee,currency\n"
        "C,T,D,ftmo_two_step,2026-03-01T00:00:00Z,0,USD\n"
    )
    (feed / "accounts.csv").write_text(
        "account_id,challenge_id,trader_id,desk_id,stage,platform,login,currency,initial_balance,opened_at\n"
        "FR,C,T,D,evaluation_1,mt5,1,USD,200000,2026-06-07T00:00:00Z\n"
    )
    statement = ["ingest", "--source", "mt5-report", "--account", "FR", "--server-zone", "Europe/Prague", str(TRIAL)]
    assert cli.main(["ingest", str(feed)]) == 0
    assert cli.main(statement) == 0
    assert cli.main(["score", "--rulebook", str(PRESETS)]) == 0
    for address in _serve(home, PRESETS):
        page = _open(screen, f"{address}/account?account=FR&view=trades")
        expect(page.get_by_text("Did equity stay above its floors?")).to_be_visible(timeout=WAIT_MS)
        expect(page.get_by_text("344 round trips")).to_be_visible(timeout=WAIT_MS)
        expect(page.locator(".hw-facts")).to_contain_text("200,213.46 USD")
        page.close()


def test_who_signed_in_stays_so_on_other_pages_until_they_sign_out(
    chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = pages_firm.copied(tmp_path_factory)
    house = Warehouse.open(folder / "home")
    with house.database.begin() as connection:
        access.ensure_demo_people(connection)
    house.database.dispose()
    for address in _serve(folder / "home", folder / "book"):
        with chromium.new_context(viewport={"width": 1280, "height": 800}) as screen:
            page = screen.new_page()
            page.set_default_timeout(WAIT_MS)
            page.goto(f"{address}/risk_queue?state=breached")
            page.get_by_role("button", name="rita · risk analyst").click()
            page.get_by_text("Figures stand at").wait_for()
            expect(page).to_have_url(re.compile("risk_queue.*state=breached"), timeout=WAIT_MS)
            other = _open(screen, f"{address}/account?account=B1")
            expect(other.get_by_text("rita · risk analyst")).to_be_visible(timeout=WAIT_MS)
            other.get_by_role("button", name="Sign out").click()
            expect(other.get_by_role("heading", name="Sign in")).to_be_visible(timeout=WAIT_MS)
            other.goto(f"{address}/account?account=B1")
            expect(other.get_by_role("heading", name="Sign in")).to_be_visible(timeout=WAIT_MS)


@contextmanager
def _provider(*people: dict[str, str]) -> Iterator[str]:
    """An identity provider that knows these people; its address."""
    port = _free_port()
    known = [part for one in people for part in ("--user-claims", json.dumps(one))]
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), *known]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(f"http://127.0.0.1:{port}/.well-known/openid-configuration")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=90)


def test_people_sign_in_by_their_firms_own_provider(
    chromium: Browser, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Who the provider gives a role gets that role's pages, in the log by name; who gets none is told so."""
    folder, port = pages_firm.copied(tmp_path_factory), _free_port()
    auditor = {"sub": "aude", "email": "aude@firm.example", "highwater_role": "auditor"}
    with _provider(auditor, {"sub": "eve", "email": "eve@firm.example"}) as provider:
        secrets = tmp_path / "secrets.toml"
        secrets.write_text(
            f'''[auth]
redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
cookie_secret = "a secret of this test alone"
client_id = "highwater"
client_secret = "of this test"
server_metadata_url = "{provider}/.well-known/openid-configuration"
'''
        )
        for address in _serve(folder / "home", folder / "book", port, "--secrets.files", str(secrets)):
            for name, seen in (("aude", "aude@firm.example · auditor"), ("eve", "gave you no role here")):
                with chromium.new_context(viewport={"width": 1280, "height": 800}) as screen:
                    page = screen.new_page()
                    page.set_default_timeout(WAIT_MS)
                    page.goto(address)
                    page.get_by_role("button", name="Sign in with your firm").click()
                    page.get_by_role("button", name=name).click()
                    expect(page.get_by_text(seen)).to_be_visible(timeout=WAIT_MS)
    house = Warehouse.open(folder / "home")
    with house.database.connect() as connection:
        assert [one["actor"] for one in audit.recent(connection, 9, action="signed in")] == ["aude@firm.example"]
    house.database.dispose()
