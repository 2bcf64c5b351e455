"""Reference gateway in front of an MT5 server, for Windows. NOT TESTED, and not testable without MetaQuotes' package.

It needs `mt5manager` (MetaQuotes, Windows x64 only), a manager's sign-in on the firm's MT5 server, and FastAPI. It
speaks what `pipelines/connect/mt5_gateway.py` asks: the Web API's paths and field names with a bearer token. It only
reads. Names of methods and fields are those of version 5.0.6231; arguments and results were never seen to work.

    set MT5_SERVER=host:443 & set MT5_LOGIN=1000 & set MT5_PASSWORD=... & set GATEWAY_TOKEN=...
    python -m uvicorn mt5_gateway_reference:app --host 127.0.0.1 --port 8700

Keep it on a private network, behind TLS.
"""

from __future__ import annotations

import datetime as dt
import hmac
import os
from functools import cache
from typing import Annotated, Any

import MT5Manager  # type: ignore[import-not-found]  # installed by the package mt5manager
from fastapi import Depends, FastAPI, Header, HTTPException, Query

TIMEOUT_MS = 30_000
DEAL_FIELDS = (
    *("Deal", "Login", "Order", "Action", "Entry", "Reason", "Time", "TimeMsc", "Symbol", "Price", "Volume"),
    *("VolumeExt", "Profit", "Storage", "Commission", "Fee", "ExpertID", "PositionID", "Comment", "PriceSL", "PriceTP"),
)
ACCOUNT_FIELDS = ("Login", "Balance", "Credit", "Equity", "Margin", "MarginFree")


def signed_in(authorization: Annotated[str, Header()] = "") -> None:
    """Refuse a request without the gateway's token."""
    if not hmac.compare_digest(authorization, f"Bearer {os.environ['GATEWAY_TOKEN']}"):
        raise HTTPException(401)


app = FastAPI(dependencies=[Depends(signed_in)])


@cache
def manager() -> Any:
    """The one connection to the server."""
    connection = MT5Manager.ManagerAPI()
    login, password = int(os.environ["MT5_LOGIN"]), os.environ["MT5_PASSWORD"]
    pump = MT5Manager.ManagerAPI.EnPumpModes.PUMP_MODE_USERS
    if not connection.Connect(os.environ["MT5_SERVER"], login, password, pump, TIMEOUT_MS):
        raise HTTPException(503, str(MT5Manager.LastError()))
    return connection


def answered(body: Any) -> dict[str, Any]:
    """An answer in the Web API's envelope; nothing from the server is its last error."""
    if body is None:
        return {"retcode": f"10 {MT5Manager.LastError()}"}
    return {"retcode": "0 Done", "answer": body}


def fields(record: Any, names: tuple[str, ...]) -> dict[str, str]:
    """A record of the package as texts by field name."""
    return {name: str(getattr(record, name)) for name in names if hasattr(record, name)}


def clock(seconds: int) -> dt.datetime:
    """The package takes times as the server's clock."""
    return dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)


def deals_of(login: int, begin: int, end: int) -> list[dict[str, str]] | None:
    """An account's deals within seconds of the server's clock, oldest first."""
    found = manager().DealRequest(login, clock(begin), clock(end))
    if found is None or found is False:
        return None
    return sorted((fields(deal, DEAL_FIELDS) for deal in found), key=lambda deal: int(deal["Deal"]))


@app.get("/api/time/get")
def time_get() -> dict[str, Any]:
    """The server's zone."""
    told = manager().TimeGet()
    return answered({"TimeZone": str(told.TimeZone), "DaylightState": str(int(bool(told.DaylightState)))})


@app.get("/api/user/logins")
def user_logins(group: str = "*") -> dict[str, Any]:
    """Logins of a group mask."""
    users = manager().UserRequestByGroup(group)
    return answered(None if users is None or users is False else [str(user.Login) for user in users])


@app.get("/api/user/account/get")
def account_get(login: int) -> dict[str, Any]:
    """Balance and equity of an account."""
    account = manager().UserAccountRequest(login)
    return answered(None if account is None or account is False else fields(account, ACCOUNT_FIELDS))


# `from` is a word of the language, so the parameter has another name here.
Begin = Annotated[int, Query(alias="from")]


@app.get("/api/deal/get_total")
def deal_get_total(login: int, begin: Begin, to: int) -> dict[str, Any]:
    """How many deals a stretch of time holds."""
    deals = deals_of(login, begin, to)
    return answered(None if deals is None else {"total": str(len(deals))})


@app.get("/api/deal/get_page")
def deal_get_page(login: int, begin: Begin, to: int, offset: int, total: int) -> dict[str, Any]:
    """A page of an account's deals."""
    deals = deals_of(login, begin, to)
    return answered(None if deals is None else deals[offset : offset + total])


@app.get("/api/deal/get_batch")
def deal_get_batch(login: str, begin: Begin, to: int) -> dict[str, Any]:
    """The deals of several accounts."""
    found: list[dict[str, str]] = []
    for one in login.split(","):
        found += deals_of(int(one), begin, to) or []
    return answered(found)
