"""The operator's page, in a browser."""

from harness import recipe


@recipe("admin", because="docs/operations.md has the pictures, and the page has no commands")
def admin(run):
    page_of(run, 1)


@recipe("admin-workers", because="it is the same page, of two workers")
def admin_workers(run):
    page_of(run, 2, "--workers", "2")


def page_of(run, workers, *more):
    daemon = run.start(
        "daemon", "websocksy", "-l", "127.0.0.1:8001", "-l", "127.0.0.1:8443 tls",
        "--tls-cert", "/etc/ssl/desk.crt", "--tls-key", "/etc/ssl/desk.key",
        "--admin", "127.0.0.1:9101", "--origin", "http://localhost", "-c", "host=tcp://localhost:7000",
        "-c", "framing=binary", *more)
    run.answers(9101, daemon)
    run.browser("admin.mjs", 9101, 8001, 7000, daemon.pid, workers)
    run.equal("the daemon ends with 0 on SIGTERM", daemon.wait(30), 0)
