#!/usr/bin/env python3
"""Runs the cases of Autobahn|Testsuite against the bridge with a plain TCP echo behind it.

The suite itself runs where there is a Python 2.7 with pip; everywhere else kosoku does, which has
carried the suite's cases over to Python 3 (docs/testing.md compares the two).

For each mode the daemon runs with that framing, the cases of `MODE.txt` beside this file are run,
and every verdict is compared with the one that is pinned there. In mode `deflate` the framing is
`rfc6455`, and the cases are those of compression, a thousand messages each. In mode `tls` the cases of
`rfc6455.txt` and the verdicts that are pinned there hold over wss://, too. With `--short` only some of
both are run. A line of such a file reads

    CASE BEHAVIOR CLOSE CODE

with what the suite calls behavior, behaviorClose and remoteCloseCode; `A|B` allows either. Where
the server must fail the connection, a bare end of TCP passes the suite; here the close code that
RFC 6455 names must have been sent.

Exit status: 0 all as pinned, 1 a verdict differs, 2 the run itself went wrong.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from fnmatch import fnmatch
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "autobahn"
# A certificate and its key. The suite takes any.
CERTIFICATE = ROOT / "fuzz" / "src" / "tls.pem"
MODES = ("rfc6455", "tls", "auto", "deflate")
EVERYTHING = [f"{section}.*" for section in (1, 2, 3, 4, 5, 6, 7, 9, 10)]
COMPRESSED = ["12.*", "13.*"]
SHORT = {
    # Each kind of data, lengths, fragments, and all that is negotiated. Two minutes at most.
    "deflate": """12.1.1 12.1.4 12.1.11 12.2.4 12.3.4 12.4.4 12.5.4
        13.1.3 13.2.3 13.3.3 13.3.5 13.4.3 13.5.3 13.6.3 13.7.3""".split(),
    # Each kind of data, fragments, how both ends close, and lengths. Seconds.
    "tls": "1.* 2.* 5.* 7.* 9.1.3 9.2.3 9.3.3 9.5.3".split(),
}
# All but `auto` with compression, for clients that ask for it.
SETTINGS = {
    "rfc6455": ("rfc6455", ["--deflate", "1"]),
    "tls": ("rfc6455", ["--deflate", "1"]),
    "auto": ("auto", []),
    "deflate": ("rfc6455", ["--deflate", "1"]),
}
# Seconds: the longest wait inside a case, and the end of a run that does not end by itself. A case of
# compression is a thousand messages, and TLS is slow work for the suite.
PATIENCE, LIMIT = 20, 600
LONG_PATIENCE, LONG_LIMIT = 480, 7200
# An echo of the first message is welcome here, but the next frame is illegal and already there:
# whether the echo wins its trip over the peer is a matter of time, and RFC 6455 allows both.
RACES = {"3.2", "3.3", "3.4", "4.1.3", "4.1.4", "4.1.5", "4.2.3", "4.2.4", "4.2.5", "5.15"}
FINE, FINE_CLOSE = {"OK", "NON-STRICT", "INFORMATIONAL"}, {"OK", "INFORMATIONAL"}

Verdict = collections.namedtuple("Verdict", "behavior close code")


class Trouble(Exception):
    """The run says nothing about the server."""


class Missing(Trouble):
    """This machine cannot run the suite."""


class Autobahn:
    """The suite itself. It is Python 2 only; pyenv builds one that works everywhere."""

    package = "autobahntestsuite==25.10.1"

    def __init__(self, work):
        self.work = work
        self.python = self.find_python()
        # In the build directory, not in the system and not in the user's home.
        self.environment = dict(os.environ, PYTHONUSERBASE=str(work / "py27"))
        probe = [self.python, "-c", "import autobahntestsuite.wstest"]
        if subprocess.run(probe, env=self.environment, capture_output=True).returncode:
            pip = [self.python, "-m", "pip", "install", "--quiet", "--user", self.package]
            install(self.package, pip, self.environment)

    @staticmethod
    def find_python():
        candidates = [os.environ.get("PYTHON2"), shutil.which("python2.7")]
        pyenv = shutil.which("pyenv")
        if pyenv:
            asked = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=True)
            root = Path(asked.stdout.strip())
            candidates += sorted(map(str, root.glob("versions/2.7*/bin/python2.7")))
        for python in filter(None, candidates):
            if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
                return python
        raise Missing("no Python 2.7 with pip ($PYTHON2, python2.7, pyenv)")

    def run(self, url, patterns, work):
        """Runs the cases that `patterns` name; what the suite says of each, by id."""
        spec, cases, log = work / "spec.json", work / "cases.jsonl", work / "log"
        spec.write_text(json.dumps({
            "outdir": str(work / "report"),
            "servers": [{"agent": "websocksy", "url": url}],
            "options": {
                "openHandshakeTimeout": 20,
                "closeHandshakeTimeout": 5,
                "serverConnectionDropTimeout": 5,
            },
            "cases": patterns,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }))
        cases.touch()
        command = [self.python, "-u", str(HERE / "fuzzclient.py"), "-m", "fuzzingclient"]
        patience = LONG_PATIENCE if is_long(work) else PATIENCE
        environment = dict(self.environment, CASES=str(cases), PATIENCE=str(patience))
        run_logged([*command, "-s", str(spec)], log, work, environment)
        results = {case["id"]: case for case in map(json.loads, cases.read_text().splitlines())}
        promised = re.search(r"will run (\d+) test cases", log.read_text())
        if not promised or len(results) != int(promised.group(1)):
            raise Trouble(f"{len(results)} verdicts of {promised and promised.group(1)}, see {log}")
        return results


class Kosoku:
    """The suite's own cases, carried over to Python 3 and run by a program in Rust."""

    package = "kosoku==0.1.0"

    def __init__(self, work):
        if sys.version_info < (3, 10):
            raise Missing("no Python 3.10 or later")
        home = work / f"kosoku-py{sys.version_info[0]}{sys.version_info[1]}"
        self.environment = dict(os.environ, PYTHONPATH=str(home))
        probe = [sys.executable, "-c", "import kosoku"]
        if subprocess.run(probe, env=self.environment, capture_output=True).returncode:
            pip = [*find_pip(work), "install", "--quiet", "--target", str(home), self.package]
            install(self.package, pip, os.environ)

    def run(self, url, patterns, work):
        """As that of the suite itself. It speaks no TLS, so that is done for it."""
        scheme, address = url.split("://")
        if scheme == "wss":
            address = without_tls(address)
        report, log = work / "report", work / "log"
        command = ["-c", "from kosoku._cli import main; main()", address, "-o", str(report)]
        for pattern in patterns:
            command += ["-i", pattern]
        run_logged([sys.executable, *command], log, work, self.environment)
        results = map(json.loads, (path.read_text() for path in report.glob("*_case_*.json")))
        results = {case["id"]: case for case in results}
        promised = re.search(r"wrote reports for (\d+) cases", log.read_text())
        if not promised or len(results) != int(promised.group(1)):
            raise Trouble(f"{len(results)} verdicts of {promised and promised.group(1)}, see {log}")
        return results


