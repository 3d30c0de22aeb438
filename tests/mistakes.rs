//! An operator's mistakes, on the real binary: each ends at once with status 2 and one line that says
//! where it was written and what would be right. Beside them, what looks odd and is right.
#![allow(clippy::unwrap_used)] // clippy knows `#[test]` functions only, not their helpers

mod common;

use common::{PATIENCE, binary, plugins, within};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a refusal may take. Nothing is connected to and nothing is waited for, so this is time
/// for a loaded machine.
const SOON: Duration = Duration::from_secs(5);

/// A line longer than this is not read: lists of all that would be valid have to be short ones.
const LONGEST_LINE: usize = 400;

/// A command line, and perhaps a configuration file, that should not start.
///
/// `{F}` is the file's path, `{P}` a directory with the bundled plug-ins, `{D}` an empty directory
/// and `{W}` one that everybody may write to. A file is the first argument unless `args` has `{F}`.
struct Mistake {
    args: &'static [&'static str],
    file: &'static str,
    /// What the line begins with after `websocksy: `: a flag, or file, line and key.
    at: &'static str,
    /// What else it says: the value at fault, and what would be right.
    says: &'static [&'static str],
}

/// A mistake on the command line.
const fn flags(
    args: &'static [&'static str],
    at: &'static str,
    says: &'static [&'static str],
) -> Mistake {
    Mistake { args, file: "", at, says }
}

/// A mistake in the configuration file.
const fn file(file: &'static str, at: &'static str, says: &'static [&'static str]) -> Mistake {
    Mistake { args: &[], file, at, says }
}

const ORIGIN_FORM: &str = "https://example.org";
const SCHEMES: &[&str] =
    &["tcp://", "udp://", "unix://", "unix-dgram://", "fifotx://", "fiforx://"];
const FRAMINGS: &[&str] = &["auto", "binary", "separator", "newline", "rfc6455"];
const BACKEND_KEYS: &[&str] =
    &["host", "balance", "retry-after", "port", "protocol", "framing", "framing-config"];

