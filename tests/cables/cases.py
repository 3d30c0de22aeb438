"""The cases: F1 to F4 of the field's reports, and what lies beside them."""

import dataclasses
import itertools
import os
import re
import socket
import time
import typing

from network import run
from websocket import CLOSE, NORMAL, PING, drain, every, stream
from world import PATIENCE, outcome, wait_until

SLACK = 2.5  # seconds: the machine is busy
SLOWEST = 20_000  # bytes a second, of the links here

CASES = []


@dataclasses.dataclass
class Case:
    name: str
    run: typing.Callable
    tunnels: dict
    long: bool = False


def case(name, *variants, long=False, **tunnels):
    """Registers a case, or one for each variant: the arguments behind the world."""
    def register(function):
        for variant in variants or [()]:
            arguments = variant if isinstance(variant, tuple) else (variant,)
            words = ", ".join(str(word or "direct") for word in arguments)
            CASES.append(Case(f"{name} ({words})" if words else name,
                              lambda world, arguments=arguments: function(world, *arguments),
                              tunnels, long))
        return function
    return register


def ends(client, code, seconds, not_before=0):
    """The session ends with this close code, none for a drop, in time and not before its time."""
    begin = time.monotonic()
    received = client.listen(seconds + SLACK)
    took = time.monotonic() - begin
    assert received.end, f"not ended after {took:.1f} s"
    assert received.code == code, f"close code {received.code} after {took:.1f} s"
    assert took >= not_before, f"ended after {took:.1f} s"


def gone(world, words, seconds):
    """The session's line in the log has these words, and its sockets are closed."""
    begin = time.monotonic()
    wait_until("a line of the session's end", lambda: world.log_line("ended: "), seconds + SLACK)
    left = max(0, begin + seconds + SLACK - time.monotonic())
    wait_until("the session's sockets are closed", lambda: not world.sockets(), left)
    assert re.search(words, world.log_line("ended: ")), world.log_line("ended: ")


def peer_sees_end(world, peer, seconds, closing=0):
    """And the client is the one at fault; `closing` seconds later the session is over."""
    received = drain(peer, seconds + SLACK)
    assert received.end, "the peer sees no end"
    gone(world, "client", closing)


def delivered(sent, received):
    assert received == sent, f"{received} of {sent}, end {received.end}, code {received.code}"


def trickle(near):
    run(every, 1, lambda: near.sendall(b"twelve bytes"))


def stream_and_end(near, total):
    sent = stream(near.sendall, total)
    near.shutdown(socket.SHUT_WR)
    return sent


# F1: who has vanished is noticed.

def idle_peer(world):
    world.daemon(ping=3)
    client, peer = world.session()
    client.send(b"hello")
    run(drain, peer, 60)
    wait_until("both sockets are probed", lambda: [
        line.count("timer:(keepalive") for line in world.sockets()] == [1, 1], 3 + SLACK)
    world.far.pull()
    ends(client, 1011, 9)
    gone(world, "peer", 0)


case("F1: an idle peer whose cable is pulled is noticed within three intervals")(idle_peer)
case("F1: an idle peer behind a firewall that forgets is noticed within three intervals",
     far={})(idle_peer)


@case("F1: keys typed into a dead peer are untaken for --write-timeout", {"ping": 30},
      {"ping": 0}, {"ping": 2}, {"idle_timeout": 3})
def typing(world, options):
    world.daemon(write_timeout=5, **options)
    client, _ = world.session()
    client.listen(0.5)
    world.far.pull()
    run(every, 1, lambda: client.send(b"k"))
    ends(client, 1011, 5 + 1, not_before=4)
    gone(world, "peer", 0)


@case("F1: one key typed into a dead peer is untaken for --write-timeout")
def one_key(world):
    world.daemon(write_timeout=5)
    client, _ = world.session()
    world.far.pull()
    client.send(b"k")
    ends(client, 1011, 5, not_before=4)


@case("F1: a client whose cable is pulled ends beside a trickling peer, at --write-timeout",
      {"ping": 0}, {"ping": 0, "idle_timeout": 60}, {"ping": 30})
def trickling_peer(world, options):
    world.daemon(write_timeout=5, **options)
    client, peer = world.session()
    client.listen(0.5)
    world.near.pull()
    trickle(peer)
    peer_sees_end(world, peer, 5 + 1)


@case("F1: a client whose cable is pulled is gone within three intervals", "idle", "trickling peer")
def dead_client(world, what):
    world.daemon(ping=2)
    client, peer = world.session()
    client.listen(0.5)
    world.near.pull()
    if what != "idle":
        trickle(peer)
    peer_sees_end(world, peer, 6)


@case("F1: with both cables pulled and -k 0, --idle-timeout and --write-timeout end it")
def both_dead(world):
    world.daemon(ping=0, idle_timeout=3, write_timeout=4)
    client, _ = world.session()
    client.listen(0.5)
    world.near.pull()
    world.far.pull()
    gone(world, "idle", 3 + 4 + 5)