SUITES = {"autobahn": Autobahn, "kosoku": Kosoku}


def find_suite(names):
    """The first that this machine can run."""
    missing = []
    for name in names:
        try:
            return SUITES[name](WORK)
        except Missing as why:
            missing.append(str(why))
    raise Missing("; ".join(missing))


def find_pip(work):
    """This Python's pip, or one in an environment of its own, since Debian splits it off."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True).returncode == 0:
        return pip
    venv = work / "venv"
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], capture_output=True)
    if made.returncode:
        raise Missing("no pip or venv for Python 3 (Debian: apt-get install python3-venv)")
    return [str(venv / "bin" / "python3"), "-m", "pip"]


def install(package, pip, environment):
    """Puts the suite under `target/`, once."""
    print(f"installing {package} into {WORK}", flush=True)
    log = WORK / "pip.log"
    with open(log, "w") as output:
        if subprocess.run(pip, env=environment, stdout=output, stderr=output).returncode:
            raise Missing(f"pip could not install {package}, see {log}")


def is_long(work):
    """Whether the cases of compression are run there, or the suite has to encrypt."""
    return work.name.startswith(("deflate", "tls"))


def run_logged(command, log, work, environment):
    """Runs the suite, which says by its exit code no more than its report does."""
    with open(log, "w") as output:
        process = subprocess.Popen(command, cwd=work, env=environment, stdout=output, stderr=output)
        try:
            limit = LONG_LIMIT if is_long(work) else LIMIT
            process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Trouble(f"no end after {limit} s, see {log}") from None
        finally:
            process.kill()
            process.wait()


def without_tls(address):
    """Where clients that speak no TLS reach whoever does at an address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, port = address.split(":")
    listener = socket.create_server(("127.0.0.1", 0))

    async def copy(reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 18):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader, writer):
        far_reader, far_writer = await asyncio.open_connection(host, int(port), ssl=context)
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

    async def serve():
        async with await asyncio.start_server(relay, sock=listener) as server:
            await server.serve_forever()

    threading.Thread(target=asyncio.run, args=(serve(),), daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}"