#[test]
fn flags_and_their_values() {
    refuse(&[
        flags(&["--max-connection", "5"], "--max-connection", &["--max-connections"]),
        flags(&["--prot", "8001"], "--prot", &["--port"]),
        flags(&["-x"], "-x", &["--help"]),
        flags(&["-p"], "-p", &["value"]),
        flags(&["--help=yes"], "--help", &["no value"]),
        flags(&["-p", "1", "--port", "2"], "--port", &["twice"]),
        flags(&["-p", "65536"], "--port", &["'65536'", "0 to 65535"]),
        flags(&["-p", "http"], "--port", &["'http'", "0 to 65535"]),
        flags(&["-p", "-1"], "--port", &["0 to 65535"]),
        flags(&["-p", "010"], "--port", &["'010'", "write 10"]),
        flags(&["--deflate", "on"], "--deflate", &["'on'", "1 to 9", "off"]),
        flags(&["--deflate", "10"], "--deflate", &["'10'", "1 to 9", "off"]),
        flags(&["--max-connections", "0100"], "--max-connections", &["'0100'", "write 100"]),
        flags(&["-l", "127.0.0.1:010"], "--listen", &["'127.0.0.1:010'", "zeros"]),
        flags(&["-l", "::1:8055"], "--listen", &["[::1]:8055", "[::1:8055]"]),
        flags(&["-l", ""], "--listen", &["value"]),
        flags(
            &["-l", "127.0.0.1:9", "--admin", "localhost:9"],
            "--admin",
            &["is 127.0.0.1:9, which --listen is already"],
        ),
        flags(
            &["--workers", "2", "/dev/null"],
            "/dev/null",
            &["is no regular file: each worker reads it"],
        ),
        flags(&["--auth-file", "/dev/null"], "--auth-file", &["/dev/null: is no regular file"]),
        flags(&["-l", "::1 tls"], "--listen", &["--tls-cert"]),
        flags(&["-l", "::1 tls=1.3"], "--listen", &["'tls=1.3'", "no value"]),
        flags(&["-l", "::1 ssl"], "--listen", &["'ssl'", "tls"]),
        flags(&["--tls-cert", "a.pem"], "--tls-cert", &["'[::]:443 tls'"]),
        flags(&["--tls-key", "a.pem"], "--tls-key", &["--tls-cert"]),
        flags(&["-l", "::1 tls", "--tls-cert", "{D}"], "--tls-cert: {D}", &["directory"]),
        flags(&["--tls-client-auth", "yes"], "--tls-client-auth", &["required", "optional"]),
        flags(&["--tls-min-version", "1.1"], "--tls-min-version", &["'1.1'", "1.2", "1.3"]),
        flags(&["--peer-ca", "{D}/none"], "--peer-ca: {D}/none", &["No such file"]),
        flags(&["-k", "30s"], "--ping", &["'30s'", "seconds"]),
        flags(&["--idle-timeout", "1h"], "--idle-timeout", &["'1h'", "seconds"]),
        flags(&["--connect-timeout", "0"], "--connect-timeout", &["'0'", "0.001"]),
        flags(&["--close-timeout", "-1"], "--close-timeout", &["seconds"]),
        flags(&["--max-connections", "10k"], "--max-connections", &["'10k'", "1 to"]),
        flags(&["--max-connections", "0"], "--max-connections", &["'0'", "1 to"]),
        flags(&["--admin", "0.0.0.0:9101"], "--admin", &["'0.0.0.0:9101 public'", "sessions"]),
        flags(&["--admin", "9101"], "--admin", &["'9101'", "127.0.0.1:9101", "unix:/PATH"]),
        flags(&["--log-format", "xml"], "--log-format", &["'xml'", "text", "json"]),
        flags(&["--log-rate", "many"], "--log-rate", &["'many'", "0 to 1000000"]),
        flags(&["--health", "healthz"], "--health", &["'healthz'", "/healthz"]),
        flags(&["--health", "/a?b"], "--health", &["query"]),
        flags(&["--health", "/a b"], "--health", &["blanks"]),
        flags(&["--web", ""], "--web", &["value"]),
        flags(&["--web", "{F}/nothing"], "--web", &["cannot serve", "{F}/nothing"]),
        flags(&["--health", "/a%zz"], "--health", &["'/a%zz'", "%25"]),
        flags(&["--health", "/%4"], "--health", &["'/%4'", "%25"]),
        flags(&["--web-redirect", "/"], "--web-redirect", &["'/' leads to where", "/vnc.html"]),
        flags(&["--web-redirect", "/?x"], "--web-redirect", &["'/?x' leads to where", "/vnc.html"]),
        flags(&["--web-redirect", "/#x"], "--web-redirect", &["'/#x' leads to where", "/vnc.html"]),
        flags(&["--web-redirect", "/100%"], "--web-redirect", &["'/100%'", "%25"]),
        flags(&["--web-redirect", "/a", "--health", "/"], "--health", &["/healthz"]),
        flags(&["--health", "/", "--web-redirect", "/a"], "--web-redirect", &["/healthz"]),
        file("[core]\nhealth = /\nweb-redirect = /a\n", "{F}:3: web-redirect", &["/healthz"]),
        flags(&["-l", "::1", "tls"], "'tls'", &["in one argument: -l 'ADDRESS tls'"]),
        flags(&["-l", "::1", "tls", "proxy-protocol"], "'tls'", &["-l 'ADDRESS tls'"]),
        flags(&["-l", "unix:/run/x", "mode=0660"], "'mode=0660'", &["'ADDRESS mode=0660'"]),
        flags(&["--web-redirect", "vnc.html"], "--web-redirect", &["'vnc.html'", "/vnc.html"]),
        flags(&["--web-redirect", "//example.org/"], "--web-redirect", &["path of this server"]),
        flags(&["--web-redirect", "/\\example.org/"], "--web-redirect", &["path of this server"]),
        flags(&["--workers", "0"], "--workers", &["'0'", "1 to 256"]),
        flags(&["--workers", "four"], "--workers", &["'four'", "1 to 256", "auto"]),
        flags(&["--pin-workers"], "--pin-workers", &["--workers auto"]),
        flags(&["--workers", "2", "-b", "none"], "--backend", &["--plugins DIR"]),
        flags(&["--query-threads", "0"], "--query-threads", &["'0'", "1 to 256"]),
        flags(&["--allow", "192.0.2.1/24"], "--allow", &["'192.0.2.1/24'", "192.0.2.0/24"]),
        flags(&["--deny", "all"], "--deny", &["'all'", "192.0.2.0/24"]),
        flags(
            &["--trusted-proxy", "10.0.0.1/8"],
            "--trusted-proxy",
            &["'10.0.0.1/8' has bits set behind its prefix; the network is 10.0.0.0/8\n"],
        ),
        flags(&["--trusted-proxy", "all"], "--trusted-proxy", &["'all'", "192.0.2.0/24", "unix"]),
        flags(
            &["--forwarded-header", "X-Client"],
            "--forwarded-header",
            &["'X-Client'", "X-Real-IP"],
        ),
        flags(&["--send-proxy", "2"], "--send-proxy", &["'2'", "v1 or v2"]),
        flags(
            &["--send-proxy", "v2", "-c", "host=udp://h:1"],
            "--send-proxy",
            &["udp://h:1", "tcp://"],
        ),
        flags(&["--forwarded-header", "Forwarded"], "--forwarded-header", &["--trusted-proxy"]),
        flags(&["-l", "::1 proxy_protocol"], "--listen", &["'proxy_protocol'", "proxy-protocol"]),
        flags(&["-l", "::1 proxy-protocol"], "--listen", &["--trusted-proxy CIDR"]),
        flags(
            &["-l", "unix:/run/x proxy-protocol", "--trusted-proxy", "::1"],
            "--listen",
            &["--trusted-proxy unix"],
        ),
        flags(&["--auth-file", "{D}/none"], "--auth-file: {D}/none", &["No such file"]),
        flags(&["--auth-file", "{D}"], "--auth-file: {D}", &["directory"]),
        flags(&["--peer-allow", "fe80::1/10"], "--peer-allow", &["'fe80::1/10'", "fe80::/10"]),
        flags(&["--source", "eth0"], "--source", &["'eth0'", "192.0.2.1"]),
        flags(&["--source", "::"], "--source", &["'::'", "one machine"]),
        flags(
            &["--source", "127.0.0.2", "--source", "192.0.2.1"],
            "--source",
            &["192.0.2.1 is not an address of this machine"],
        ),
        flags(&["--rate", "0"], "--rate", &["'0'", "COUNT/SECONDS", "30/60"]),
        flags(&["--max-session", "1h"], "--max-session", &["'1h'", "seconds"]),
        flags(&["-f", "{F}", "{D}/other.conf"], "'{D}/other.conf'", &["second", "one"]),
        flags(&["-c", "host"], "--config", &["'host'", "KEY=VALUE"]),
        flags(&["-c", "=tcp://localhost"], "--config", &["KEY=VALUE"]),
    ]);
}

