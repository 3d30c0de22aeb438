use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use proptest::prelude::*;

use super::option::Opt;
use super::options;
use super::setting::Setting;
use super::*;
use crate::access::Verdict;

fn command(args: &[&str]) -> Result<Command, ConfigError> {
    from_args(args.iter().map(OsString::from))
}

fn run(args: &[&str]) -> Config {
    match command(args) {
        Ok(Command::Run(config)) => *config,
        other => panic!("{args:?}: {other:?}"),
    }
}

fn parse(file: &str) -> Result<Config, String> {
    from_file(Path::new("ws.conf"), file.as_bytes()).map_err(|error| error.to_string())
}

fn load(name: &str, origin: &str) -> PlacedStep {
    PlacedStep { step: BackendStep::Load(name.into()), origin: origin.into() }
}

fn set(key: &str, value: &str, origin: &str) -> PlacedStep {
    PlacedStep { step: BackendStep::Configure(key.into(), value.into()), origin: origin.into() }
}

/// A file that is gone when the test is.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
        let name = format!("websocksy-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn at(address: ListenAddress) -> Listen {
    Listen { address, words: ListenWords::default(), origin: Some("--listen".into()) }
}

fn tcp(host: &str, port: Option<u16>) -> Listen {
    at(ListenAddress::Tcp { host: host.into(), port })
}

type Change = fn(&mut Config);

#[test]
fn flags_set_their_fields() {
    let cases: &[(&[&str], Change)] = &[
        (&[], |_| ()),
        (&["--"], |_| ()),
        (&["-p", "9000"], |c| c.port = 9000),
        (&["-p0"], |c| c.port = 0),
        (&["--port=65535"], |c| c.port = 65535),
        (&["--port", "7"], |c| c.port = 7),
        (&["-l", "127.0.0.1"], |c| c.listen = vec![tcp("127.0.0.1", None)]),
        // O5
        (&["-l", "[::1]"], |c| c.listen = vec![tcp("::1", None)]),
        (&["-l", "127.0.0.1:8055"], |c| c.listen = vec![tcp("127.0.0.1", Some(8055))]),
        (&["-p", "8055", "-l", "[::1]:8055"], |c| {
            (c.listen, c.port) = (vec![tcp("::1", Some(8055))], 8055);
        }),
        (&["-l", "[::1]:1", "-p", "2", "-l", "localhost"], |c| {
            (c.listen, c.port) = (vec![tcp("::1", Some(1)), tcp("localhost", None)], 2);
        }),
        (&["-l", " unix:/run/x.sock \t mode=0660  group=www-data"], |c| {
            c.listen = vec![at(ListenAddress::Unix("/run/x.sock".into()))];
            c.listen[0].words.mode = Some(0o660);
            c.listen[0].words.group = Some("www-data".into());
        }),
        (&["-l", "systemd", "-l", "systemd:web", "-l", "systemd-host"], |c| {
            c.listen =
                [None, Some("web".into())].map(|name| at(ListenAddress::Systemd(name))).into();
            c.listen.push(tcp("systemd-host", None));
        }),
        (&["-k", "0"], |c| c.deadlines.ping = Duration::ZERO),
        (&["--ping", "0.5"], |c| c.deadlines.ping = Duration::from_millis(500)),
        (&["--write-timeout", "0.0"], |c| c.deadlines.write = Duration::ZERO),
        (&["--peer-allow", "10.0.0.0/8", "--peer-allow=::1"], |c| {
            c.peers.push(network("10.0.0.0/8"));
            c.peers.push(network("::1/128"));
        }),
        (&["--source", "127.0.0.2", "--source=::1"], |c| {
            c.sources = ["127.0.0.2", "::1"]
                .map(|text| SourceAddress {
                    address: text.parse().unwrap(),
                    origin: "--source".into(),
                })
                .into();
        }),
        (&["--auth-file", "/etc/users"], |c| {
            c.auth_file = Some("/etc/users".into());
            c.auth_file_origin = Some("--auth-file".into());
        }),
        (&["--explain-refusals"], |c| c.explain_refusals = true),
        (&["--max-session", "3600"], |c| c.deadlines.session = Duration::from_secs(3600)),
        (&["--rate", "30/60"], |c| {
            c.rate = Some(Rate { count: 30, per: Duration::from_secs(60) });
        }),
        (&["--deny", "10.0.0.1", "--allow", "10.0.0.0/8", "--deny=::1"], |c| {
            c.access.push(Verdict::Deny, network("10.0.0.1/32"));
            c.access.push(Verdict::Allow, network("10.0.0.0/8"));
            c.access.push(Verdict::Deny, network("::1/128"));
        }),
        (&["--idle-timeout", "600"], |c| c.deadlines.idle = Duration::from_secs(600)),
        (&["--query-timeout", "0.001"], |c| c.deadlines.query = Duration::from_millis(1)),
        (&["--close-timeout", "31536000"], |c| c.deadlines.close = Duration::from_secs(31_536_000)),
        (&["--log-query", "--log-rate", "7", "--log-format", "json"], |c| {
            c.log_query = true;
            c.log = logging::Settings { format: logging::Format::Json, rate: 7 };
        }),
        (&["--health", "/healthz"], |c| c.health = Some("/healthz".into())),
        (&["--web", "/usr/share/novnc"], |c| {
            c.web = Some(Path::new("/usr/share/novnc").into());
            c.web_origin = Some("--web".into());
        }),
        (&["--web-redirect", "/vnc.html?a=b#c"], |c| {
            c.web_redirect = Some("/vnc.html?a=b#c".into())
        }),
        (&["--reload-timeout", "2"], |c| c.reload_timeout = Duration::from_secs(2)),
        (&["--drain-timeout", "1.25"], |c| c.drain_timeout = Duration::from_millis(1250)),
        (&["--plugins", "/usr/lib/websocksy"], |c| {
            c.plugins = Some("/usr/lib/websocksy".into());
            c.plugins_origin = Some("--plugins".into());
        }),
        (&["--max-connections", "1048576"], |c| {
            c.max_connections = 1 << 20;
            c.max_connections_origin = Some("--max-connections".into());
        }),
        (&["--origin", "https://a.org", "--origin=null"], |c| {
            c.origins = vec![origin("https://a.org"), origin("null")];
        }),
        (&["-b", "file", "-c", "path=", "--config", "k=v ", "-c", "k=a=b"], |c| {
            c.backend = vec![
                load("file", "--backend"),
                set("path", "", "--config: path"),
                set("k", "v ", "--config: k"),
                set("k", "a=b", "--config: k"),
            ];
        }),
    ];
    for (args, change) in cases {
        let mut expected = Config::default();
        change(&mut expected);
        assert_eq!(run(args), expected, "{args:?}");
    }
}

