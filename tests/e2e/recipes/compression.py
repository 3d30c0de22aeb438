"""Compression with the clients of others: their zlib, their reading of RFC 7692, and real text."""

import asyncio
import socket
import ssl
import subprocess
import threading

from harness import OUT, ROOT, recipe
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