/// The habits of websockify: its arguments are a port and a peer. They may come to work; until then
/// the line says what to write.
#[test]
fn another_bridges_arguments() {
    refuse(&[
        flags(&["localhost:5900"], "'localhost:5900'", &["-c host=tcp://localhost:5900"]),
        flags(&["6080", "localhost:5900"], "", &["-p 6080", "-c host=tcp://localhost:5900"]),
        flags(&["[::1]:6080", "localhost:5900"], "", &["-c host=tcp://localhost:5900"]),
        flags(&["tcp://localhost:5900"], "'tcp://localhost:5900'", &["-c host=tcp://localhost"]),
        flags(&["tcp:/localhost:80"], "'tcp:/localhost:80'", &["-c host=tcp://localhost:80"]),
        flags(&["udp:localhost:53"], "'udp:localhost:53'", &["-c host=udp://localhost:53"]),
        flags(&["unix:/no/such"], "'unix:/no/such'", &["-c host=unix:///no/such"]),
        flags(&["localhost", "5900"], "'localhost:5900'", &["-c host=tcp://localhost:5900"]),
        flags(&["ws://localhost:80"], "'ws://localhost:80'", &["-c host=tcp://localhost:80"]),
        flags(&["99999", "localhost:5900"], "", &["second configuration file"]),
        flags(&["6080"], "'6080'", &["-p 6080", "-c host=tcp://HOST:PORT"]),
        flags(&[":6080"], "':6080'", &["-p 6080"]),
        flags(&[":6080", "localhost:5900"], "", &["-p 6080", "-c host=tcp://localhost:5900"]),
        flags(&["host=localhost"], "'host=localhost'", &["-c host=localhost"]),
        flags(&["framing=newline"], "'framing=newline'", &["-c framing=newline"]),
        flags(&["ping=5"], "'ping=5'", &["--ping 5"]),
    ]);
}

#[test]
fn files_and_their_lines() {
    refuse(&[
        flags(&["{D}/none.conf"], "{D}/none.conf", &["No such file"]),
        flags(&["{D}"], "{D}", &["directory"]),
        file("port = 8001\n", "{F}:1: port", &["section", "[core]"]),
        file("[core]\n\n[peer]\n", "{F}:3", &["'[peer]'", "[core]", "[backend]"]),
        file("[core\nport = 8001\n", "{F}:1", &["'[core'", "[core]"]),
        file("[Core]\nport = 8001\n", "{F}:1", &["'[Core]'", "[core]"]),
        file("[core]\nport 8001\n", "{F}:2", &["'port 8001'", "KEY = VALUE"]),
        file("[core]\nport: 8001\n", "{F}:2", &["'port: 8001'", "KEY = VALUE"]),
        file("[core]\nprot = 8001\n", "{F}:2: prot", &["port"]),
        file("[core]\nPort = 8001\n", "{F}:2: Port", &["port"]),
        file("[core]\nmax_connections = 5\n", "{F}:2: max_connections", &["max-connections"]),
        file("[core]\nport =\n", "{F}:2: port", &["''", "0 to 65535"]),
        file("[core]\nport = 1\n# again\nport = 1\n", "{F}:4: port", &["line 2"]),
        file("[core]\nport = \"8001\"\n", "{F}:2: port", &["0 to 65535"]),
        file("[core]\nping = 30s\n", "{F}:2: ping", &["'30s'", "seconds"]),
        file("[core]\nmax-connections = 0\n", "{F}:2: max-connections", &["'0'", "1 to"]),
        file("[core]\nallow = 10.0.0.1/8\n", "{F}:2: allow", &["10.0.0.0/8"]),
        file("[core]\nexplain-refusals = on\n", "{F}:2: explain-refusals", &["'on'", "yes nor no"]),
        file("[core]\nrate = 5\nrate = 6\n", "{F}:3: rate", &["line 2"]),
        // Keys in the other section.
        file("[core]\nhost = tcp://localhost\n", "{F}:2: host", &["[backend]"]),
        file("[core]\nframing = newline\n", "{F}:2: framing", &["[backend]"]),
        file("[backend]\nlisten = ::1\n", "{F}:2: listen", &["[core]"]),
        file("[backend]\nmax-connections = 5\n", "{F}:2: max-connections", &["[core]"]),
        // What a file cannot say.
        file("[core]\nconfig = host=tcp://localhost\n", "{F}:2: config", &["[backend]"]),
        file("[core]\nfile = other.conf\n", "{F}:2: file", &["command line"]),
        file("[core]\nhelp = yes\n", "{F}:2: help", &["command line"]),
        file("[core]\nport = 8001\n\0\n", "{F}:3", &["NUL"]),
    ]);
}

#[test]
fn o1_a_port_in_two_places() {
    refuse(&[
        flags(
            &["-c", "host=tcp://localhost:5901", "-c", "port=5900"],
            "--config: port",
            &["5900", "5901", "host"],
        ),
        flags(&["-c", "port=5900", "-c", "host=localhost:5901"], "--config: ", &["5900", "5901"]),
        file(
            "[backend]\nhost = udp://[::1]:7000\nport = 7001\n",
            "{F}:3: port",
            &["7000", "7001", "host"],
        ),
        // A peer without ports.
        flags(&["-c", "host=unix:///run/x", "-c", "port=5900"], "--config: port", &["unix://"]),
        file("[backend]\nport = 1\nhost = fifotx:///run/x\n", "{F}:2: port", &["fifotx://"]),
    ]);
    start(&[
        flags(&["-c", "host=tcp://localhost:5901", "-c", "port=5901"], "", &[]),
        flags(&["-c", "host=tcp://localhost", "-c", "port=5901"], "", &[]),
    ]);
}

