"""A small VNC client (RFC 6143) over WebSocket: as much as shows that both ways work."""

import struct

from session import Session
from websockets.exceptions import InvalidStatus

RAW = 0


class Viewer:
    """A session with a VNC server that asks for no password."""

    def __init__(self, url, **options):
        options = {"compression": None, "max_size": None, "ping_interval": None} | options
        self.socket = Session(url, **options)
        self.waiting = b""
        assert self.take(12) == b"RFB 003.008\n"
        self.socket.send(b"RFB 003.008\n")
        types = self.take(self.take(1)[0])
        assert 1 in types, types
        self.socket.send(b"\1")
        assert self.take(4) == bytes(4)
        self.socket.send(b"\1")
        self.width, self.height = struct.unpack(">HH", self.take(4))
        self.take(16)
        self.name = self.take(struct.unpack(">I", self.take(4))[0]).decode()
        self.socket.send(struct.pack(">BxHi", 2, 1, RAW))

    def take(self, count):
        while len(self.waiting) < count:
            message = self.socket.recv()
            assert isinstance(message, bytes), message
            self.waiting += message
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken

    def screen(self):
        """All pixels, uncompressed: 4 bytes each."""
        self.socket.send(struct.pack(">BBHHHH", 3, 0, 0, 0, self.width, self.height))
        pixels = 0
        while pixels < self.width * self.height:
            kind = self.take(1)[0]
            if kind == 0:
                for _ in range(struct.unpack(">xH", self.take(3))[0]):
                    _, _, width, height, encoding = struct.unpack(">HHHHi", self.take(12))
                    assert encoding == RAW, encoding
                    self.take(width * height * 4)
                    pixels += width * height
            else:
                assert kind == 2, kind  # a bell
        return pixels

    def paste(self, text):
        """Text of any length into the server's clipboard."""
        self.socket.send(struct.pack(">BxxxI", 6, len(text)) + text)


def desktop_name(url, **options):
    """The name of the desktop at `url`, or the status of the refusal."""
    try:
        viewer = Viewer(url, **options)
    except InvalidStatus as refusal:
        return refusal.response.status_code
    with viewer.socket:
        return viewer.name