#[test]
fn wrong_command_lines_are_named() {
    let cases: &[(&[&str], &str)] = &[
        (&["-p", "abc"], "--port: 'abc' is not a number from 0 to 65535"),
        (&["-p", "65536"], "--port: '65536' is not a number from 0 to 65535"),
        (&["-p", "+1"], "--port: '+1' is not a number from 0 to 65535"),
        (&["-p", " 1"], "--port: ' 1' is not a number from 0 to 65535"),
        (&["--port="], "--port: '' is not a number from 0 to 65535"),
        (&["-p", "1\n2"], "--port: '1\\x0a2' is not a number from 0 to 65535"),
        (&["-p"], "-p: needs a value"),
        (&["--port"], "--port: needs a value"),
        (&["-p", "1", "--port=2"], "--port: is given twice"),
        (&["-f", "a", "-f", "b"], "--file: is given twice"),
        (
            &["--health="],
            "--health: '' is not a path: it starts with / and has neither a query nor blanks: /healthz",
        ),
        (&["-x"], "-x: is not an option; see --help"),
        (&["--prot", "1"], "--prot: is not an option (--port?); see --help"),
        (&["--\x1b[m"], "--\\x1b[m: is not an option; see --help"),
        (&["--help=me"], "--help: takes no value"),
        (&["-l", ""], "--listen: needs a value"),
        (&["-l", " "], "--listen: needs a value"),
        (&["-l", "unix:run/x"], "--listen: 'unix:run/x' has no absolute path: unix:/run/name.sock"),
        (&["-l", "systemd:"], "--listen: 'systemd:' lacks the name behind the colon"),
        (&["-l", "::1 mode=0660"], "--listen: 'mode=0660' is for unix:/PATH only"),
        (
            &["-l", "[::1]:80", "-l", "localhost", "-l", "[0::1]:80"],
            "--listen: is [::1]:80, which --listen is already",
        ),
        (&["-l", "::1", "-l", "[::1]:8001"], "--listen: is [::1]:8001, which --listen is already"),
        (&["-l", "systemd", "-l", "systemd"], "--listen: is systemd, which --listen is already"),
        (&["-b", ""], "--backend: needs a value"),
        (&["--plugins="], "--plugins: needs a value"),
        (&["-c", "host"], "--config: 'host' is not KEY=VALUE"),
        (&["-c", "=x"], "--config: '=x' is not KEY=VALUE"),
        (&["-k", "-1"], "--ping: '-1' is neither 0 nor a number of seconds from 0.001 to 31536000"),
        (
            &["--idle-timeout", "0.0001"],
            "--idle-timeout: '0.0001' is neither 0 nor a number of seconds from 0.001 to 31536000",
        ),
        (
            &["--handshake-timeout", "0"],
            "--handshake-timeout: '0' is not a number of seconds from 0.001 to 31536000",
        ),
        (
            &["--close-timeout", "31536000.5"],
            "--close-timeout: '31536000.5' is not a number of seconds from 0.001 to 31536000",
        ),
        (&["--allow", ""], "--allow: needs a value"),
        (
            &["--allow", "10.0.0.1/8"],
            "--allow: '10.0.0.1/8' has bits set behind its prefix; the network is 10.0.0.0/8",
        ),
        (
            &["--deny", "localhost"],
            "--deny: 'localhost' is not an address or a network such as 192.0.2.0/24 or \
             2001:db8::/32",
        ),
        (
            &["--rate", "10/m"],
            "--rate: '10/m' is not COUNT or COUNT/SECONDS, such as 10 or 30/60; up to 1000000 in \
             up to 86400 seconds",
        ),
        (&["--auth-file", ""], "--auth-file: needs a value"),
        (&["--explain-refusals=yes"], "--explain-refusals: takes no value"),
        (&["--rate", "1", "--rate", "2"], "--rate: is given twice"),
        (&["--max-connections", "0"], "--max-connections: '0' is not a number from 1 to 1048576"),
        (
            &["--max-per-address", "99999999999999999999"],
            "--max-per-address: '99999999999999999999' is not a number from 0 to 1048576",
        ),
        (&["--log-format", "JSON"], "--log-format: 'JSON' is neither text nor json"),
        (&["--log-query=yes"], "--log-query: takes no value"),
        (&["--log-rate", "-1"], "--log-rate: '-1' is not a number from 0 to 1000000"),
        (&["--query-threads", "257"], "--query-threads: '257' is not a number from 1 to 256"),
        (&["-b", "a", "-b", "b"], "--backend: is given twice"),
        (&["-c", "port=1", "-c", "port=2"], "--config: port: is given twice"),
        (
            &["-c", "a=1", "-b", "b"],
            "--config: a: is for the built-in back end, and --backend loads another one: write it \
             behind --backend, or leave it out",
        ),
        (&["-p", "1", "-l", "[::1]:2"], "--port: is 1, and listen says 2; one of them is enough"),
        (&["-p", "1", "-l", "unix:/x"], "--port: is 1, and no listen needs it; leave it out"),
        (&["a.conf", "b.conf"], "'b.conf': is a second configuration file; only one is read"),
        (&["-f", "a.conf", "--", "-b"], "'-b': is a second configuration file; only one is read"),
        (&["/no/such.conf"], "/no/such.conf: No such file or directory (os error 2)"),
        (&["-f", "/"], "/: Is a directory (os error 21)"),
        (&["-f", "/dev/zero"], "/dev/zero: is longer than 4194304 bytes"),
    ];
    for (args, expected) in cases {
        assert_eq!(command(args).unwrap_err().to_string(), *expected, "{args:?}");
    }
}

