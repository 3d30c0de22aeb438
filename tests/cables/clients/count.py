"""Python's websockets as it comes: with a ping each 20 seconds that must be answered in 20."""

import asyncio
import hashlib
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def main(url):
    digest, count = hashlib.sha256(), 0
    async with connect(url) as socket:
        try:
            while True:
                message = await socket.recv()
                digest.update(message)
                count += len(message)
        except ConnectionClosed as error:
            print(error, file=sys.stderr)
        print(json.dumps({"count": count, "digest": digest.hexdigest(), "code": socket.close_code}))


asyncio.run(main(sys.argv[1]))
