#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rows of `make bench-runtime` in asyncio, or in uvloop with --uvloop as the last argument."""

import asyncio
import random
import sys
import threading
import time

CALLBACKS, TIMERS = 1000, 100 * 1000  # a tenth of the others' timers: objects of a million take minutes


class Measure:
    def __init__(self):
        self.cpu, self.wall = time.process_time_ns(), time.monotonic_ns()

    def end(self, operations):
        print(operations, time.process_time_ns() - self.cpu, time.monotonic_ns() - self.wall, flush=True)


async def callbacks(wanted):
    loop, finished, done = asyncio.get_running_loop(), asyncio.Event(), 0

    def count():
        nonlocal done
        done += 1
        if done < wanted:
            loop.call_soon(count)
        else:
            finished.set()

    measure = Measure()
    for _ in range(CALLBACKS):
        loop.call_soon(count)
    await finished.wait()
    measure.end(done)


async def timers(wanted):
    loop, draw = asyncio.get_running_loop(), random.Random(1)
    handles = [loop.call_later(draw.uniform(100, 3600), abs, 0) for _ in range(TIMERS)]
    measure = Measure()
    for _ in range(wanted):
        which = draw.randrange(TIMERS)
        handles[which].cancel()
        handles[which] = loop.call_later(draw.uniform(100, 3600), abs, 0)
    measure.end(wanted)


async def posts(wanted, threads):
    loop, finished, done = asyncio.get_running_loop(), asyncio.Event(), 0
    wanted = wanted // threads * threads

    def count():
        nonlocal done
        done += 1
        if done == wanted:
            finished.set()

    def post():
        for _ in range(wanted // threads):
            loop.call_soon_threadsafe(count)

    measure = Measure()
    workers = [threading.Thread(target=post) for _ in range(threads)]
    for worker in workers:
        worker.start()
    await finished.wait()
    measure.end(done)


async def spawn(wanted):
    async def nothing():
        pass

    measure = Measure()
    for _ in range(wanted):
        await asyncio.create_task(nothing())
    measure.end(wanted)


async def yields(wanted):
    async def turn():
        for _ in range(wanted // 100):
            await asyncio.sleep(0)

    measure = Measure()
    await asyncio.gather(*(turn() for _ in range(100)))
    measure.end(wanted)


async def queue(wanted):
    items = asyncio.Queue(64)

    async def put():
        for i in range(wanted):
            await items.put(i)

    measure = Measure()
    producer = asyncio.create_task(put())
    for _ in range(wanted):
        await items.get()
    await producer
    measure.end(wanted)


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def echo(port):
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
    await server.serve_forever()


ROWS = {"callbacks": callbacks, "timers": timers, "posts1": lambda n: posts(n, 1), "posts4": lambda n: posts(n, 4),
        "spawn": spawn, "yield": yields, "queue": queue, "echo": echo}

if __name__ == "__main__":
    if "--uvloop" in sys.argv:
        import uvloop
        uvloop.install()
    asyncio.run(ROWS[sys.argv[1]](int(sys.argv[2])))