/// S6: services by name, as getaddrinfo(3) takes them.
#[test]
fn s6_a_port_by_its_name() {
    refuse(&[flags(
        &["-c", "port=no-such-service"],
        "--config: port",
        &["no-such-service", "1 to 65535"],
    )]);
    let services = fs::read_to_string("/etc/services").unwrap_or_default();
    if !services.lines().any(|line| line.starts_with("postgresql") && line.contains("5432/tcp")) {
        return common::left_out("names of ports", "no /etc/services with postgresql (netbase)");
    }
    start(&[
        flags(&["-c", "host=tcp://localhost", "-c", "port=postgresql"], "", &[]),
        flags(&["-c", "host=tcp://localhost:5432", "-c", "port=postgresql"], "", &[]),
    ]);
}

#[test]
fn o2_values_of_the_back_end() {
    let mut rows = vec![
        file(
            "# websocksy\n[core]\nport = 0\n[backend]\n\nframing = nwline\n",
            "{F}:6: framing",
            FRAMINGS,
        ),
        flags(&["-c", "framing=Newline"], "--config: framing", FRAMINGS),
        flags(&["-c", "framing=Newline"], "--config: framing", &["is it newline?"]),
        flags(&["-c", "framing="], "--config: framing", FRAMINGS),
        flags(&["-c", "framing=json"], "--config: framing", &["plug-in", "--plugins"]),
        flags(
            &["-c", "framing=Dynamic32"],
            "--config: framing",
            &["framing=dynamic32", "--plugins"],
        ),
        file("[backend]\nHost = tcp://localhost\n", "{F}:2: Host", BACKEND_KEYS),
        file("[backend]\nframing_config = lf\n", "{F}:2: framing_config", BACKEND_KEYS),
        flags(&["-c", "peer=tcp://localhost"], "--config: peer", BACKEND_KEYS),
    ];
    // Peers.
    rows.extend([
        flags(&["-c", "host=http://localhost"], "--config: host", SCHEMES),
        file("[backend]\nhost = ws://localhost:80\n", "{F}:2: host", SCHEMES),
        flags(&["-c", "host="], "--config: host", &["empty"]),
        flags(&["-c", "host=tcp://"], "--config: host", &["tcp://HOST:PORT"]),
        flags(&["-c", "host=tcp://localhost:99999"], "--config: host", &["99999", "1 to 65535"]),
        flags(&["-c", "host=tcp://localhost:0"], "--config: host", &["1 to 65535"]),
        flags(&["-c", "host=tcp://localhost:vnc/"], "--config: host", &["1 to 65535"]),
        flags(&["-c", "host=tcp://localhost:5900/path"], "--config: host", &["1 to 65535"]),
        flags(&["-c", "host=localhost 5900"], "--config: host", &["write localhost:5900"]),
        flags(&["-c", "host=udp://db 53"], "--config: host", &["write db:53"]),
        flags(&["-c", "host=tcp:/localhost:80"], "--config: host", &["write tcp://localhost:80"]),
        flags(&["-c", "host=udp:///localhost:80"], "--config: host", &["localhost:80"]),
        flags(&["-c", "host=tcp://localhost:010"], "--config: host", &["\"010\"", "write 10"]),
        flags(&["-c", "port=010"], "--config: port", &["\"010\"", "write 10"]),
        // Datagrams have no frames within.
        flags(
            &["-c", "host=udp://localhost:7000", "-c", "framing=rfc6455"],
            "--config: framing",
            &["rfc6455", "datagram", "auto"],
        ),
        file(
            "[backend]\nframing = rfc6455\nhost = unix-dgram:///run/x\n",
            "{F}:2: framing",
            &["rfc6455", "datagram", "binary"],
        ),
        flags(&["-c", "host=tcp:localhost:5900"], "--config: host", &["tcp://localhost:5900"]),
        flags(&["-c", "host=unix:/run/x.sock"], "--config: host", &["unix:///run/x.sock"]),
        flags(&["-c", "host=/run/x.sock"], "--config: host", &["unix:///run/x.sock"]),
        flags(&["-c", "host=unix://"], "--config: host", &["unix:///"]),
        flags(
            &[
                "-c",
                concat!(
                    "host=unix:///run/a-name-that-does-not-end-where-the-kernel-says-that-",
                    "names-of-sockets-have-to-end/nor-does-this-one.sock"
                ),
            ],
            "--config: host",
            &["107"],
        ),
        flags(&["-c", "port=0"], "--config: port", &["1 to 65535"]),
        file("[backend]\nhost = localhost\nport = 70000\n", "{F}:3: port", &["1 to 65535"]),
        // Not one token (RFC 6455 section 4.1): no client can offer it.
        flags(&["-c", "protocol=mqtt, mqttv3.1"], "--config: protocol", &["one", "mqtt, mqttv3.1"]),
        flags(&["-c", "protocol="], "--config: protocol", &["none"]),
    ]);
    // What framings are told.
    rows.extend([
        file(
            "[backend]\nframing = newline\nframing-config = crfl\n",
            "{F}:3: framing-config",
            &["crfl", "crlf", "lfcr", "lf", "cr"],
        ),
        flags(
            &["-c", "framing=newline", "-c", "framing-config=\\n"],
            "--config: framing-config",
            &["crlf", "lf"],
        ),
        flags(
            &["-c", "framing=newline", "-c", "framing-config=ad:crlf"],
            "--config: framing-config",
            &["ad:crlf", "add:", "text:", "strip:"],
        ),
        flags(
            &["-c", "framing=newline", "-c", "framing-config=text:add:text:crlf"],
            "--config: framing-config",
            &["text:", "twice"],
        ),
        flags(
            &["-c", "framing=separator", "-c", "framing-config=add:strip:;"],
            "--config: framing-config",
            &["strip:", "newline", "\\x73trip:"],
        ),
        flags(
            &["-c", "framing=separator", "-c", "framing-config=add:add:;"],
            "--config: framing-config",
            &["add:", "twice"],
        ),
        file(
            "[backend]\nframing = separator\nframing-config = ; # ours\n",
            "{F}:3: framing-config",
            &["comment", "line"],
        ),
        file(
            "[backend]\nframing = separator\nframing-config = ''\n",
            "{F}:3: framing-config",
            &["quotes", "\\x27"],
        ),
        file(
            "[backend]\nframing = newline\nframing-config = 'lf'\n",
            "{F}:3: framing-config",
            &["lf"],
        ),
        flags(&["-c", "framing=separator"], "--config: framing", &["framing-config"]),
        flags(
            &["-c", "framing=separator", "-c", "framing-config="],
            "--config: framing-config",
            &["byte"],
        ),
        flags(
            &["-c", "framing=separator", "-c", "framing-config=a\\q"],
            "--config: framing-config",
            &["\\q", "\\n", "\\x"],
        ),
        flags(
            &["-c", "framing=separator", "-c", "framing-config=a\\x4"],
            "--config: framing-config",
            &["two hexadecimal digits"],
        ),
        flags(
            &[
                "-c",
                "framing=separator",
                "-c",
                "framing-config=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0",
            ],
            "--config: framing-config",
            &["65", "at most 64"],
        ),
    ]);
    refuse(&rows);
}

