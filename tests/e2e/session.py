"""A WebSocket session for a test that waits for what it asks."""

import asyncio
import threading

from websockets.asyncio.client import connect

PATIENCE_SECONDS = 30


class Session:
    """A client whose socket belongs to one thread, which answers pings while the test sleeps.

    The library's `sync` client reads in one thread and writes in another. OpenSSL allows that for no
    connection, and one in some 500 handshakes with TLS was lost in the client.
    """

    def __init__(self, url, **options):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        try:
            self.connection = self.wait(self.opened(url, options))
        except BaseException:
            self.end()
            raise

    @staticmethod
    async def opened(url, options):
        return await connect(url, **options)

    def wait(self, coroutine, timeout=None):
        """What the coroutine gives, which runs in the session's own thread."""
        limited = asyncio.wait_for(coroutine, timeout)
        return asyncio.run_coroutine_threadsafe(limited, self.loop).result()

    def send(self, message):
        self.wait(self.connection.send(message))

    def recv(self):
        return self.wait(self.connection.recv(), PATIENCE_SECONDS)

    @property
    def close_code(self):
        return self.connection.close_code

    def end(self):
        self.loop.call_soon_threadsafe(self.loop.stop)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wait(self.connection.close())
        self.end()
