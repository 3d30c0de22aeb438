"""A WebSocket client that does what a test tells it, and no more: RFC 6455 by hand."""

import base64
import hashlib
import os
import random
import select
import struct
import threading
import time

CLOSE, PING, PONG = 8, 9, 10
NORMAL = struct.pack(">H", 1000)


class Ledger:
    """How many bytes went by, and which."""

    def __init__(self):
        self.count, self.digest = 0, hashlib.sha256()

    def add(self, data):
        self.count += len(data)
        self.digest.update(data)

    def __eq__(self, other):
        return (self.count, self.digest.digest()) == (other.count, other.digest.digest())

    def __repr__(self):
        return f"{self.count} bytes"


class Received(Ledger):
    """What came: data, control frames, and the end."""

    def __init__(self):
        super().__init__()
        self.pings, self.pongs = [], []  # when
        self.code = None  # of the close frame
        self.end = None  # "FIN" or an error's name; none while the connection lives

    def read(self, near, deadline, size=65536):
        """What there is to read before the deadline. At the end nothing, and our end is closed."""
        if not select.select([near], [], [], max(0, deadline - time.monotonic()))[0]:
            return b""
        try:
            piece = near.recv(size)
            self.end = None if piece else "FIN"
        except OSError as error:
            piece, self.end = b"", type(error).__name__
        if self.end:
            near.close()
        return piece


class Client:
    """`rate`: reads so many bytes a second. `deaf`: answers neither ping nor close."""

    def __init__(self, near, path="/", rate=None, deaf=False):
        self.near, self.rate, self.deaf = near, rate, deaf
        self.received = Received()
        self.buffer = b""
        self.lock = threading.Lock()  # a frame is written whole
        self.upgrade(path)

    def upgrade(self, path):
        key = base64.b64encode(os.urandom(16)).decode()
        self.near.sendall((f"GET {path} HTTP/1.1\r\nHost: bridge\r\nUpgrade: websocket\r\n"
                           "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                           f"Sec-WebSocket-Key: {key}\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.buffer:
            self.fill(time.monotonic() + 10)
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head.decode()

    def send(self, payload, opcode=2):
        length = len(payload)
        header = bytes([0x80 | opcode])
        if length < 126:
            header += bytes([0x80 | length])
        elif length < 65536:
            header += struct.pack(">BH", 0x80 | 126, length)
        else:
            header += struct.pack(">BQ", 0x80 | 127, length)
        with self.lock:
            self.near.sendall(header + bytes(4) + payload)  # a mask of zeros

    def fill(self, deadline):
        """One read, if there is something to read in time."""
        piece = self.received.read(self.near, deadline, self.rate // 10 if self.rate else 65536)
        if self.rate:
            time.sleep(len(piece) / self.rate)
        self.buffer += piece

    def frame(self):
        """The next whole frame of the buffer, if there is one; opcode and payload."""
        if len(self.buffer) < 2:
            return None
        opcode, length = self.buffer[0] & 15, self.buffer[1]
        assert length < 128, "a server's frame is masked"
        size = {126: 4, 127: 10}.get(length, 2)
        if length > 125:
            length = int.from_bytes(self.buffer[2:size], "big")
        if len(self.buffer) < size + length:
            return None
        payload, self.buffer = self.buffer[size:size + length], self.buffer[size + length:]
        return opcode, payload

    def take(self, opcode, payload):
        received = self.received
        if opcode == CLOSE:
            received.code = int.from_bytes(payload[:2], "big") if payload else 1005
        elif opcode == PING:
            received.pings.append(time.monotonic())
        elif opcode == PONG:
            received.pongs.append(time.monotonic())
        else:
            received.add(payload)
        answer = {CLOSE: CLOSE, PING: PONG}.get(opcode)
        if answer and not self.deaf:
            self.send(payload, answer)

    def listen(self, seconds, until=lambda received: False):
        """Reads until the connection ends, `until` is true, or for `seconds`."""
        deadline = time.monotonic() + seconds
        while not until(self.received) and time.monotonic() < deadline:
            if frame := self.frame():
                self.take(*frame)
            elif self.received.end:
                break
            else:
                self.fill(deadline)
        return self.received


def drain(near, seconds):
    """What a peer reads until its connection ends, or for `seconds`."""
    received = Received()
    deadline = time.monotonic() + seconds
    while received.end is None and time.monotonic() < deadline:
        received.add(received.read(near, deadline))
    return received


def stream(send, total, pace=None):
    """Sends `total` bytes that tell any loss, at most `pace` a second."""
    sent, source, begin = Ledger(), random.Random(total), time.monotonic()
    while sent.count < total:
        piece = source.randbytes(min(pace // 10 if pace else 65536, total - sent.count))
        send(piece)
        sent.add(piece)
        if pace:
            time.sleep(max(0, begin + sent.count / pace - time.monotonic()))
    return sent


def every(seconds, action):
    """Repeats `action` until the connection is gone."""
    try:
        while True:
            action()
            time.sleep(seconds)
    except OSError:
        pass