#[test]
fn o3_what_was_accepted_in_silence() {
    refuse(&[
        flags(&["-c", "framing-config=lf"], "--config: framing-config", &["framing"]),
        file("[backend]\nframing-config = lf\n", "{F}:2: framing-config", &["framing"]),
        flags(
            &["-c", "framing=binary", "-c", "framing-config=lf"],
            "--config: framing-config",
            &["binary", "takes no"],
        ),
        flags(
            &["-c", "framing=rfc6455", "-c", "framing-config=x"],
            "--config: framing-config",
            &["rfc6455", "takes no"],
        ),
        // Without brackets nobody knows where the address ends (RFC 3986 section 3.2.2).
        flags(&["-c", "host=tcp://::1:5900"], "--config: host", &["[::1]:5900"]),
        file("[backend]\nhost = udp://fe80::1:7000\n", "{F}:2: host", &["[fe80::1]:7000"]),
        // A comment behind a value.
        file("[backend]\nhost = tcp://localhost # VNC\n", "{F}:2: host", &["comment", "line"]),
        file("[backend]\nframing = newline ; lines\n", "{F}:2: framing", &["comment", "line"]),
        file("[core]\nport = 8001 # ours\n", "{F}:2: port", &["comment", "line"]),
        file("[core]\nlisten = ::1 # ours\n", "{F}:2: listen", &["comment", "line"]),
        file("[backend]\nhost = unix:///run/x # ours\n", "{F}:2: host", &["comment", "line"]),
        file("[backend]\nprotocol = mqtt # 3.1.1\n", "{F}:2: protocol", &["comment", "line"]),
        // Quotes are a part of the value, and no value of these has any.
        file("[backend]\nhost = \"tcp://localhost\"\n", "{F}:2: host", &["quotes"]),
        file("[backend]\nframing = 'newline'\n", "{F}:2: framing", &["quotes"]),
        // A key twice: the last one won.
        file(
            "[backend]\nhost = tcp://a\nhost = tcp://a:5900\nhost = tcp://b\n",
            "{F}:3: host",
            &["tcp://a:5900 is given twice"],
        ),
        file("[backend]\nhost = tcp://a\nhost = ws://b\nhost = tcp://c\n", "{F}:3: host", SCHEMES),
        flags(
            &["-c", "host=a:1", "-c", "host=unix:///b", "-c", "port=1"],
            "--config: port",
            &["unix"],
        ),
        flags(&["-c", "balance=even"], "--config: balance", &["first, random, least and hash"]),
        flags(&["-c", "retry-after=1m"], "--config: retry-after", &["seconds"]),
        file("[backend]\nframing = auto\nframing = binary\n", "{F}:3: framing", &["line 2"]),
        flags(&["-c", "host=tcp://a", "-c", "host=tcp://a"], "--config: host", &["twice"]),
        flags(&["-c", "port=1", "-c", "port=2"], "--config: port", &["twice"]),
        // `-c` before `-b` went to the built-in back end, and with it.
        flags(
            &["--plugins", "{P}", "-c", "path={D}", "-b", "file", "-c", "expression=x"],
            "--config: path",
            &["--backend"],
        ),
        flags(
            &["--plugins", "{P}", "-c", "host=tcp://localhost", "-b", "file"],
            "--config: host",
            &["--backend"],
        ),
        // Framings of plug-ins: each session of them ended with 1011.
        flags(
            &["--plugins", "{P}", "-c", "framing=fixedlength", "-c", "framing-config=abc"],
            "--config: framing-config",
            &["abc", "1 to 1073741824"],
        ),
        flags(
            &["--plugins", "{P}", "-c", "framing=fixedlength"],
            "--config: framing",
            &["framing-config", "1 to 1073741824"],
        ),
        flags(
            &["--plugins", "{P}", "-c", "framing=dynamic32", "-c", "framing-config=ofset=2"],
            "--config: framing-config",
            &["ofset", "offset"],
        ),
        flags(
            &["--plugins", "{P}", "-c", "framing=dynamic32", "-c", "framing-config=endian=middle"],
            "--config: framing-config",
            &["middle", "little", "big"],
        ),
        flags(
            &["--plugins", "{P}", "-c", "framing=json", "-c", "framing-config=x"],
            "--config: framing-config",
            &["json", "takes no"],
        ),
        // No client would have had a peer.
        flags(&["--plugins", "{P}", "-b", "file"], "--backend", &["file", "path"]),
        flags(
            &["--plugins", "{P}", "-b", "file", "-c", "path={D}"],
            "--backend",
            &["file", "expression"],
        ),
        file("[core]\nplugins = {P}\nbackend = file\n", "{F}:3: backend", &["file", "path"]),
        // Relative to what? The working directory of a daemon is nobody's choice.
        flags(&["-c", "host=unix://run/x.sock"], "--config: host", &["unix:///", "absolute"]),
        file(
            "[backend]\nhost = unix-dgram://x.sock\n",
            "{F}:2: host",
            &["unix-dgram:///", "absolute"],
        ),
        flags(&["-c", "host=fifotx://x"], "--config: host", &["fifotx:///", "absolute"]),
        flags(
            &["--plugins", "{P}", "-b", "file", "-c", "path=tests", "-c", "expression=x"],
            "--config: path",
            &["tests", "absolute"],
        ),
    ]);
    start(&[
        // Flags win over the file.
        Mistake {
            args: &["-c", "host=tcp://b"],
            file: "[backend]\nhost = tcp://a\nframing = newline\n",
            at: "",
            says: &[],
        },
        // A number sign that begins no comment.
        file("[backend]\nframing = separator\nframing-config = #\n", "", &[]),
        file("[backend]\nhost = unix:///run/a#b\n", "", &[]),
        flags(&["-c", "host=tcp://[::1]:5900"], "", &[]),
        flags(&["-c", "host=tcp://::1"], "", &[]),
    ]);
}