@case("F1: what waits for a dead side at the end of a session waits for --write-timeout",
      "client", "peer")
def dead_at_the_end(world, side):
    world.daemon(ping=0, write_timeout=4)
    client, peer = world.session()
    client.listen(0.5)
    if side == "client":
        world.near.pull()
        stream_and_end(peer, 20_000)
    else:
        world.far.pull()
        stream(client.send, 20_000)
        client.send(NORMAL, CLOSE)
        ends(client, 1000, 4)
    gone(world, "peer closed" if side == "client" else "client closed", 4 + 1)


# F2: who takes lives, and gets all.

def short_cut(world, side):
    """Four seconds: kernels send again after six or so."""
    world.daemon(ping=5)
    client, peer = world.session()
    cable = getattr(world, side)
    draining = run(drain, peer, 60)
    sending = run(stream, peer.sendall, 400_000, 40_000)
    uploading = run(stream, client.send, 200_000, 20_000)
    client.listen(2)
    cable.pull()
    client.listen(4)
    cable.plug()
    received = client.listen(40, lambda received: received.count == 400_000)
    delivered(sending.result(1), received)
    sent = uploading.result(40)
    client.send(NORMAL, CLOSE)
    ends(client, 1000, 5)
    delivered(sent, draining.result(20))


for side, tunnels in itertools.product(["near", "far"], [{}, {"near": {}, "far": {}}]):
    case(f"F2: a cable pulled for four seconds loses nothing ({side}, "
         f"{'packets lost' if tunnels else 'carrier lost'})", **tunnels)(
        lambda world, side=side: short_cut(world, side))


def download(world, total, pace=None, **habits):
    """The peer sends, and waits; nothing is lost, and the session is still there."""
    client, peer = world.session(**habits)
    sending = run(stream, peer.sendall, total, pace)
    received = client.listen(total / SLOWEST + PATIENCE, lambda received: received.count == total)
    delivered(sending.result(1), received)
    client.listen(3)
    assert not received.end, f"the session ended with {received.end}, {received.code}"
    peer.shutdown(socket.SHUT_WR)
    ends(client, 1000, 5)


@case("F2: a reader of 250 kB/s gets 3 MB with -k 2", None, "nginx")
def slow_reader(world, front):
    world.daemon(ping=2)
    world.front(front)
    download(world, 3_000_000, rate=250_000)


@case("F2: 4 MB at 40 kB/s, defaults", ("reader", None), ("reader", "nginx"), ("link", None),
      ("link", "nginx"))
def slow(world, what, front):
    world.daemon()
    world.front(front)
    if what == "link":
        world.near.slow(40)
    download(world, 4_000_000, rate=40_000 if what == "reader" else None)


@case("F2: a stream of 60 kB/s on a link of 20 kB/s, defaults", None, "nginx")
def slower_link(world, front):
    world.daemon()
    world.front(front)
    world.near.slow(20, queue=60)  # a ping stands behind all that
    download(world, 1_800_000, pace=60_000)


@case("F2: links of 20, 100, 300 kB/s with -k 2", *itertools.product([None, "nginx"],
                                                                 [20, 100, 300]))
def links(world, front, speed):
    world.daemon(ping=2, write_timeout=10)
    world.front(front)
    world.near.slow(speed)
    download(world, speed * 20_000)


@case("A4: a slow reader's bytes are data to --idle-timeout", None, "nginx")
def not_idle(world, front):
    world.daemon(idle_timeout=3)
    world.front(front)
    world.near.slow(5)
    client, peer = world.session()
    sending = run(stream_and_end, peer, 250_000)
    received = client.listen(80)
    delivered(sending.result(1), received)


def counted(world, name, total, seconds):
    """A client that somebody else wrote gets all that the peer sends, and its end."""
    program, peer = world.program(name)
    sending = run(stream_and_end, peer, total)
    result = outcome(program, seconds)
    sent = sending.result(1)
    assert result == {"count": sent.count, "digest": sent.digest.hexdigest(), "code": 1000}, result


@case("F2: a client's own pings are answered in time at 80 kB/s", ("Python", None), ("Node", None),
      ("Python", "nginx"), ("Node", "nginx"))
def pings_of_clients(world, name, front):
    world.daemon()
    world.front(front, tuned=True)
    world.near.slow(80, queue=1 if front else 12)
    counted(world, name, 8_000_000, 120)


@case("F2: a pong overtakes what waits for a link of 100 kB/s")
def pong(world):
    world.daemon()
    world.near.slow(100)
    client, peer = world.session()
    run(stream, peer.sendall, 30_000_000)
    client.listen(20)
    for _ in range(3):
        begin, pongs = time.monotonic(), len(client.received.pongs)
        client.send(b"now", PING)
        client.listen(30, lambda received: len(received.pongs) > pongs)
        took = time.monotonic() - begin
        assert took < 5, f"a pong after {took:.1f} s"