def serve_echo():
    """A TCP server that sends back what it gets and knows nothing of frames; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def echo(connection):
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(1 << 18):
                connection.sendall(data)

    def accept():
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=echo, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


@contextlib.contextmanager
def bridge(binary, mode):
    """The daemon in front of an echo; its URL."""
    if not Path(binary).is_file():
        raise Trouble(f"{binary} is not there: cargo build --release")
    framing, more = SETTINGS[mode]
    settings = [f"host=tcp://127.0.0.1:{serve_echo()}", f"framing={framing}"]
    command = [binary, "-p", "0", *more]
    if mode == "tls":
        pair = WORK / "tls.pem"
        pair.touch(mode=0o600)
        pair.write_bytes(CERTIFICATE.read_bytes())
        command += ["-l", "127.0.0.1 tls", "--tls-cert", str(pair)]
    else:
        command += ["-l", "127.0.0.1"]
    for setting in settings:
        command += ["-c", setting]
    daemon = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=dict(os.environ, RUST_LOG="info")
    )
    try:
        scheme = "wss" if mode == "tls" else "ws"
        yield f"{scheme}://127.0.0.1:{listening_port(daemon)}"
        if daemon.poll() is not None:
            raise Trouble(f"the daemon ended during the run, status {daemon.returncode}")
    finally:
        daemon.kill()
        daemon.wait()


def listening_port(daemon):
    said = []
    for line in daemon.stderr:
        said.append(line)
        if found := re.search(r"listening on \S*:(\d+)", line):
            # Somebody has to go on reading, or the daemon would log into a full pipe.
            threading.Thread(target=daemon.stderr.read, daemon=True).start()
            return found.group(1)
    raise Trouble("the daemon did not start: " + "".join(said))


def run_cases(suite, url, patterns, name):
    """What the suite says of each case, by id; what it wrote stays in a directory of that name."""
    work = WORK / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return suite.run(url, patterns, work)


def verdict(case):
    return Verdict(case["behavior"], case["behaviorClose"], str(case["remoteCloseCode"] or "-"))


def must_fail_connection(case):
    """Whether the case wants the server to fail the connection (RFC 6455 §7.1.7)."""
    return case["expectedClose"].get("closedByMe") is False


def fault(case):
    """What no pin can excuse, or None."""
    found = verdict(case)
    if found.behavior not in FINE:
        return f"{found.behavior}: {case['result']}"
    if found.close not in FINE_CLOSE:
        return f"close {found.close}: {case['resultClose']}"
    wanted = case["expectedClose"].get("closeCode", [])
    if must_fail_connection(case) and case["remoteCloseCode"] not in wanted:
        return f"close code {found.code}, not one of {wanted}"
    return None


def read_pins(mode):
    pins = {}
    for line in (HERE / f"{mode}.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            case, *rest = line.split()
            pins[case] = Verdict(*rest)
    return pins


def differs(found, pin):
    return any(part not in allowed.split("|") for part, allowed in zip(found, pin))


def complaints(results, pins):
    """What is wrong, by case."""
    wrong = {case: "was not run" for case in pins.keys() - results.keys()}
    for case, result in results.items():
        found = verdict(result)
        if why := fault(result):
            wrong[case] = why
        elif pins and differs(found, pins.get(case, Verdict("", "", ""))):
            wrong[case] = f"{' '.join(found)}, pinned {' '.join(pins.get(case, ['nowhere']))}"
    return wrong


def in_order(cases):
    return sorted(cases, key=lambda case: [int(number) for number in case.split(".")])


def write_pins(mode, results):
    """Keeps the comment at the head of the file and pins what was found, never a fault."""
    path = HERE / f"{mode}.txt"
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    lines = []
    for case in in_order(results):
        found = verdict(results[case])
        if case in RACES:
            found = found._replace(behavior="OK|NON-STRICT")
        lines.append(" ".join([case, *found]))
    path.write_text("\n".join(head + lines) + "\n")


def report(name, results, wrong):
    for case in in_order(wrong):
        print(f"{name} {case}: {wrong[case]}")
    counts = collections.Counter(result["behavior"] for result in results.values())
    failing = [result for result in results.values() if must_fail_connection(result)]
    right = sum(r["remoteCloseCode"] in r["expectedClose"]["closeCode"] for r in failing)
    unclean = sum(result["behaviorClose"] not in FINE_CLOSE for result in results.values())
    told = ", ".join(f"{count} {behavior}" for behavior, count in counts.most_common())
    print(
        f"{name}: {len(results)} cases: {told}; {unclean} unclean; failing the connection with "
        f"the right code {right} of {len(failing)}; {len(wrong)} wrong",
        flush=True,
    )


def check(suite, url, name, patterns, pins):
    """Runs, repeats what is wrong once (the suite gives an echo half a second, which a busy machine
    may not have), and says so. What is left is wrong."""
    results = run_cases(suite, url, patterns, name)
    wrong = complaints(results, pins)
    again = wrong.keys() & results.keys()
    if again:
        print(f"{name}: repeating {' '.join(in_order(again))}", flush=True)
        results.update(run_cases(suite, url, in_order(again), f"{name}-again"))
        wrong = complaints(results, pins)
    report(name, results, wrong)
    return results, wrong


def run_mode(suite, mode, options):
    pins = read_pins("rfc6455" if mode == "tls" else mode)
    patterns = {"auto": in_order(pins), "deflate": COMPRESSED}.get(mode, EVERYTHING)
    if options.short and mode in SHORT:
        patterns = SHORT[mode]
        pins = {case: pin for case, pin in pins.items() if any(fnmatch(case, p) for p in patterns)}
    with bridge(options.binary, mode) as url:
        results, wrong = check(suite, url, mode, patterns, {} if options.update else pins)
    if options.update and not wrong and mode != "tls":
        write_pins(mode, results)
    return wrong


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="pin what is found, unless it is a fault")
    parser.add_argument("--binary", default=str(ROOT / "target" / "release" / "websocksy"))
    parser.add_argument("--mode", choices=MODES, action="append", help="only this one")
    parser.add_argument("--suite", choices=SUITES, help="which, instead of the first to be had")
    parser.add_argument("--short", action="store_true", help="a few of the cases of TLS and compression only")
    parser.add_argument("--server", help="judge this ADDRESS:PORT or URL instead, without pins")
    parser.add_argument("cases", nargs="*", default=EVERYTHING, help="with --server: which cases")
    return parser.parse_args()


def main():
    options = arguments()
    try:
        WORK.mkdir(parents=True, exist_ok=True)
        suite = find_suite([options.suite] if options.suite else SUITES)
        print(f"conformance: {suite.package}", flush=True)
        if options.server:
            url = options.server if "://" in options.server else f"ws://{options.server}"
            return bool(check(suite, url, "server", options.cases, {})[1])
        return any([run_mode(suite, mode, options) for mode in options.mode or MODES])
    except Missing as missing:
        return subprocess.run([HERE.parent / "left-out", "conformance", str(missing)]).returncode
    except Trouble as trouble:
        print(f"conformance: {trouble}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