/// More clients than descriptors: an error where somebody wrote the number, a smaller number and one
/// line where it is the default.
#[test]
fn o3_more_connections_than_descriptors() {
    let place = Place::new("o3_descriptors");
    let limited = |args: &[&str], text: &str| {
        let mut command = common::in_shell("ulimit -n 64");
        command.args(["-p", "0", "-l", "127.0.0.1"]);
        if !text.is_empty() {
            command.arg(place.configuration(text));
        }
        command.args(args);
        place.watch(command, PATIENCE)
    };
    for (args, text, at) in [
        (&["--max-connections", "500"][..], "", "--max-connections: ".to_owned()),
        (&[], "[core]\nmax-connections = 500\n", place.fill("{F}:2: max-connections: ")),
    ] {
        let outcome = limited(args, text);
        assert_eq!(outcome.status, Some(2), "{at}{outcome:?}");
        let line = outcome.stderr.strip_prefix("websocksy: ").unwrap_or_default();
        assert!(line.starts_with(&at) && line.contains("descriptors"), "{at}{outcome:?}");
        assert!(line.contains("64") && line.lines().count() == 1, "{at}{outcome:?}");
    }
    let outcome = limited(&[], "");
    assert_eq!(outcome.status, None, "{outcome:?}");
    let is_told = |line: &&str| line.contains("max-connections");
    let lines: Vec<_> = outcome.stderr.lines().filter(is_told).collect();
    assert_eq!(lines.len(), 1, "{outcome:?}");
    let lowered =
        "max-connections is lowered to 16: 10000 clients need 20032 descriptors, and 64 are";
    assert!(lines[0].contains(lowered), "{outcome:?}");
    assert_eq!(limited(&["--max-connections", "10"], "").status, None);
}

