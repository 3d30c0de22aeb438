"""Compression with the clients of others: their zlib, their reading of RFC 7692, and real text."""

import asyncio
import http.server
import json
import os
import queue
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path

from harness import HERE, OUT, ROOT, Failed, recipe
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Offer

# What a client may ask for: windows of either side, and that nothing is carried over.
OFFERS = {
    "by default": Offer(client_max_window_bits=True),
    "without windows": Offer(),
    "with small windows": Offer(server_max_window_bits=9, client_max_window_bits=9),
    "without context": Offer(server_no_context_takeover=True, client_no_context_takeover=True),
}


def serve_echo():
    """A TCP server that sends back what it gets; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def echo(connection):
        with connection:
            while data := connection.recv(1 << 18):
                connection.sendall(data)

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=echo, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def certificate():
    """One of its own making, with its key."""
    pair = OUT / "deflate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext",
         "basicConstraints=critical,CA:FALSE", "-days", "2", "-keyout", pair, "-out", f"{pair}.crt"],
        check=True, capture_output=True)
    pair.write_bytes(pair.read_bytes() + (OUT / "deflate.pem.crt").read_bytes())
    pair.chmod(0o600)
    return pair


async def talk(url, offer, texts):
    """Sends each text, some in two fragments, and reads it back; what was agreed on, and what differs."""
    trust = ssl._create_unverified_context() if url.startswith("wss") else None
    wrong = []
    async with connect(url, compression=None, extensions=[offer], ssl=trust, max_size=None) as session:
        agreed = session.protocol.extensions
        for at, text in enumerate(texts):
            await session.send([text[:7], text[7:]] if at % 3 == 0 else text)
            if await asyncio.wait_for(session.recv(), 30) != text:
                wrong.append(at)
    return agreed, wrong


@recipe("deflate", because="a client's library decides what is compressed, and how")
def deflate(run):
    pair = certificate()
    daemon = run.start(
        "daemon", "websocksy", "-l", "127.0.0.1:8001", "-l", "127.0.0.1:8443 tls", "--tls-cert", pair,
        "--deflate", "1", "-c", f"host=tcp://127.0.0.1:{serve_echo()}", "-c", "framing=rfc6455")
    run.answers(8443, daemon, host="127.0.0.1")
    page = (ROOT / "docs/protocol.md").read_text()
    texts = page.splitlines()[:150] + [page, "", page[:100]]
    urls = ["ws://127.0.0.1:8001/", "wss://127.0.0.1:8443/"]
    for url in urls:
        for name, offer in OFFERS.items():
            agreed, wrong = asyncio.run(talk(url, offer, texts))
            run.equal(f"{url}: websockets {name} gets what it sent", wrong, [])
            run.check(f"{url}: it is compressed", len(agreed) == 1, str(agreed))
    run.browser("deflate.mjs", ROOT / "docs/protocol.md", *urls)
    daemon.terminate()
    run.equal("the daemon ends with 0 on SIGTERM", daemon.wait(30), 0)


class Relay:
    """A TCP relay that counts what goes either way: only it sees what is on the wire."""

    def __init__(self, port):
        self.bytes = {"up": 0, "down": 0}
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.target))
            for way in ("up", client, server), ("down", server, client):
                threading.Thread(target=self.carry, args=way, daemon=True).start()

    def carry(self, way, source, sink):
        try:
            while data := source.recv(1 << 16):
                self.bytes[way] += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # a browser that ends resets what it has


class Reports(http.server.BaseHTTPRequestHandler):
    """Takes what a page found."""

    came = queue.Queue()

    def do_POST(self):
        self.came.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


# What keeps a Firefox at its page, and from calling home.
FIREFOX = {
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.manage-offline-status": False,
    "services.settings.server": "http://127.0.0.1:9/",
    "toolkit.telemetry.enabled": False,
}


def firefox(home):
    prefs = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in FIREFOX.items()]
    (home / "user.js").write_text("\n".join(prefs))
    return ["firefox-esr", "--headless", "--no-remote", "--profile", home]


def chromium(home):
    # As in browser.mjs. With a port to be asked at it stays until it is ended.
    return ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--remote-debugging-port=0", f"--user-data-dir={home}"]


def site(home):
    """The page, and what it sends: what a terminal shows, and a part of a program."""
    shutil.copy(HERE / "deflate_page.html", home / "index.html")
    shown = subprocess.run(["ls", "-lR", "--color=always", ROOT / "src"], check=True, capture_output=True)
    (home / "terminal.txt").write_bytes(shown.stdout)
    with open(os.environ["WEBSOCKSY"], "rb") as program:
        (home / "binary.bin").write_bytes(program.read(256 * 1024))


@recipe("deflate-page", because="what a browser's own WebSocket compresses, its vendor decides")
def deflate_page(run):
    """One page in both browsers, served by the daemon that it talks to."""
    with tempfile.TemporaryDirectory() as home:
        home = Path(home)
        (home / "site").mkdir()
        site(home / "site")
        daemon = run.start(
            "daemon", "websocksy", "-l", "127.0.0.1:8001", "--deflate", "1", "--web", home / "site",
            "-c", f"host=tcp://127.0.0.1:{serve_echo()}", "-c", "framing=rfc6455")
        run.answers(8001, daemon, host="127.0.0.1")
        reports = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Reports)
        threading.Thread(target=reports.serve_forever, daemon=True).start()
        for name, command in ("Firefox", firefox), ("Chromium", chromium):
            relay = Relay(8001)
            (home / name).mkdir()
            page = f"http://127.0.0.1:{relay.port}/?report=http://127.0.0.1:{reports.server_port}/"
            browser = run.start(name, *command(home / name), page)
            try:
                found = Reports.came.get(timeout=90)
            except queue.Empty:
                raise Failed(f"{name}: the page does not report") from None
            finally:
                browser.kill()
            for what, holds, detail in found:
                run.check(f"{name}: {what}", holds, detail)
            # The letters alone are a mebibyte either way; the page and its files come as they are.
            up, down = relay.bytes["up"], relay.bytes["down"]
            run.check(f"{name}: what it sends is compressed, {up} bytes", up < 700_000)
            run.check(f"{name}: what it gets is compressed, {down} bytes", down < 1_000_000)
    daemon.terminate()
    run.equal("the daemon ends with 0 on SIGTERM", daemon.wait(30), 0)
