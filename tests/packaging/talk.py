"""Runs the daemon of a root file system as its service manager would, and talks through it.

talk.py ROOT [FILE]   with this configuration file, or the flags that an image is run with
"""

import base64
import os
import socket
import subprocess
import sys
import tempfile
import threading

PATIENCE = 20  # seconds


def echo(listener):
    """A peer that gives back what it gets."""
    client, _ = listener.accept()
    with client:
        while data := client.recv(4096):
            client.sendall(data)


def masked(payload):
    """One binary frame of a client (RFC 6455 section 5.2), with a mask of zeros."""
    return bytes([0x82, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def exactly(stream, length):
    data = b""
    while len(data) < length:
        piece = stream.recv(length - len(data))
        assert piece, f"it ends after {data!r}"
        data += piece
    return data


def converse(port):
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        key = base64.b64encode(os.urandom(16)).decode()
        client.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                       f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       f"Sec-WebSocket-Key: {key}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += exactly(client, 1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        client.sendall(masked(b"hello"))
        assert exactly(client, 7) == b"\x82\x05hello"


def main():
    root, *file = sys.argv[1:]
    peer = socket.create_server(("127.0.0.1", 5900 if file else 0))
    threading.Thread(target=echo, args=[peer], daemon=True).start()
    with tempfile.TemporaryDirectory() as directory:
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.settimeout(PATIENCE)
        manager.bind(f"\0websocksy-packaging-{os.getpid()}")
        flags = ["-f", *file] if file else [
            "-p", "8001", "-c", f"host=tcp://127.0.0.1:{peer.getsockname()[1]}",
            "-c", "framing=binary"]
        daemon = subprocess.Popen(
            ["/usr/sbin/chroot", "--userspec=65534:65534", root, "/usr/bin/websocksy", *flags],
            env={"NOTIFY_SOCKET": f"@websocksy-packaging-{os.getpid()}", "PATH": "/usr/bin"},
            cwd=directory)
        try:
            assert manager.recv(64) == b"READY=1"
            converse(8001)
            daemon.terminate()
            assert manager.recv(64) == b"STOPPING=1"
            assert daemon.wait(PATIENCE) == 0
        finally:
            daemon.kill()


main()