#[test]
fn plug_ins_and_their_directories() {
    refuse(&[
        flags(&["-b", "file"], "--backend", &["--plugins"]),
        flags(&["--plugins", "target", "-b", "file"], "--plugins", &["target", "absolute"]),
        flags(&["--plugins", "{D}/none"], "--plugins", &["{D}/none", "No such file"]),
        flags(&["--plugins", "{W}"], "--plugins", &["{W}", "everybody"]),
        flags(&["--plugins", ""], "--plugins", &["value"]),
        file("[core]\nplugins = {D}/none\n", "{F}:2: plugins", &["{D}/none", "No such file"]),
        file("[core]\nplugins = plugins\n", "{F}:2: plugins", &["absolute"]),
        flags(&["--plugins", "{P}", "-b", "fil"], "--backend", &["backend_fil.so", "{P}"]),
        file(
            "[core]\nplugins = {P}\nbackend = fil\n",
            "{F}:3: backend",
            &["backend_fil.so", "{P}"],
        ),
        flags(&["--plugins", "{P}", "-b", "backend_file.so"], "--backend", &["-b file"]),
        flags(&["--plugins", "{P}", "-b", "{P}/backend_file.so"], "--backend", &["-b file"]),
        flags(&["--plugins", "{P}", "-b", ""], "--backend", &["value"]),
        // The `file` back end's own words.
        flags(&["--plugins", "{P}", "-b", "file", "-c", "pth=/etc"], "--config: pth", &["'path'"]),
        flags(
            &["--plugins", "{P}", "-b", "file", "-c", "path={D}/none"],
            "--config: path",
            &["{D}/none", "directory"],
        ),
        flags(
            &["--plugins", "{P}", "-b", "file", "-c", "path={D}", "-c", "expression=%endpoint"],
            "--config: expression",
            &["%endpoint", "%endpoint%"],
        ),
        // Those of `token`.
        flags(&["--plugins", "{P}", "-b", "token"], "--backend", &["'file' or 'dir'"]),
        flags(
            &["--plugins", "{P}", "-b", "token", "-c", "file={D}"],
            "--config: file",
            &["{D} is a directory: write dir={D}"],
        ),
        flags(
            &["--plugins", "{P}", "-b", "token", "-c", "dir={D}", "-c", "framing=nosuch"],
            "--backend",
            &["nosuch"],
        ),
        flags(
            &["--plugins", "{P}", "-b", "token", "-c", "dir={D}", "-c", "tokens={D}"],
            "--config: tokens",
            &["'file', 'dir'"],
        ),
        // Those of `jwt` and `redis`.
        flags(&["--plugins", "{P}", "-b", "jwt"], "--backend", &["key=RS256"]),
        flags(
            &["--plugins", "{P}", "-b", "jwt", "-c", "key=RS512 /etc/passwd"],
            "--config: key",
            &["HS256, RS256, ES256 and EdDSA"],
        ),
        flags(
            &["--plugins", "{P}", "-b", "jwt", "-c", "key=RS256 /etc/passwd"],
            "--config: key",
            &["/etc/passwd: is no public key in PEM"],
        ),
        flags(
            &["--plugins", "{P}", "-b", "jwt", "-c", "key=HS256 /etc/passwd"],
            "--config: key",
            &["/etc/passwd: is open to everybody (mode 0644); chmod o= it"],
        ),
        flags(&["--plugins", "{P}", "-b", "redis"], "--backend", &["url=redis://"]),
        flags(
            &["--plugins", "{P}", "-b", "redis", "-c", "password-file=/etc/passwd"],
            "--config: password-file",
            &["/etc/passwd: is open to everybody (mode 0644); chmod o= it"],
        ),
        flags(
            &["--plugins", "{P}", "-b", "redis", "-c", "key-file=/etc/passwd"],
            "--config: key-file",
            &["/etc/passwd: is open to everybody (mode 0644); chmod o= it"],
        ),
        flags(
            &["--plugins", "{P}", "-b", "redis", "-c", "url=localhost"],
            "--config: url",
            &["redis://[USER:PASSWORD@]HOST"],
        ),
        flags(
            &["--plugins", "{P}", "-b", "redis", "-c", "ttl=1m"],
            "--config: ttl",
            &["\"1m\" is not a number of seconds"],
        ),
        flags(&["--plugins", "{P}", "-b", "http"], "--backend", &["'url'"]),
        flags(
            &["--plugins", "{P}", "-b", "http", "-c", "url=localhost:80/route"],
            "--config: url",
            &["http://HOST"],
        ),
        flags(
            &["--plugins", "{P}", "-b", "http", "-c", "forward=Set Cookie"],
            "--config: forward",
            &["\"Set Cookie\" is no header field"],
        ),
        flags(
            &["--plugins", "{P}", "-b", "file", "-c", "path={D}", "-c", "expression=%user-agent%"],
            "--config: expression",
            &["%user-agent%", "%header:NAME%"],
        ),
        file(
            "[core]\nplugins = {P}\nbackend = file\n[backend]\npath = {D}\nexpresion = a\n",
            "{F}:6: expresion",
            &["'expression'"],
        ),
    ]);
}

#[test]
fn f6_origins_that_no_browser_sends() {
    refuse(&[
        flags(&["--origin", "desk.example.org"], "--origin", &["'desk.example.org'", ORIGIN_FORM]),
        flags(
            &["--origin", "https://desk.example.org/"],
            "--origin",
            &["https://desk.example.org"],
        ),
        flags(&["--origin", "https://desk.example.org/vnc.html"], "--origin", &[ORIGIN_FORM]),
        flags(&["--origin", "https://alice@example.org"], "--origin", &[ORIGIN_FORM]),
        flags(&["--origin", "https://desk.*.org"], "--origin", &["https://desk.*.org", "*."]),
        flags(&["--origin", "https://*desk.example.org"], "--origin", &["*."]),
        flags(&["--origin", "*://desk.example.org"], "--origin", &[ORIGIN_FORM]),
        flags(&["--origin", "https://desk.example.org:99999"], "--origin", &["1 to 65535"]),
        flags(&["--origin", "https://desk.example.org:https"], "--origin", &["1 to 65535"]),
        flags(&["--origin", "https://büro.example.org"], "--origin", &["xn--"]),
        flags(&["--origin", "https://[::1"], "--origin", &["https://[::1"]),
        flags(&["--origin", "file:///usr/share/novnc"], "--origin", &["file://"]),
        flags(&["--origin", "https://a.example https://b.example"], "--origin", &["--origin"]),
        flags(&["--origin", "https://a.example,https://b.example"], "--origin", &["--origin"]),
        flags(&["--origin", ""], "--origin", &[ORIGIN_FORM]),
        file("[core]\norigin = desk.example.org\n", "{F}:2: origin", &[ORIGIN_FORM]),
    ]);
    start(&[
        flags(&["--origin", "https://desk.example.org:443"], "", &[]),
        flags(&["--origin", "HTTPS://Desk.Example.ORG"], "", &[]),
        flags(&["--origin", "https://*.example.org"], "", &[]),
        flags(&["--origin", "http://localhost:*"], "", &[]),
        flags(&["--origin", "http://[::1]:8080"], "", &[]),
        flags(&["--origin", "chrome-extension://*"], "", &[]),
        flags(&["--origin", "file://"], "", &[]),
        flags(&["--origin", "null"], "", &[]),
        file("[core]\norigin = https://a.example\norigin = https://b.example\n", "", &[]),
    ]);
}

