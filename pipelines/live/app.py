"""The HTTP face of the live service."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import FastAPI, Header, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse

from pipelines.live import accepting, metrics, postbacks
from pipelines.live.accepting import BodyRefused, DeskRefused
from pipelines.live.keys import Key
from pipelines.live.service import Busy, DiskFull, Service
from sql import schema
from sql.schema import DATASETS
from sql.warehouse import AWAY

LOG = logging.getLogger("highwater.live")
BODY_BYTES_MAX = 16 << 20
AWAY_SECONDS = 5
ARROW = "application/vnd.apache.arrow.stream"
DatasetName = StrEnum("DatasetName", {name: name for name in DATASETS})  # type: ignore[misc]
Authorization = Annotated[str | None, Header()]

_ANSWER = {
    "type": "object",
    "properties": {
        "accepted": {"type": "integer"},
        "duplicates": {"type": "integer"},
        "rejected": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "index": {"type": "integer"},
                    "column": {"type": ["string", "null"]},
                    "value": {"type": ["string", "null"]},
                    "reason": {"type": "string"},
                },
            },
        },
    },
}
_SENTENCE = {
    "content": {"application/json": {"schema": {"type": "object", "properties": {"detail": {"type": "string"}}}}}
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"description": words, **_SENTENCE}
    for code, words in {
        400: "The body cannot be read",
        401: "No key in force",
        403: "The key does not reach this desk or dataset",
        404: "There is no such account or dataset",
        413: "The body is too large",
        415: "The body's type is not taken",
        422: "A part of the address is missing or wrong",
        429: "Too much is waiting; see Retry-After",
        503: "The database is away; see Retry-After",
        507: "The disk takes no more; nothing of the body was taken; see Retry-After",
    }.items()
}
_RECORD = {"oneOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}]}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _RECORD},
            ARROW: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


def build(service: Service) -> FastAPI:
    """The application over a service, which it starts and stops."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.create_task(_start(service))
        yield
        await starting
        await run_in_threadpool(service.stop)

    app = FastAPI(title="Highwater live", version="1", lifespan=life)
    app.add_exception_handler(RequestValidationError, _unfit)
    for away in AWAY:
        app.add_exception_handler(away, _away)
    _add_accepting(app, service)
    _add_reading(app, service)
    _add_watching(app, service)
    return app


async def _start(service: Service) -> None:
    """Starts the service beside the server, which says meanwhile that it is not ready; what fails ends the process."""
    try:
        await run_in_threadpool(service.start)
    except Exception:
        LOG.exception("the service cannot start")
        service.failed = True
        signal.raise_signal(signal.SIGTERM)


async def _unfit(_: Request, error: Exception) -> Response:
    """One sentence for an address that does not fit."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    missing_dataset = first["loc"][:2] == ("path", "dataset")
    said = f"there is no such dataset; the datasets are {', '.join(DATASETS)}" if missing_dataset else first["msg"]
    return JSONResponse({"detail": f"{place}: {said}"}, 404 if missing_dataset else 422)


async def _away(_: Request, error: Exception) -> Response:
    """One sentence while the database does not answer."""
    LOG.warning("a request was sent away, the database is away: %s", str(error).splitlines()[0])
    told = f"the database is away; try again in {AWAY_SECONDS} s"
    return JSONResponse({"detail": told}, 503, {"Retry-After": str(AWAY_SECONDS)})


def _add_accepting(app: FastAPI, service: Service) -> None:
    responses = {202: {"content": {"application/json": {"schema": _ANSWER}}}, **_REFUSALS}

    @app.get("/v1/postback", responses=_REFUSALS, status_code=202)
    async def postback(
        request: Request, key: str, event_id: str, partner_id: str, occurred_at: str, sent_at: int, signature: str
    ) -> dict[str, Any]:
        """A partner's postback: a click, signed with the key's secret, idempotent by its event id."""
        try:
            told = request.query_params.multi_items()
            holder = await run_in_threadpool(postbacks.signer, service.keys, told, sent_at)
        except postbacks.PostbackRefused as refusal:
            raise HTTPException(401, str(refusal)) from refusal
        _check_reach(holder, "clicks")
        return await _submit(service, "clicks", holder, postbacks.as_click(dict(request.query_params)), "")

    @app.post("/v1/{dataset}", status_code=202, responses=responses, openapi_extra=_BODY)
    async def push(dataset: DatasetName, request: Request, authorization: Authorization = None) -> dict[str, Any]:
        """One record or a list as JSON, or an Arrow IPC stream; answered once what was accepted is durable."""
        key = await run_in_threadpool(_key, service, authorization)
        _check_reach(key, dataset.value)
        body = await _body(request)
        return await _submit(service, dataset.value, key, body, request.headers.get("content-type", ""))


async def _submit(service: Service, dataset: str, key: Key, body: bytes, kind: str) -> dict[str, Any]:
    try:
        request = await run_in_threadpool(_request, dataset, key, body, kind)
        if wait := service.keys.spend(key, request.rows, time.monotonic()):
            raise Busy(wait, f"this key may send {key.rows_per_second:,} rows a second")
        service.submit(request)
        answer = await asyncio.wrap_future(request.answer)
    except BodyRefused as refusal:
        raise HTTPException(400, str(refusal)) from refusal
    except DeskRefused as refusal:
        raise HTTPException(403, str(refusal)) from refusal
    except Busy as busy:
        service.counts.requests["busy"] += 1
        code = 507 if isinstance(busy, DiskFull) else 429
        raise HTTPException(code, str(busy), {"Retry-After": str(busy.seconds)}) from busy
    service.counts.requests["accepted"] += 1
    return answer


def _request(dataset: str, key: Key, body: bytes, kind: str) -> accepting.Request:
    wanted = DATASETS[dataset]
    if kind.startswith(ARROW):
        return accepting.Request(wanted, *accepting.read_arrow(wanted, body), key)
    if kind and not kind.startswith(("application/json", "text/json")):
        raise HTTPException(415, f"the body is {kind[:100]!r}; send application/json or {ARROW}")
    return accepting.Request(wanted, *accepting.read_json(wanted, body), key)


async def _body(request: Request) -> bytes:
    """The body, read no further than its limit."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise HTTPException(413, f"the body is larger than {BODY_BYTES_MAX:,} bytes; send it in parts")
        parts.append(part)
    return b"".join(parts)


