"""Peers that are no network servers: datagrams, Unix sockets, serial lines, terminals; and echoes."""

import os
import socket
import threading
import time

from harness import recipe
from websockets.sync.client import connect

URL = "ws://localhost:8001"
PATIENCE_SECONDS = 30


def open_session(**options):
    return connect(URL, **{"compression": None, "max_size": None} | options)


def exchange(run, what, session, sent, expected):
    session.send(sent)
    run.equal(what, session.recv(timeout=PATIENCE_SECONDS), expected)


@recipe("udp", "udp")
def udp(run):
    device = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    device.bind(("192.168.1.50", 7777))

    def reverse():
        while True:
            datagram, client = device.recvfrom(65536)
            device.sendto(datagram[::-1], client)

    threading.Thread(target=reverse, daemon=True).start()
    run.daemon("udp")
    with open_session() as session:
        for size in 1, 1_472, 9_000, 65_507:
            datagram = bytes(range(251)) * 262
            sent, expected = datagram[:size], datagram[:size][::-1]
            session.send(sent)
            got = session.recv(timeout=PATIENCE_SECONDS)
            got = got.encode() if isinstance(got, str) else got
            run.check(f"a datagram of {size} bytes, and back", got == expected, f"(got {len(got)})")
        exchange(run, "text is text", session, "on", "no")


@recipe("unix", "unix")
def unix(run):
    server = run.start("app", "socat", "UNIX-LISTEN:/run/app.sock,fork", "EXEC:cat")
    run.until("the server listens", lambda: os.path.exists("/run/app.sock"), server)
    run.daemon("unix")
    with open_session() as session:
        exchange(run, "a message gets its zero byte", session, "one", b"one\0")
        session.send(b"two\0three")
        received = [session.recv(timeout=PATIENCE_SECONDS) for _ in range(2)]
        run.equal("two messages are two", received, [b"two\0", b"three\0"])


@recipe("rfc6455", "rfc6455")
def rfc6455(run):
    run.daemon("rfc6455")
    with open_session() as session:
        for sent in "text, też", b"binary\0\xff", "", b"", b"x" * 300_000:
            what = f"{type(sent).__name__} of {len(sent)} comes back as it was"
            exchange(run, what, session, sent, sent)
        fragments = ["three", " ", "fragments"]
        session.send(fragments)
        received = [part for part in session.recv_streaming() if part]
        run.equal("fragments come back as fragments", received, fragments)
    run.equal("the session closes", session.close_code, 1000)


def serial_line(run):
    """A device on a line: it answers each line that it reads."""
    device = "while read -r line; do echo \"ok: $line\"; done"
    line = run.start("line", "socat", "PTY,link=/dev/ttyUSB0,raw,echo=0", f"SYSTEM:{device}")
    run.until("the line is there", lambda: os.path.exists("/dev/ttyUSB0"), line)


def talk(run):
    with open_session() as session:
        exchange(run, "the device answers", session, "status", "ok: status\n")
        exchange(run, "and again, in UTF-8", session, "21 °C", "ok: 21 °C\n")


@recipe("socat", "serial/socat", "serial")
def socat(run):
    serial_line(run)
    run.answers(7001, run.shell("serial/socat"))
    time.sleep(1)  # the line is held until socat has seen that the question above is over
    run.daemon("serial")
    talk(run)


@recipe("ser2net", "serial/ser2net.yaml", "serial")
def ser2net(run):
    serial_line(run)
    configuration = run.write("serial/ser2net.yaml")
    run.answers(7001, run.start("ser2net", "ser2net", "-n", "-c", configuration))
    time.sleep(1)
    run.daemon("serial")
    talk(run)


@recipe("terminal", "terminal", "terminal/js")
def terminal(run):
    run.daemon("terminal")
    run.browser("terminal.mjs", run.block_file("terminal/js"))