#[test]
fn what_looks_odd_and_is_right() {
    start(&[
        flags(&["-c", "host=localhost:5900"], "", &[]),
        flags(&["-c", "host=TCP://localhost:5900"], "", &[]),
        flags(&["-c", "protocol=none"], "", &[]),
        flags(&["-c", "protocol=*"], "", &[]),
        flags(&["-c", "framing=newline", "-c", "framing-config=add:crlf"], "", &[]),
        flags(&["-c", "framing=separator", "-c", "framing-config=add:\\0"], "", &[]),
        flags(
            &["--plugins", "{P}", "-c", "framing=fixedlength", "-c", "framing-config=32"],
            "",
            &[],
        ),
        flags(&["--plugins", "{D}"], "", &[]),
        file("\n", "", &[]),
        file("\n# nothing\n; at all\n[core]\n\n[backend]\n", "", &[]),
        file("[backend]\r\nhost = tcp://localhost:5900\r\n[core]\r\nping=1.5\r\n", "", &[]),
        // O5: editors on Windows put a mark before the text (U+FEFF).
        file("\u{feff}[core]\nping = 1.5\n", "", &[]),
    ]);
}

/// Where a row's files are.
struct Place {
    directory: PathBuf,
}

/// How a daemon ended, or that it did not.
#[derive(Debug)]
struct Outcome {
    /// None for one that listened.
    status: Option<i32>,
    stderr: String,
    stdout: String,
}

impl Place {
    fn new(name: &str) -> Self {
        let directory = plugins::scratch(name);
        let writable = directory.join("writable");
        fs::create_dir(directory.join("empty")).unwrap();
        fs::create_dir(&writable).unwrap();
        fs::set_permissions(&writable, fs::Permissions::from_mode(0o777)).unwrap();
        Self { directory }
    }

    fn fill(&self, text: &str) -> String {
        let path = |name: &str| self.directory.join(name).to_str().unwrap().to_owned();
        let text = text.replace("{F}", &path("websocksy.conf"));
        let text = text.replace("{D}", &path("empty")).replace("{W}", &path("writable"));
        if text.contains("{P}") { text.replace("{P}", plugins::bundled()) } else { text }
    }

    fn configuration(&self, text: &str) -> String {
        let path = self.fill("{F}");
        fs::write(&path, self.fill(text)).unwrap();
        path
    }

    fn run(&self, row: &Mistake, patience: Duration) -> Outcome {
        let mut command = Command::new(binary());
        let listens = |arg: &&str| ["-p", "--port", "-l", "--listen"].contains(arg);
        if !row.args.iter().any(listens) {
            command.args(["-p", "0", "-l", "127.0.0.1"]); // in case that it starts
        }
        let path = self.configuration(row.file);
        if !row.file.is_empty() && !row.args.iter().any(|arg| arg.contains("{F}")) {
            command.arg(path);
        }
        command.args(row.args.iter().map(|arg| self.fill(arg)));
        self.watch(command, patience)
    }

    /// Waits until the daemon ends or listens, and ends it then.
    fn watch(&self, mut command: Command, patience: Duration) -> Outcome {
        let log = self.directory.join("stderr");
        let output = fs::File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(output);
        command.env_remove("RUST_LOG");
        let mut child = command.spawn().unwrap();
        let mut status = None;
        within(patience, || {
            status = child.try_wait().unwrap();
            status.is_some() || fs::read_to_string(&log).unwrap().contains("listening on ")
        });
        let stdout = end(&mut child);
        let stderr = fs::read_to_string(&log).unwrap();
        Outcome { status: status.map(|status| status.code().unwrap_or(-1)), stderr, stdout }
    }
}

/// Kills it if it still runs; its standard output.
fn end(child: &mut Child) -> String {
    let _ = child.kill();
    let _ = child.wait();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

/// What is wrong with how `row` was refused, if anything is.
fn fault(place: &Place, row: &Mistake) -> Option<String> {
    let outcome = place.run(row, SOON);
    let at = place.fill(&format!("websocksy: {}", row.at));
    let missing: Vec<_> = row
        .says
        .iter()
        .map(|words| place.fill(words))
        .filter(|w| !outcome.stderr.contains(w))
        .collect();
    // A place is followed by what is wrong there, not by the rest of a longer name.
    let placed = outcome
        .stderr
        .strip_prefix(&at)
        .is_some_and(|rest| row.at.is_empty() || at.ends_with(' ') || rest.starts_with([':', ' ']));
    let right = outcome.status == Some(2)
        && outcome.stdout.is_empty()
        && outcome.stderr.ends_with('\n')
        && outcome.stderr.lines().count() == 1
        && outcome.stderr.len() <= LONGEST_LINE
        && placed
        && missing.is_empty();
    let wanted = format!("{:?} {:?}\n    wants {:?}", row.args, row.file, at);
    (!right).then(|| format!("{wanted}, and {missing:?}\n    got {outcome:?}"))
}

#[track_caller]
fn refuse(rows: &[Mistake]) {
    let place = Place::new(&format!("refuse-{}", caller_line()));
    let faults: Vec<_> = rows.iter().filter_map(|row| fault(&place, row)).collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), rows.len(), faults.join("\n"));
}

/// These are not mistakes: the daemon listens.
#[track_caller]
fn start(rows: &[Mistake]) {
    let place = Place::new(&format!("start-{}", caller_line()));
    let mut faults = Vec::new();
    for row in rows {
        let outcome = place.run(row, PATIENCE);
        if outcome.status.is_some() || !outcome.stderr.contains("listening on ") {
            faults.push(format!("{:?} {:?}\n    got {outcome:?}", row.args, row.file));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), rows.len(), faults.join("\n"));
}

/// Tests run beside each other: each has its own directory.
#[track_caller]
fn caller_line() -> u32 {
    std::panic::Location::caller().line()
}
