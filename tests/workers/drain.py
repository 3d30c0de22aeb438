#!/usr/bin/env python3
"""A bridge with many sessions ends by SIGTERM and --drain-spread: each is told by a close frame with 1001,
and comes back to another bridge, at no more than PEAK times the even rate in any tenth of the time.

    drain.py BINARY [SESSIONS SECONDS]
"""

import asyncio
import collections
import multiprocessing
import resource
import signal
import socket
import subprocess
import sys
import time

PEAK = 1.2
PATIENCE = 30
HEAD = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CLOSE, PING, PONG = 0x88, 0x89, 0x8A


def listening():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    return listener


def echo(listener):
    """The peer of all sessions, in a process of its own for its descriptors."""

    async def serve(reader, writer):
        try:
            while data := await reader.read(4096):
                writer.write(data)
        except OSError:
            pass
        writer.close()

    async def run():
        server = await asyncio.start_server(serve, sock=listener, backlog=4096)
        await server.serve_forever()

    asyncio.run(run())


class Crowd:
    def __init__(self):
        self.entered = 0
        self.ends = collections.Counter()
        self.back = []
        self.faults = collections.Counter()
        self.gate = asyncio.Semaphore(100)

    async def enter(self, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        writer.write(b"\x82\x82\0\0\0\0hi")
        assert await reader.readexactly(4) == b"\x82\x02hi"
        return reader, writer

    async def session(self, first, second):
        try:
            async with self.gate:
                reader, writer = await self.enter(first)
            self.entered += 1
            while True:
                kind, length = await reader.readexactly(2)
                payload = await reader.readexactly(length)
                if kind != PING:
                    break
                writer.write(bytes([PONG, 0x80 | length]) + bytes(4) + payload)
            assert kind == CLOSE, hex(kind)
            self.ends[int.from_bytes(payload[:2], "big")] += 1
            writer.write(b"\x88\x82\0\0\0\0" + payload[:2])
            writer.close()
            _, kept = await self.enter(second)
            self.back.append(time.monotonic())
            return kept
        except (AssertionError, EOFError, OSError) as fault:
            self.faults[repr(fault)[:80]] += 1


async def judge(ports, ends_first, sessions, seconds):
    crowd = Crowd()
    tasks = [asyncio.create_task(crowd.session(*ports)) for _ in range(sessions)]
    while crowd.entered < sessions and not crowd.faults:
        await asyncio.sleep(0.1)
    assert not crowd.faults, crowd.faults
    ends_first.send_signal(signal.SIGTERM)
    kept = await asyncio.wait_for(asyncio.gather(*tasks), seconds + PATIENCE)
    assert not crowd.faults, crowd.faults
    assert crowd.ends == {1001: sessions}, crowd.ends
    begin = min(crowd.back)
    tenths = collections.Counter(int((at - begin) / seconds * 10) for at in crowd.back)
    peak = max(tenths.values()) / (sessions / 10)
    print(f"{sessions} sessions of a bridge that ends: all back, peak {peak:.2f} x the even rate")
    assert peak <= PEAK, tenths
    return kept


def main():
    binary = sys.argv[1]
    sessions, seconds = (int(text) for text in sys.argv[2:] or ("9000", "30"))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    peer = listening()
    multiprocessing.Process(target=echo, args=(peer,), daemon=True).start()
    host = f"host=tcp://127.0.0.1:{peer.getsockname()[1]}"
    ports, bridges = [], []
    for _ in range(2):
        with listening() as free:
            ports.append(free.getsockname()[1])
        flags = f"-l 127.0.0.1:{ports[-1]} --workers 2 --max-per-address 0 --drain-spread {seconds}"
        command = [binary, *flags.split(), "-c", host, "-c", "framing=binary"]
        bridges.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        while "listening on" not in bridges[-1].stderr.readline():
            assert bridges[-1].poll() is None
    # Their logs are nothing to anybody, and must not fill the pipes.
    quiet = subprocess.DEVNULL
    drains = [subprocess.Popen(["cat"], stdin=bridge.stderr, stdout=quiet) for bridge in bridges]
    try:
        asyncio.run(judge(ports, bridges[0], sessions, seconds))
        assert bridges[0].wait(PATIENCE) == 0
    finally:
        for process in bridges + drains:
            process.kill()


if __name__ == "__main__":
    main()