def _key(service: Service, authorization: str | None) -> Key:
    kind, _, token = (authorization or "").partition(" ")
    key = service.keys.holder(token.strip()) if kind.lower() == "bearer" else None
    if key is None:
        service.counts.requests["unauthorized"] += 1
        raise HTTPException(401, "send a key in force as 'Authorization: Bearer KEY'", {"WWW-Authenticate": "Bearer"})
    return key


def _check_reach(key: Key, dataset: str) -> None:
    if key.datasets and dataset not in key.datasets:
        raise HTTPException(403, f"this key does not reach {dataset}; it reaches {', '.join(sorted(key.datasets))}")
    owned = {"desk_id", "account_id", "trader_id"} & set(DATASETS[dataset].names)
    if key.desks and not key.datasets and not owned:
        raise HTTPException(403, f"{dataset} belong to the whole firm; this key is bound to desks")


def _add_reading(app: FastAPI, service: Service) -> None:
    @app.get("/v1/accounts/{account_id}", responses=_REFUSALS)
    async def account(account_id: str, authorization: Authorization = None) -> Response:
        """An account's status and its verdicts, as of the last folded event."""
        key = await run_in_threadpool(_key, service, authorization)
        found = await run_in_threadpool(_account, service, account_id)
        if found is None or (key.desks and found["desk_id"] not in key.desks):
            raise HTTPException(404, "no account of that id is judged within this key's reach")
        return Response(json.dumps(found, default=_plain, ensure_ascii=False), media_type="application/json")


def _account(service: Service, account_id: str) -> dict[str, Any] | None:
    status, verdicts = schema.ACCOUNT_STATUS, schema.VERDICTS
    if "\0" in account_id or not accepting.encodable(account_id):
        return None
    with service.warehouse.database.connect() as database:
        row = database.execute(sa.select(status).where(status.c.account_id == account_id)).mappings().first()
        if row is None:
            return None
        query = sa.select(verdicts).where(verdicts.c.account_id == account_id).order_by(verdicts.c.happened_at)
        said = [dict(verdict) for verdict in database.execute(query).mappings()]
    for verdict in said:
        verdict["evidence"] = json.loads(verdict["evidence"])
    return dict(row) | {"verdicts": said}


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else float(value)


def _add_watching(app: FastAPI, service: Service) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the process lives."""
        return {"status": "alive"}

    @app.get("/ready", responses={503: {"description": "Starting, stopping, or the database is away"}})
    async def ready() -> Response:
        """Whether events are taken and verdicts can be written."""
        reachable = service.ready and await run_in_threadpool(_reachable, service)
        return JSONResponse({"ready": reachable}, 200 if reachable else 503)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def figures() -> Response:
        """Prometheus metrics."""
        return PlainTextResponse(metrics.exposition(service), media_type="text/plain; version=0.0.4")


def _reachable(service: Service) -> bool:
    try:
        with service.warehouse.database.connect() as database:
            database.execute(sa.select(1))
    except sa.exc.SQLAlchemyError:
        return False
    return True