@case("F2: a slow peer gets all that a client uploads", None, "nginx")
def upload(world, front):
    world.daemon(ping=2, write_timeout=10, idle_timeout=3)
    world.front(front)
    world.far.slow(40)
    client, peer = world.session()
    draining = run(drain, peer, 60)
    run(client.listen, 60)
    sent = stream(client.send, 1_000_000)
    client.send(NORMAL, CLOSE)
    delivered(sent, draining.result())


# Who takes nothing dies, wherever the bytes wait.

@case("counter-rule: a client that stops reading is dropped", ("little", None), ("much", None),
      ("much", "nginx"))
def client_stops(world, amount, front):
    world.daemon(ping=0, write_timeout=4, close_timeout=2)
    world.front(front)
    client, peer = world.session(receive_buffer=2000)
    run(stream, peer.sendall, 20_000 if amount == "little" else 30_000_000)
    # The peer ends at once, but of what it sent before 8 MiB are read, and the kernels may hold more.
    peer_sees_end(world, peer, 4 + 1, closing=0 if amount == "little" else 2)


@case("counter-rule: a peer that stops reading ends with 1011", "little", "much")
def peer_stops(world, amount):
    world.daemon(ping=0, write_timeout=4)
    client, peer = world.session()
    run(stream, client.send, 1_000_000 if amount == "little" else 30_000_000)
    ends(client, 1011, 4 + 1, not_before=4)
    gone(world, "peer stopped reading", 0)


# F3: a silent client is closed in time.

@case("F3: a silent client's socket is closed at twice -k, whatever the peer does", "idle",
      "trickling peer")
def silent_client(world, what):
    world.daemon(ping=3)
    client, peer = world.session(deaf=True)  # the peer does not end on our FIN
    if what != "idle":
        trickle(peer)
    ends(client, None, 6, not_before=5.5)


# F4: who only uploads is pinged, too.

@case("F4: a client that only uploads gets a ping each -k")
def upload_only(world):
    world.daemon(ping=2)
    client, peer = world.session()
    run(drain, peer, 60)
    begin = time.monotonic()
    run(every, 0.5, lambda: client.send(b"upload"))
    received = client.listen(10)
    assert not received.end
    times = [begin, *received.pings, time.monotonic()]
    gaps = [after - before for before, after in zip(times, times[1:])]
    assert max(gaps) < 2 + SLACK, f"gaps of {[round(gap, 1) for gap in gaps]}"


@case("F4: upload-only sessions live behind lighttpd's max-write-idle")
def behind_lighttpd(world):
    world.daemon(ping=2)
    world.front("lighttpd")
    client, peer = world.session()
    run(drain, peer, 60)
    run(every, 0.5, lambda: client.send(b"upload"))
    received = client.listen(15)
    assert not received.end, f"ended with {received.end}, code {received.code}"


@case("F4: an upload to a slower peer lives behind lighttpd's max-write-idle")
def slow_upload_behind_lighttpd(world):
    world.daemon(ping=2)
    world.front("lighttpd")
    world.far.slow(20)
    client, peer = world.session()
    run(drain, peer, 60)
    run(stream, client.send, 1_000_000)
    received = client.listen(15)
    assert not received.end, f"ended with {received.end}, code {received.code}"


# Delay and loss.

def both_ways(world):
    world.daemon(ping=3, write_timeout=20)
    client, peer = world.session()
    client.listen(10)  # some pings
    sending, draining = run(stream, peer.sendall, 300_000), run(drain, peer, 90)
    uploading = run(stream, client.send, 200_000)
    received = client.listen(90, lambda received: received.count == 300_000)
    delivered(sending.result(1), received)
    sent = uploading.result(60)
    client.send(NORMAL, CLOSE)
    ends(client, 1000, 10)
    delivered(sent, draining.result(30))


for side in ["near", "far"]:
    for delay, loss in [(0.05, 0.01), (0.15, 0.03), (0.3, 0.05)]:
        case(f"delay of {delay * 1000:.0f} ms and loss of {loss:.0%} between bridge and "
             f"{'client' if side == 'near' else 'peer'}",
             **{side: {"delay": delay, "loss": loss}})(both_ways)


# The long haul.

@case("F2: an hour at 20 kB/s, nothing lost",
      *itertools.product(["Python", "Node", "Chromium"], [None, "nginx"]), long=True)
def long_haul(world, name, front):
    seconds = int(os.environ.get("CABLES_SECONDS", 3600))
    world.daemon()
    world.front(front, tuned=True)
    world.near.slow(20)
    counted(world, name, 20_000 * seconds, seconds * 1.5 + 60)