#[test]
fn seconds_are_plain_decimals() {
    for value in ["", ".", "1.", ".5", "1e3", "inf", "nan", "-1", "+1", "1.5s", "1,5", "1.2.3"] {
        let error = command(&["--connect-timeout", value]).unwrap_err().to_string();
        let range = "a number of seconds from 0.001 to 31536000";
        assert_eq!(error, format!("--connect-timeout: '{value}' is not {range}"));
    }
}

fn network(written: &str) -> IpNet {
    written.parse().unwrap()
}

fn origin(written: &str) -> OriginPattern {
    OriginPattern::parse(written).unwrap()
}

#[test]
fn origins_are_as_browsers_send_them() {
    for value in ["https://a.org", "http://[::1]:8080", "moz-extension://0e-1", "null"] {
        assert_eq!(run(&["--origin", value]).origins, [origin(value)]);
    }
    for value in ["", "*", "a.org", "https://", "://a.org", "https://a.org/", "https://a org"] {
        let error = command(&["--origin", value]).unwrap_err().to_string();
        let expected = format!("--origin: '{value}' is not an origin such as https://example.org");
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn an_argument_that_is_not_utf8_is_an_error() {
    let arg = OsString::from_vec(b"--port=\xff".to_vec());
    let error = from_args([arg].into_iter()).unwrap_err();
    assert_eq!(error.to_string(), "'--port=\\xff': is not UTF-8");
}

#[test]
fn help_and_version_win_over_all_other_flags() {
    let version = format!("websocksy {}\n", env!("CARGO_PKG_VERSION"));
    for args in [&["-V"][..], &["--version", "-p", "abc"], &["-VV", "/no/such.conf"]] {
        assert_eq!(command(args).unwrap(), Command::Print(version.clone()), "{args:?}");
    }
    for args in [&["-h"][..], &["--help", "-V", "-p", "abc"], &["-hh", "/no/such.conf"]] {
        let Ok(Command::Print(text)) = command(args) else { panic!("{args:?}") };
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for opt in options::all() {
            assert!(flat.contains(&format!("--{} {}", opt.long, opt.hint)), "{}", opt.long);
            assert!(flat.contains(&opt.description()), "{}", opt.long);
        }
        assert!(text.lines().all(|line| line.len() <= 80));
    }
}

#[test]
fn files_set_their_fields() {
    let cases: &[(&str, Change)] = &[
        ("", |_| ()),
        ("\n\n  \r\n# a = b\n; c = d\n  # [x]\n[core]\n[backend]", |_| ()),
        ("[core]\nport=9000", |c| c.port = 9000),
        ("  [core]  \r\n\t port \t=\t 9000 \r\nping = 0\r\n", |c| {
            c.port = 9000;
            c.deadlines.ping = Duration::ZERO;
        }),
        // O5: what editors put before the text.
        ("\u{feff}[core]\nport=9000", |c| c.port = 9000),
        ("[core]\nexplain-refusals = yes", |c| c.explain_refusals = true),
        ("[core]\nexplain-refusals = no", |_| ()),
        ("[core]\nrate=5\nallow = 10.0.0.0/8\ndeny = 10.0.0.1", |c| {
            c.rate = Some(Rate { count: 5, per: Duration::from_secs(1) });
            c.access.push(Verdict::Allow, network("10.0.0.0/8"));
            c.access.push(Verdict::Deny, network("10.0.0.1/32"));
        }),
        ("[core]\norigin = https://a.org\norigin = null\n[core]\nlisten = ::1", |c| {
            c.origins = vec![origin("https://a.org"), origin("null")];
            c.listen = vec![tcp("::1", None)];
            c.listen[0].origin = Some("ws.conf:5: listen".into());
        }),
        ("[backend]\na = 1\na = # = \"2\"\nB =\n[core]\nbackend = file\n[backend]\nc=;", |c| {
            c.backend = vec![
                load("file", "ws.conf:6: backend"),
                set("a", "1", "ws.conf:2: a"),
                set("a", "# = \"2\"", "ws.conf:3: a"),
                set("B", "", "ws.conf:4: B"),
                set("c", ";", "ws.conf:8: c"),
            ];
        }),
    ];
    for (file, change) in cases {
        let mut expected = Config::default();
        change(&mut expected);
        assert_eq!(parse(file).as_ref(), Ok(&expected), "{file:?}");
    }
}

#[test]
fn wrong_files_are_named_with_line_and_key() {
    let long = format!("[core]\n#{}\n", "x".repeat(64 * 1024));
    let cases = [
        ("port = 1", "ws.conf:1: port: stands before any section; begin with [core] or [backend]"),
        ("[core]\nprot = 1", "ws.conf:2: prot: is not a key of [core]; is it port?"),
        ("[core]\nlog-query = 1", "ws.conf:2: log-query: '1' is neither yes nor no"),
        ("[core]\nPort = 1", "ws.conf:2: Port: is not a key of [core]; is it port?"),
        (
            "[core]\nconfig = a=b",
            "ws.conf:2: config: is not a key of [core]: what is for the back end stands in [backend]",
        ),
        (
            "[core]\nfile = x",
            "ws.conf:2: file: is not a key of [core]: it is for the command line only",
        ),
        (
            "[core]\nhelp =",
            "ws.conf:2: help: is not a key of [core]: it is for the command line only",
        ),
        ("[core]\nexplain-refusals = 1", "ws.conf:2: explain-refusals: '1' is neither yes nor no"),
        ("[core]\nport = x", "ws.conf:2: port: 'x' is not a number from 0 to 65535"),
        (
            "[core]\nport = 1 # one",
            "ws.conf:2: port: '#' is a part of the value: a comment has a line of its own",
        ),
        ("[core]\nport = 1\n\nport = 1", "ws.conf:4: port: was set in line 2 already"),
        ("[core]\nbackend = a\nbackend = b", "ws.conf:3: backend: was set in line 2 already"),
        (
            "[core]\nplugins = '/a'",
            "ws.conf:2: plugins: the quotes are a part of the value: leave them out",
        ),
        (
            "[core]\nport=1\nlisten=[::]:2",
            "ws.conf:2: port: is 1, and listen says 2; one of them is enough",
        ),
        (
            "[core]\nlisten=[::]:2\nlisten=unix:/x\n\nlisten=unix:/x mode=0600",
            "ws.conf:5: listen: is unix:/x, which ws.conf:3: listen is already",
        ),
        ("[backend]\nport=1\nport=2", "ws.conf:3: port: was set in line 2 already"),
        (
            "[backend]\nhost=a # b",
            "ws.conf:2: host: '#' is a part of the value: a comment has a line of its own",
        ),
        (
            "[backend]\nframing='auto'",
            "ws.conf:2: framing: the quotes are a part of the value: leave them out",
        ),
        ("[core]\nhost=a", "ws.conf:2: host: is not a key of [core], but of [backend]"),
        ("[core]\nbackend =", "ws.conf:2: backend: needs a value"),
        ("[core]\n\r\nport", "ws.conf:3: 'port' is not KEY = VALUE"),
        ("[core]\n = 1", "ws.conf:2: '= 1' is not KEY = VALUE"),
        ("\n[backends]", "ws.conf:2: '[backends]' is neither [core] nor [backend]"),
        ("[core] # main", "ws.conf:1: '[core] # main' is neither [core] nor [backend]"),
        ("[core]\nk\x1b = 1", "ws.conf:2: k\\x1b: is not a key of [core]"),
        ("[backend]\nk = a\0b", "ws.conf:2: holds a NUL byte"),
        (&long, "ws.conf:2: is longer than 65536 bytes"),
    ];
    for (file, expected) in cases {
        assert_eq!(parse(file).unwrap_err(), expected, "{file:?}");
    }
    let error = from_file(Path::new("a\nb"), b"[backend]\nk = \xff").unwrap_err();
    assert_eq!(error.to_string(), "a\\x0ab:2: is not UTF-8");
}

#[test]
fn a_line_may_be_64_kib() {
    let value = "x".repeat(64 * 1024 - "k=".len());
    let config = parse(&format!("[backend]\nk={value}\n")).unwrap();
    assert_eq!(config.backend, [set("k", &value, "ws.conf:2: k")]);
}

#[test]
fn flags_win_over_the_file() {
    let file = "[core]\nport = 1\nping = 5\norigin = https://file\nbackend = f\nlisten = ::2\n\
                [backend]\na = 1\n";
    let file = Temporary::new("precedence.conf", file);
    let name = file.name();
    let flags = ["-p", "2", "--origin", "null", "-b", "g", "-c", "a=2", "-l", "::3"];
    let mut expected = Config { port: 2, origins: vec![origin("null")], ..Config::default() };
    expected.file = Some(name.into());
    expected.deadlines.ping = Duration::from_secs(5);
    // The file's back end is not loaded: its keys mean nothing to another.
    expected.backend = vec![load("g", "--backend"), set("a", "2", "--config: a")];
    expected.listen = vec![tcp("::3", None)];
    for place in 0..=flags.len() / 2 {
        let (before, after) = flags.split_at(2 * place);
        for named in [&["-f", name][..], &["--file", name], &[name]] {
            let args = [before, named, after].concat();
            assert_eq!(run(&args), expected, "{args:?}");
        }
    }
}

#[test]
fn the_files_steps_come_first() {
    let file = Temporary::new("steps.conf", "[core]\nbackend = f\n[backend]\na = 1\n");
    let name = file.name();
    let expected = [
        load("f", &format!("{name}:2: backend")),
        set("a", "1", &format!("{name}:4: a")),
        set("a", "2", "--config: a"),
    ];
    assert_eq!(run(&["-c", "a=2", name]).backend, expected);
    // Without a back end of its own, its keys are the built-in one's.
    let file = Temporary::new("builtin.conf", "[backend]\nhost = a\nport = 1\nhost = b\n");
    let name = file.name();
    let [a, port, b] = [("host", "a", 2), ("port", "1", 3), ("host", "b", 4)]
        .map(|(key, value, line)| set(key, value, &format!("{name}:{line}: {key}")));
    let [x, y] = ["x", "y"].map(|host| set("host", host, "--config: host"));
    assert_eq!(run(&[name]).backend, [a, port.clone(), b]);
    assert_eq!(run(&["-c", "host=x", "-c", "host=y", name]).backend, [port, x, y]);
    let error = command(&["-b", "f", name]).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{name}:2: host: is for the built-in back end")), "{error}");
}

/// A value that `opt` takes and that is not its default.
fn sample(opt: &Opt) -> &'static str {
    match opt.setting.as_ref().unwrap() {
        Setting::WebOrigin(_) => "https://example.org",
        Setting::BackendPair => "key=value",
        Setting::Access(Verdict::Allow) => "192.0.2.0/24",
        Setting::Access(Verdict::Deny) => "192.0.2.1",
        Setting::Source => "127.0.0.2",
        Setting::PeerAllow => "2001:db8::/32",
        Setting::Rate(_) => "7/7",
        Setting::Switch(_) => "yes",
        Setting::Listen | Setting::Backend => "name",
        Setting::LogFormat => "json",
        Setting::Plugins | Setting::Path(_) | Setting::Web | Setting::Place(_) => "/dir",
        Setting::Admin => "127.0.0.1:9101",
        Setting::TrustedProxy => "192.0.2.1",
        Setting::ForwardedHeader => "Forwarded",
        Setting::SendProxy => "v2",
        Setting::AuthFile => "/users",
        Setting::Deflate => "7",
        Setting::Account(_) => "somebody",
        Setting::Tls(_) | Setting::Workers(_) | Setting::Sandbox(_) => {
            "see the test of these, which need each other"
        }
        Setting::Count(range, _) if !range.contains(&77) => "777",
        Setting::Port(_) | Setting::MaxConnections | Setting::Count(..) | Setting::Seconds(..) => {
            "77"
        }
    }
}

#[test]
fn every_option_is_a_flag_and_a_key() {
    let without_origins = |mut config: Config| {
        config.max_connections_origin = None;
        for account in [&mut config.user, &mut config.group].into_iter().flatten() {
            account.origin = "".into();
        }
        config.listen.iter_mut().for_each(|listen| listen.origin = None);
        config.sources.iter_mut().for_each(|source| source.origin = "".into());
        config.backend.iter_mut().for_each(|step| step.origin = "".into());
        config.plugins_origin = None;
        config.web_origin = None;
        config.admin.iter_mut().for_each(|admin| admin.origin = "".into());
        config.auth_file_origin = None;
        config.forwarded_header_origin = None;
        config.send_proxy_origin = None;
        config
    };
    let mut seen = HashSet::new();
    let is_alone = |setting: &Setting| match setting {
        Setting::Tls(_) | Setting::Workers(_) | Setting::Sandbox(_) => false,
        Setting::Deflate => cfg!(feature = "deflate"),
        _ => true,
    };
    for opt in options::all().filter(|opt| opt.setting.as_ref().is_some_and(is_alone)) {
        let value = sample(opt);
        let flag = format!("--{}", opt.long);
        let with_value = [flag.as_str(), value];
        let flag = if opt.hint.is_empty() { &with_value[..1] } else { &with_value[..] };
        // It would mean nothing without.
        let needs_proxy = opt.long == "forwarded-header";
        let more = if needs_proxy { &["--trusted-proxy", "::1"][..] } else { &[] };
        let by_flag = without_origins(run(&[flag, more].concat()));
        let section = if opt.long == "config" { "backend" } else { "core" };
        let pair =
            if opt.long == "config" { value.into() } else { format!("{}={value}", opt.long) };
        let more = if needs_proxy { "\ntrusted-proxy=::1" } else { "" };
        let by_file = without_origins(parse(&format!("[{section}]\n{pair}{more}")).unwrap());
        assert_eq!(by_flag, by_file, "{}", opt.long);
        assert_ne!(by_flag, Config::default(), "{}", opt.long);
        assert!(seen.insert(format!("{by_flag:?}")), "{} sets another's field", opt.long);
        if !opt.short.is_empty() {
            let by_letter = without_origins(run(&[&format!("-{}", opt.short), value]));
            assert_eq!(by_letter, by_flag, "{}", opt.short);
        }
    }
}

proptest! {
    #[test]
    fn no_file_makes_the_parser_panic_or_speak_in_two_lines(
        file in r"(\[(core|backend)\]|(port|origin|x)?[= \t]{0,2}[\PC\x00-\x20]{0,9}|\n|\r){0,30}",
    ) {
        if let Err(error) = parse(&file) {
            prop_assert!(!error.contains(char::is_control), "{error:?}");
        }
    }
}

#[test]
fn the_man_page_describes_every_option_and_its_default() {
    let page = include_str!("../../docs/websocksy.8");
    let (_, options) = page.split_once(".Sh OPTIONS\n").unwrap();
    let (options, _) = options.split_once("\n.Sh ").unwrap();
    let entries: Vec<_> = options.split("\n.It Fl ").skip(1).collect();
    assert_eq!(entries.len(), options::all().count());
    for (opt, entry) in options::all().zip(entries) {
        let short = if opt.short.is_empty() { "" } else { &format!("{} , Fl ", opt.short) };
        let argument = if opt.hint.is_empty() { "" } else { &format!(" Ar {}", opt.hint) };
        let (title, text) = entry.split_once('\n').unwrap();
        assert_eq!(title, format!("{short}-{}{argument}", opt.long));
        let default = match &opt.setting {
            None | Some(Setting::Plugins) => None, // the plug-ins' is the packager's choice
            Some(setting) => setting.default_value(),
        };
        let written = text.split("The default is ").nth(1).and_then(|rest| {
            rest.split_whitespace().next().map(|word| word.trim_end_matches(['.', ',']))
        });
        if let Some(default) = default {
            assert_eq!(default.split([',', ';']).next(), written, "{title}");
        }
    }
}

#[test]
fn rules_of_the_command_line_are_asked_before_those_of_the_file() {
    let path = std::env::temp_dir().join(format!("websocksy-rules-{}.conf", std::process::id()));
    fs::write(&path, "[core]\nallow = 10.0.0.0/8\n").unwrap();
    let config = run(&[path.to_str().unwrap(), "--deny", "10.0.0.1"]);
    fs::remove_file(&path).unwrap();
    let admits = |address: &str| config.access.admits(address.parse().unwrap());
    assert!(!admits("10.0.0.1") && admits("10.0.0.2") && !admits("192.0.2.1"));
}

#[cfg(feature = "tls")]
#[test]
fn tls_options_say_what_belongs_together() {
    let pairs = [
        ("tls-cert", "a.pem"),
        ("tls-cert", "b.pem"),
        ("tls-key", "b.key"),
        ("tls-client-ca", "ca.pem"),
        ("tls-client-auth", "optional"),
        ("tls-min-version", "1.3"),
        ("tls-tickets", "tickets"),
        ("peer-ca", "peers.pem"),
        ("peer-cert", "us.pem"),
        ("peer-key", "us.key"),
    ];
    let pairs = [&[("listen", "::1 tls")][..], &pairs].concat();
    let flags: Vec<_> = pairs.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let lines: String = pairs.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    let file = parse(&format!("[core]\n{lines}")).unwrap();
    for config in [run(&flags), file] {
        let tls = config.tls;
        let path = |file: &PlacedPath| {
            let place = file.origin.to_string();
            assert!(place.starts_with("--") || place.starts_with("ws.conf:"), "{place}");
            file.path.to_str().unwrap().to_owned()
        };
        let certificates: Vec<_> = tls
            .certificates
            .iter()
            .map(|pair| (path(&pair.certificate), pair.key.as_ref().map(path)))
            .collect();
        let expected = [("a.pem".into(), None), ("b.pem".into(), Some("b.key".into()))];
        assert_eq!(certificates, expected);
        assert_eq!((tls.client_auth(), tls.min_version), (ClientAuth::Optional, TlsVersion::V1_3));
        let files = [&tls.client_ca, &tls.tickets, &tls.peer_ca, &tls.peer_cert, &tls.peer_key];
        let files = files.map(|file| path(file.as_ref().unwrap()));
        assert_eq!(files, ["ca.pem", "tickets", "peers.pem", "us.pem", "us.key"]);
    }
    assert_eq!(run(&[]).tls, TlsSettings::default());
    assert_eq!(TlsSettings::default().client_auth(), ClientAuth::Required);
}

#[cfg(feature = "tls")]
#[test]
fn tls_options_that_are_wrong_or_for_nobody_are_named() {
    for (args, expected) in [
        (&["--tls-cert="][..], "--tls-cert: needs a value"),
        (&["--tls-key=k"], "--tls-key: stands before its --tls-cert"),
        (&["--tls-cert=c", "--tls-key=k", "--tls-key=l"], "--tls-key: is the second key of one"),
        (&["--tls-client-ca=a"], "--tls-client-ca: needs --tls-cert too"),
        (&["--tls-tickets=a"], "--tls-tickets: needs --tls-cert too"),
        (&["--tls-client-auth=required"], "--tls-client-auth: needs --tls-client-ca too"),
        (&["--tls-client-auth=yes"], "--tls-client-auth: 'yes' is neither required nor optional"),
        (&["--tls-min-version=1.1"], "--tls-min-version: '1.1' is neither 1.2 nor 1.3"),
        (&["-l", "::1 tls"], "--listen: needs --tls-cert too"),
        (&["--tls-cert=a"], "--tls-cert: is for a listener with the word tls"),
        (&["--peer-key=k"], "--peer-key: needs --peer-cert too"),
        (&["--peer-ca=a", "--peer-ca=b"], "--peer-ca: is given twice"),
    ] {
        let error = command(args).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{args:?}: {error}");
    }
}

#[cfg(feature = "deflate")]
#[test]
fn compression_is_off_or_has_a_level() {
    for (value, expected) in [("off", None), ("1", Some(1)), ("9", Some(9))] {
        assert_eq!(run(&["--deflate", value]).deflate, expected);
    }
    for value in ["0", "10", "on", "yes", "-1", "", "01"] {
        let error = command(&["--deflate", value]).unwrap_err().to_string();
        assert!(error.starts_with("--deflate: '") && error.ends_with("nor off"), "{error}");
    }
}

#[cfg(not(feature = "deflate"))]
#[test]
fn compression_is_refused_where_there_is_none() {
    let error = command(&["--deflate", "1"]).unwrap_err().to_string();
    assert!(error.ends_with("this binary was built without compression"), "{error}");
    assert_eq!(run(&["--deflate", "off"]).deflate, None);
}

#[cfg(not(feature = "tls"))]
#[test]
fn options_of_tls_are_refused_where_there_is_none() {
    for args in [["-l", "::1 tls"], ["--tls-cert", "a"], ["--peer-ca", "a"]] {
        let error = command(&args).unwrap_err().to_string();
        assert!(error.ends_with("is not possible: this binary was built without TLS"), "{error}");
    }
}

#[cfg(feature = "sandbox")]
#[test]
fn the_sandbox_is_on_or_off_and_has_paths() {
    let of_flags = run(&["--sandbox", "--sandbox-path", "/a", "--sandbox-path", "b"]).sandbox;
    let file = parse("[core]\nsandbox = yes\nsandbox-path = /a\nsandbox-path = b").unwrap().sandbox;
    for SandboxSettings { wanted, paths } in [of_flags, file] {
        assert!(wanted.is_some());
        let paths: Vec<_> = paths.iter().map(|placed| placed.path.to_str().unwrap()).collect();
        assert_eq!(paths, ["/a", "b"]);
    }
    assert_eq!(parse("[core]\nsandbox = no").unwrap().sandbox, SandboxSettings::default());
    for (args, expected) in [
        (&["--sandbox-path", "/a"][..], "--sandbox-path: is for the sandbox: say --sandbox"),
        (&["--sandbox", "--sandbox-path", ""], "--sandbox-path: needs a value"),
    ] {
        assert_eq!(command(args).unwrap_err().to_string(), expected);
    }
    let error = parse("[core]\nsandbox = 1").unwrap_err();
    assert!(error.ends_with("sandbox: '1' is neither yes nor no"), "{error}");
}

#[cfg(not(feature = "sandbox"))]
#[test]
fn the_sandbox_is_refused_where_there_is_none() {
    for args in [&["--sandbox"][..], &["--sandbox-path", "/a"]] {
        let error = command(args).unwrap_err().to_string();
        assert!(error.ends_with("this binary was built without a sandbox"), "{error}");
    }
    assert_eq!(parse("[core]\nsandbox = no").unwrap().sandbox, SandboxSettings::default());
}

#[test]
fn workers_are_a_number_or_one_for_each_processor() {
    for (value, count) in
        [("1", Workers::Count(1)), ("256", Workers::Count(256)), ("auto", Workers::PerProcessor)]
    {
        assert_eq!(run(&["--workers", value]).workers.count, Some(count));
    }
    assert_eq!(run(&[]).workers, WorkerSettings::default());
    let file = "[core]\nworkers = 2\npin-workers = yes\nstall-timeout = 1.5\nupgrade-drain = 60";
    let WorkerSettings { count, pin, stall_timeout, upgrade_drain, .. } =
        parse(file).unwrap().workers;
    let expected = (Some(Workers::Count(2)), true, [1500, 60_000].map(Duration::from_millis));
    assert_eq!((count, pin, [stall_timeout, upgrade_drain]), expected);
    for (args, expected) in [
        (&["--workers", "0"][..], "--workers: '0' is neither a number from 1 to 256 nor auto"),
        (&["--workers", "257"], "--workers: '257' is neither a number from 1 to 256 nor auto"),
        (&["--workers", "all"], "--workers: 'all' is neither a number from 1 to 256 nor auto"),
        (&["--workers="], "--workers: '' is neither a number from 1 to 256 nor auto"),
        (
            &["--workers", "1", "--stall-timeout", "0.5"],
            "--stall-timeout: '0.5' is no time for a stall: 1 or more",
        ),
        (&["--pin-workers"], "--pin-workers: is for worker processes: say how many, --workers"),
        (&["--stall-timeout", "1"], "--stall-timeout: is for worker processes"),
        (&["--upgrade-drain", "1"], "--upgrade-drain: is for worker processes"),
        (&["--workers", "2", "--stall-timeout", "-1"], "--stall-timeout: '-1' is neither 0 nor"),
    ] {
        let error = command(args).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{args:?}: {error}");
    }
}
