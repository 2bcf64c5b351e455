"""How fast deals of a stream reach the lake: a server sends execution events as JSON over a WebSocket.

Run from the root: ``python -m benchmarks.stream``. The server is a process of its own with its messages ready; what is
measured is the connection's own process, from the first event to the commit of the last deal.
"""

import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from websockets.sync.server import ServerConnection, serve

from benchmarks.measure import machine, table
from pipelines.connect import connectors
from pipelines.connect.kit.settings import Settings
from pipelines.connect.runner import Runner
from sql.warehouse import Warehouse
from tests.connect_world import home
from tests.fixtures.connect.ctrader_server import Account, CTraderServer, closing, deal

DEALS = 200_000
READY_KIND = 2126


def events(count: int) -> Iterator[str]:
    """Execution events of one account, every second of them a closing with its balance."""
    at, balance = int(time.time() * 1000), 10_000_00
    for number in range(1, count + 1):
        told = deal(number, at + number, side=1 + number % 2)
        if number % 2 == 0:
            balance += 150
            told |= {"closePositionDetail": closing(number // 2, balance, 220)}
        payload: dict[str, Any] = {
            "ctidTraderAccountId": 9001,
            "executionType": 3,
            "isServerEvent": False,
            "deal": told,
        }
        yield json.dumps({"payloadType": READY_KIND, "payload": payload})


def serve_events(pipe: Connection, count: int) -> None:
    """Serve the Open API; once the account's equity was asked for, send every event."""
    server, ready = CTraderServer([Account()]), list(events(count))

    def one(socket: ServerConnection) -> None:
        server.signed_in[socket] = set()
        server.sockets.append(socket)
        for raw in socket:
            message = json.loads(raw)
            if message["payloadType"] != 51:
                server._answer(socket, message)
            if message["payloadType"] == 2187 and ready:
                for text in ready:
                    socket.send(text)
                ready.clear()

    with serve(one, "127.0.0.1", 0) as listening:
        pipe.send(f"ws://127.0.0.1:{listening.socket.getsockname()[1]}")
        listening.serve_forever()


async def followed(warehouse: Warehouse, told: Settings, count: int) -> tuple[float, float]:
    """Follow the stream until every deal has landed; wall clock and processor time of this process from the first."""
    runner = Runner(warehouse, connectors()["ctrader-open-api"].open_connector(told), told, lambda _: None)
    task = asyncio.create_task(runner.run(once=False))
    while runner.tally.landed == 0:
        await asyncio.sleep(0.01)
        if task.done():
            task.result()
    began, used = time.perf_counter(), time.process_time()
    while runner.tally.landed < count:
        await asyncio.sleep(0.01)
        if task.done():
            task.result()
    spent = time.perf_counter() - began, time.process_time() - used
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return spent


def main() -> None:
    """Prints the table."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve_events, args=(there, DEALS), daemon=True)
    server.start()
    with tempfile.TemporaryDirectory() as folder:
        warehouse = home(Path(folder), "ctrader", {"501": "A1"})
        tokens = Path(folder) / "tokens.json"
        tokens.write_text(json.dumps({"accessToken": "access-1", "refreshToken": "refresh-1"}))
        os.environ.update(BENCH_CLIENT="client", BENCH_SECRET="s3cret")
        secrets = {"client_id": {"env": "BENCH_CLIENT"}, "client_secret": {"env": "BENCH_SECRET"}}
        values = {"live": False, "url": here.recv(), **secrets}
        told = Settings("bench", {**values, "tokens": str(tokens)}, home=warehouse.home)
        wall, processor = asyncio.run(followed(warehouse, told, DEALS))
    server.terminate()
    header = ["deals", "seconds", "deals/s", "of processor", "deals per second of processor"]
    row = [f"{DEALS:,}", f"{wall:.1f}", f"{DEALS / wall:,.0f}", f"{processor:.1f}", f"{DEALS / processor:,.0f}"]
    print(f"{table(header, [row])}\n\n{machine('websockets', 'deltalake')}. Repeat: `python -m benchmarks.stream`.")


if __name__ == "__main__":
    main()
