"""Runs the services of a compose file side by side, without an engine, and comes as a client of the page.

compose.py FILE COMMAND [TARGET ROOT]...   FILE as `docker-compose config` writes it, the command of an image
that has its own, as JSON, and where each target's files are
"""

import base64
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

import yaml

PATIENCE = 30  # seconds


def start(root, command, read_only):
    """As the image says it is run: as nobody, and here below a root that may be read only."""
    mount = "mount --bind -o ro" if read_only else "mount --bind"
    script = (f'{mount} "$1" "$1"; mount -t proc proc "$1/proc" 2>/dev/null || true; '
              'mount --bind /dev "$1/dev" 2>/dev/null || true; '
              'exec chroot --userspec=65534:65534 "$@"')
    return subprocess.Popen(["unshare", "--mount", "sh", "-ec", script, "sh", root, *command])


def until(what, attempt):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return attempt()
        except OSError as error:
            assert time.monotonic() < end, f"{what}: {error}"
            time.sleep(0.05)


def exactly(stream, length):
    data = b""
    while len(data) < length:
        piece = stream.recv(length - len(data))
        assert piece, f"it ends after {data!r}"
        data += piece
    return data


def first_message(address, path):
    """What the server says first through a WebSocket."""
    with socket.create_connection(address, PATIENCE) as client:
        key = base64.b64encode(os.urandom(16)).decode()
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                       f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       f"Sec-WebSocket-Key: {key}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += exactly(client, 1)
        if not head.startswith(b"HTTP/1.1 101 "):
            raise OSError(head)
        kind, length = exactly(client, 2)
        assert kind == 0x82 and length < 126
        return exactly(client, length)


def main():
    file, own, *rest = sys.argv[1:]
    own = json.loads(own)
    roots = dict(zip(rest[::2], rest[1::2]))
    services = yaml.safe_load(pathlib.Path(file).read_text())["services"]
    open_ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(open_ports) == 1 and "127.0.0.1" in str(open_ports[0]), open_ports
    running = []
    for name, service in services.items():
        root = roots[service["build"]["target"]]
        hosts = pathlib.Path(root, "etc/hosts")  # an engine writes it
        hosts.parent.mkdir(exist_ok=True)
        hosts.write_text("127.0.0.1 localhost\n" + "".join(f"127.0.0.1 {other}\n" for other in services))
        command = ["/usr/bin/websocksy", *service["command"]] if "command" in service else own
        running.append(start(root, command, service.get("read_only", False)))
    page = "http://127.0.0.1:6080"
    got = until("the page", lambda: urllib.request.urlopen(page, timeout=PATIENCE))
    assert got.url == f"{page}/vnc.html" and b"noVNC" in got.read(), got.url
    for script in ["app/ui.js", "core/rfb.js", "vendor/pako/lib/zlib/inflate.js"]:
        assert urllib.request.urlopen(f"{page}/{script}").status == 200
    said = until("the desktop", lambda: first_message(("127.0.0.1", 6080), "/websockify"))
    assert said == b"RFB 003.008\n", said
    bridge = running[list(services).index("bridge")]
    bridge.terminate()
    assert bridge.wait(PATIENCE) == 0


main()
