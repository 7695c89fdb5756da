"""A long way to a server: everything that goes through arrives half a round trip later.

``python -m benchmarks.delay_proxy SOCKET MILLISECONDS`` listens on a free port of the loopback
interface, prints it, and passes connections on to the Unix socket until its standard input ends.
Opening a connection costs a round trip too. Bandwidth is not limited.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

Chunk = tuple[float, bytes]


@contextmanager
def delayed(socket: Path, round_trip_ms: float) -> Iterator[int]:
    """Put a way of so many milliseconds in front of a socket; yields the port of its other end."""
    command = [sys.executable, "-m", "benchmarks.delay_proxy", str(socket), str(round_trip_ms)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(10)


async def serve(socket: str, round_trip_seconds: float) -> None:
    """Pass connections on until standard input ends."""
    way = round_trip_seconds / 2

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(round_trip_seconds)  # SYN and its answer
        there, back = await asyncio.open_unix_connection(socket)
        await asyncio.gather(_pass(reader, back, way), _pass(there, writer, way))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=1000)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, sys.stdin.read)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: float) -> None:
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[Chunk] = asyncio.Queue()

    async def arrive() -> None:
        while True:
            due, chunk = await under_way.get()
            await asyncio.sleep(max(due - loop.time(), 0))
            if not chunk:
                return
            writer.write(chunk)
            await writer.drain()

    arriving = asyncio.create_task(arrive())
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(256 * 1024):
            under_way.put_nowait((loop.time() + way, chunk))
    under_way.put_nowait((loop.time() + way, b""))
    with contextlib.suppress(ConnectionError):
        await arriving
    writer.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2]) / 1000))
