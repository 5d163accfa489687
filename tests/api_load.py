"""An open-loop load on one server: requests leave at their appointed time, answered or not.

A closed loop would wait for slow answers and so measure fewer of them ("coordinated omission",
Gil Tene, "How NOT to Measure Latency"); here the time counts from the appointed instant.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import numpy as np

CONNECTIONS = 64


@dataclass
class Load:
    """What was sent and how long each answer took, in seconds; failures are counted apart."""

    rate: float
    seconds: list[float] = field(default_factory=list)
    failures: int = 0

    def percentiles(self) -> dict[str, float]:
        """Milliseconds at the usual percentiles, and the worst."""
        values = np.percentile(np.array(self.seconds) * 1000, [50, 95, 99, 100])
        return dict(zip(("p50_ms", "p95_ms", "p99_ms", "max_ms"), values.round(3).tolist()))


async def run_load(port: int, request: bytes, rate: float, count: int) -> Load:
    """Send `count` requests at `rate` a second over at most CONNECTIONS kept-alive connections."""
    load = Load(rate)
    idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    for connection in opened:
        idle.put_nowait(connection)
    begin = time.perf_counter() + 0.05

    async def one(appointed: float) -> None:
        reader, writer = connection = await idle.get()
        try:
            writer.write(request)
            status = await read_answer(reader)
        except (OSError, asyncio.IncompleteReadError):
            status = 0
        idle.put_nowait(connection)
        if status == 200:
            load.seconds.append(time.perf_counter() - appointed)
        else:
            load.failures += 1

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            appointed = begin + number / rate
            await asyncio.sleep(max(0.0, appointed - time.perf_counter()))
            group.create_task(one(appointed))
    for _, writer in opened:
        writer.close()
        await writer.wait_closed()
    return load


async def read_answer(reader: asyncio.StreamReader) -> int:
    """Read one answer with a declared length; its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))
    return int(head[9:12])
