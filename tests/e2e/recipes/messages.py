"""Servers whose protocols have messages: MQTT, IRC, Redis."""

import sys
import time
from pathlib import Path

from harness import HERE, Failed, recipe
from ircbot import Bot
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

MOSQUITTO = """\
listener 1883 localhost
allow_anonymous true
# The broker may not drop what a reader has yet to take.
max_queued_messages 0
"""

NGIRCD = """\
[Global]
Name = irc.example.org
Info = e2e
Listen = 127.0.0.1
Ports = 6667
MotdPhrase = Welcome
ServerUID = irc
[Limits]
MaxConnectionsIP = 0
[Options]
DNS = no
Ident = no
PAM = no
"""


def configured(run, name, text):
    path = Path(f"/etc/{name}-e2e.conf")
    path.write_text(text)
    return path


@recipe("mqtt", "mqtt", "mqtt/js")
def mqtt(run):
    broker = run.start("mosquitto", "mosquitto", "-v", "-c", configured(run, "mosquitto", MOSQUITTO))
    run.answers(1883, broker)
    run.daemon("mqtt")
    run.browser("mqtt_page.mjs", run.block_file("mqtt/js"))
    run.browser("mqtt.mjs", "ws://localhost:8001")


def irc_server(run):
    server = run.start("ngircd", "ngircd", "-n", "-f", configured(run, "ngircd", NGIRCD))
    run.answers(6667, server)


@recipe("irc", "irc", "irc/js")
def irc(run):
    irc_server(run)
    run.daemon("irc")
    bot = Bot("irc.example.org", 6667, "bob", "#chat")
    run.browser("irc.mjs", run.block_file("irc/js"))
    run.equal("the server got lines, and no more than lines", bot.odd, [])


def register(url, **options):
    """Registers as an IRC client for browsers does; the first line with the number 001, and what was agreed."""
    with connect(url, compression=None, **options) as session:
        for line in "NICK carol", "USER carol 0 * :Carol":
            session.send(line)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            line = session.recv(timeout=30)
            if " 001 " in line:
                return session.subprotocol, line
    raise Failed("the IRC server does not welcome carol")


@recipe("configuration", "configuration", "configuration/start")
def configuration(run):
    irc_server(run)
    run.write("configuration")
    run.daemon("configuration/start")
    url = "ws://localhost:8001"
    subprotocol, line = register(
        url, origin="https://chat.example.org", subprotocols=["text.ircv3.net"])
    run.equal("the subprotocol is agreed", subprotocol, "text.ircv3.net")
    run.check("a line comes without its end", not line.endswith(("\r", "\n")), repr(line))
    try:
        register(url, origin="https://b.example")
        refused = None
    except InvalidStatus as refusal:
        refused = refusal.response.status_code
    run.equal("pages of another site are refused", refused, 403)


def man_irc_session(run):
    _, line = register("ws://localhost:8001")
    run.check("a line is one text message", line.endswith("\r\n"), repr(line))


@recipe("man-irc", "man/irc")
def man_irc(run):
    irc_server(run)
    run.daemon("man/irc")
    man_irc_session(run)


@recipe("man-irc-file", "man/irc.conf", "man/irc.start")
def man_irc_file(run):
    irc_server(run)
    run.write("man/irc.conf")
    run.daemon("man/irc.start")
    man_irc_session(run)


def redis_server(run):
    server = run.start(
        "redis-server", "redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    run.answers(6379, server)


@recipe("redis", "redis", "redis/js")
def redis(run):
    redis_server(run)
    run.daemon("redis")
    run.browser("redis_page.mjs", run.block_file("redis/js"))
    run.client(sys.executable, HERE / "redis_client.py", "newline", "ws://localhost:8001")


@recipe("redis-pipelines", because="framings that cut a stream anywhere, with megabytes both ways")
def redis_pipelines(run):
    redis_server(run)
    for port, framing in (8002, "auto"), (8003, "binary"):
        log = f"daemon-{framing}"
        daemon = run.start(
            log, "websocksy", "-l", "127.0.0.1", "-p", port, "-c", "host=tcp://localhost:6379",
            "-c", f"framing={framing}")
        run.answers(port, daemon)
        url = f"ws://localhost:{port}"
        run.client(sys.executable, HERE / "redis_client.py", framing, url)
        daemon.terminate()
        run.equal(f"{framing}: the daemon ends with 0 on SIGTERM", daemon.wait(30), 0)
