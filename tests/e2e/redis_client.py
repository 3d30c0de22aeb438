"""Python's websockets, through the daemon at argv[2], to a Redis server.

argv[1] names the daemon's framing: `newline` takes one message for each line, the others carry the
bytes of pipelined commands in messages that end anywhere.
"""

import random
import sys

from websockets.sync.client import connect

COMMANDS = 1_000
LARGE = 1 << 20
FRAGMENT = 50_000
LONG = 1_000_000
PATIENCE_SECONDS = 30
failed = False


def check(what, holds, detail=""):
    """Prints one line; a failure is remembered, and the test goes on."""
    global failed
    print(f"ok - {what}" if holds else f"not ok - {what} {detail}", flush=True)
    failed |= not holds


def check_equal(what, got, expected):
    check(what, got == expected, f"(got {len(got)}: {got[:80]!r}; expected {len(expected)})")


def command(*words):
    """A command as Redis reads it: an array of bulk strings."""
    return b"*%d\r\n" % len(words) + b"".join(map(bulk, words))


def bulk(word):
    return b"$%d\r\n%b\r\n" % (len(word), word)


def as_bytes(message):
    return message.encode() if isinstance(message, str) else message


def receive(socket, length):
    """What arrives until `length` bytes have, whatever the messages it comes in."""
    received = bytearray()
    while len(received) < length:
        received += as_bytes(socket.recv(timeout=PATIENCE_SECONDS))
    return bytes(received)


def converse(socket, what, request, reply):
    socket.send(request)
    check_equal(what, receive(socket, len(reply)), reply)


def fragments(request):
    """The request as one message of several frames."""
    return [request[at : at + FRAGMENT] for at in range(0, len(request), FRAGMENT)]


def pipeline(socket, framing):
    # Text for `auto`, with characters of two to four bytes that reads may cut; any bytes besides.
    words = {b"key:%d" % n: f"wért {n} 值 🦀 ".encode() * (n % 40) for n in range(COMMANDS)}
    large = random.Random(6455).randbytes(LARGE)
    converse(socket, f"{framing}: {COMMANDS} SET in one message",
             b"".join(command(b"SET", *pair) for pair in words.items()), b"+OK\r\n" * COMMANDS)
    converse(socket, f"{framing}: {COMMANDS} GET in one message",
             b"".join(command(b"GET", key) for key in words), b"".join(map(bulk, words.values())))
    converse(socket, f"{framing}: SET of 1 MiB in fragments",
             fragments(command(b"SET", b"large", large)), b"+OK\r\n")
    converse(socket, f"{framing}: GET of 1 MiB", command(b"GET", b"large"), bulk(large))


def lines(socket, framing):
    requests = b"PING\r\nSET counter 41\r\nINCR counter\r\nECHO\r\nPING"
    expected = ["+PONG\r\n", "+OK\r\n", ":42\r\n",
                "-ERR wrong number of arguments for 'echo' command\r\n", "+PONG\r\n"]
    # The last line ends in another message: the peer's stream knows no messages.
    for request in requests, b"\r\n":
        socket.send(request)
    replies = [socket.recv(timeout=PATIENCE_SECONDS) for _ in expected]
    check_equal(f"{framing}: each reply is one text message", replies, expected)
    # Longer than what a bridge may hold of a message whose end it has not seen.
    value = "długie " * (LONG // len("długie "))
    # Inline commands end at 64 KiB; the line end behind the value is the bridge's to add.
    socket.send(command(b"SET", b"long", value.encode()).removesuffix(b"\r\n"))
    socket.send("GET long")
    replies = [socket.recv(timeout=PATIENCE_SECONDS) for _ in range(3)]
    expected = ["+OK\r\n", f"${len(value.encode())}\r\n", f"{value}\r\n"]
    check_equal(f"{framing}: a line of {len(value.encode())} bytes is one text message",
                replies, expected)


def main():
    framing, url = sys.argv[1:]
    with connect(url, max_size=None, compression=None) as socket:
        (lines if framing == "newline" else pipeline)(socket, framing)
    check_equal(f"{framing}: the session closes with 1000", [socket.close_code], [1000])
    sys.exit(failed)


main()
