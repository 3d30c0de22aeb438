use super::*;
use crate::backend::AddressError;
use crate::backend::address_error::{LONGEST_SOCKET_PATH, QUOTED};
use Scheme::{Detect, FifoRx, FifoTx, Tcp, Udp, UnixDatagram, UnixStream};

fn parse(transport: Scheme, host: &str, port: Option<&str>) -> Result<String, AddressError> {
    Target::parse(transport, host, port).map(|target| target.to_string())
}

#[test]
fn p06_c52_c53_hosts_and_ports() {
    for (host, port, expected) in [
        ("tcp://h:1", None, "tcp://h:1"),
        ("udp://h:65535", None, "udp://h:65535"),
        ("tcp://h", Some("1"), "tcp://h:1"),
        ("tcp://h:1", Some("2"), "tcp://h:2"),
        ("tcp://h:1", Some(""), "tcp://h:1"),
        ("TCP://Host-1.example.", Some("80"), "tcp://Host-1.example.:80"),
        ("h:1", None, "tcp://h:1"),
        ("h", Some("1"), "tcp://h:1"),
        ("tcp://127.0.0.1:1", None, "tcp://127.0.0.1:1"),
        ("tcp://[::1]:1", None, "tcp://[::1]:1"),
        ("tcp://[::1]", Some("1"), "tcp://[::1]:1"),
        ("[::1]:1", None, "tcp://[::1]:1"),
        ("::1", Some("1"), "tcp://[::1]:1"),
        ("tcp://::ffff:1.2.3.4", Some("1"), "tcp://[::ffff:1.2.3.4]:1"),
        ("udp://[fe80::1%eth0]:1", None, "udp://[fe80::1%eth0]:1"),
        ("tcp://\u{fc}ber.example:1", None, r"tcp://\xc3\xbcber.example:1"), // A11
    ] {
        assert_eq!(parse(Detect, host, port), Ok(expected.into()), "{host} {port:?}");
    }
}

/// The C header has no value for it: a back end writes the scheme, with or without saying TCP.
#[test]
fn tls_is_by_its_scheme_alone() {
    for transport in [Detect, Tcp] {
        for host in ["tls://h:1", "TLS://h:1", "tls://h"] {
            let parsed = parse(transport, host, Some("1"));
            let expected = if cfg!(feature = "tls") {
                Ok("tls://h:1".into())
            } else {
                Err(AddressError::NoTls)
            };
            assert_eq!(parsed, expected, "{transport:?} {host}");
        }
    }
    assert!(parse(Udp, "tls://h:1", None).is_err());
}

#[test]
fn the_host_is_kept_without_brackets() {
    let target = Target::parse(Detect, "tcp://[::1]:1", None);
    assert_eq!(target, Ok(Target::Tcp { host: "::1".into(), port: 1 }));
}

#[test]
fn hosts_that_are_none() {
    for host in [
        "",
        ":1",
        "a b:1",
        "a/b:1",
        "u@h:1",
        "/run/socket",
        "[h]:1",
        "[::1",
        "[::1]1",
        "[]:1",
        "::1]:1",
        "[::1%]:1",
        "[::1%a/b]:1",
        "h\n:1",
        "h?:1",
    ] {
        let expected = Err(AddressError::Host(host.into()));
        assert_eq!(parse(Detect, &format!("tcp://{host}"), None), expected);
        assert_eq!(parse(Detect, &format!("tcp://{host}"), Some("1")), expected);
    }
    for (host, port) in [("h:1/", "1/"), ("a:b:1", "b:1"), ("1::2::3", ":2::3")] {
        let expected = Err(AddressError::Port(port.into()));
        assert_eq!(parse(Detect, &format!("tcp://{host}"), None), expected);
        assert_eq!(parse(Detect, &format!("tcp://{host}"), Some("1")), expected);
    }
    assert_eq!(parse(Detect, "", Some("1")), Err(AddressError::Empty));
    assert_eq!(parse(UnixStream, "", None), Err(AddressError::Empty));
}

#[test]
fn ports_that_are_none() {
    for port in [
        "0",
        "010",
        "65536",
        "-1",
        "+1",
        "1 ",
        "no such",
        "no-such",
        "1e3",
        "0x50",
        "99999999999999999999",
    ] {
        let expected = Err(AddressError::Port(port.into()));
        assert_eq!(parse(Detect, "tcp://h", Some(port)), expected);
        assert_eq!(parse(Detect, &format!("tcp://h:{port}"), None), expected);
    }
    assert_eq!(parse(Detect, "tcp://h:", None), Err(AddressError::Port("".into())));
    for (transport, host) in [(Detect, "tcp://h"), (Tcp, "h"), (Udp, "::1"), (Tcp, "[::1]")] {
        assert_eq!(parse(transport, host, None), Err(AddressError::NoPort), "{host}");
    }
}

/// The system's own list has names for TCP and for UDP; where there is none, there is nothing to try.
#[test]
fn s6_services_are_ports() {
    let services = std::fs::read_to_string("/etc/services").unwrap_or_default();
    for (suffix, scheme) in [("/tcp", "tcp"), ("/udp", "udp")] {
        let listed = services.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let (name, port) = (words.next()?, words.next()?.strip_suffix(suffix)?);
            Some((name, port.parse::<u16>().ok().filter(|port| *port != 0)?))
        });
        let Some((name, port)) = listed else {
            println!("/etc/services lists nothing for {scheme}");
            continue;
        };
        let expected = Ok(format!("{scheme}://h:{port}"));
        assert_eq!(parse(Detect, &format!("{scheme}://h"), Some(name)), expected);
        assert_eq!(parse(Detect, &format!("{scheme}://h:{name}"), None), expected);
    }
}

#[test]
fn schemes() {
    for (host, expected) in [
        ("unix:///run/s", Ok("unix:///run/s")),
        ("UNIX://s", Ok("unix://s")),
        ("unix-dgram:///run/s", Ok("unix-dgram:///run/s")),
        ("fifotx:///f", Ok("fifotx:///f")),
        ("fiforx:///f:1", Ok("fiforx:///f:1")),
        ("http://h:1", Err("http")),
        ("unix-stream:///s", Err("unix-stream")),
        ("://h:1", Err("")),
        (" tcp://h:1", Err(" tcp")),
    ] {
        let expected = expected.map(Into::into);
        assert_eq!(parse(Detect, host, None), expected.map_err(|s| AddressError::Scheme(s.into())));
    }
}

#[test]
fn a_transport_that_is_given_takes_the_host_as_it_is() {
    for (transport, host, expected) in [
        (Tcp, "h:1", Ok("tcp://h:1".into())),
        (Udp, "h:1", Ok("udp://h:1".into())),
        (FifoTx, "/f", Ok("fifotx:///f".into())),
        (FifoRx, "/f", Ok("fiforx:///f".into())),
        (UnixStream, "/a://b", Ok("unix:///a://b".into())),
        (UnixDatagram, "/s", Ok("unix-dgram:///s".into())),
        (Udp, "tcp://h:1", Err(AddressError::Port("//h:1".into()))),
    ] {
        assert_eq!(parse(transport, host, None), expected, "{host}");
    }
    // A port means nothing to a path.
    assert_eq!(parse(UnixStream, "/s", Some("http")), Ok("unix:///s".into()));
}

#[test]
fn p08_c54_paths_that_do_not_fit_are_not_cut() {
    assert_eq!(LONGEST_SOCKET_PATH, 107);
    let (fits, too_long) = ("/".repeat(107), "/".repeat(108));
    for transport in [UnixStream, UnixDatagram] {
        assert!(parse(transport, &fits, None).is_ok());
        assert_eq!(parse(transport, &too_long, None), Err(AddressError::LongPath(108)));
    }
    let by_scheme = parse(Detect, &format!("unix://{too_long}"), None);
    assert_eq!(by_scheme, Err(AddressError::LongPath(108)));
    assert!(parse(FifoTx, &too_long, None).is_ok());
}

#[test]
fn paths_that_are_none() {
    for (host, path) in
        [("unix://", ""), ("fifotx://", ""), ("unix:///a\0b", "/a\0b"), ("fiforx://\n", "\n")]
    {
        assert_eq!(parse(Detect, host, None), Err(AddressError::Path(path.into())), "{host:?}");
    }
}

#[test]
fn transports_of_the_c_contract() {
    let known = [Detect, Tcp, Udp, FifoTx, FifoRx, UnixStream, UnixDatagram];
    for (value, transport) in (0..).zip(known) {
        assert_eq!(Scheme::from_abi(value), Some(transport));
    }
    for value in [7, 99, u32::MAX] {
        assert_eq!(Scheme::from_abi(value), None);
    }
}

#[test]
fn errors_name_what_is_wrong_and_quote_a_part_at_most() {
    for (error, text) in [
        (AddressError::Empty, "the peer's host is empty"),
        (
            AddressError::Scheme("http".into()),
            if cfg!(feature = "tls") {
                "the peer's scheme \"http\" is unknown; there are tcp://, tls://, udp://, unix://, \
                 unix-dgram://, fifotx://, fiforx://"
            } else {
                "the peer's scheme \"http\" is unknown; there are tcp://, udp://, unix://, \
                 unix-dgram://, fifotx://, fiforx://"
            },
        ),
        (
            AddressError::Host("\n".repeat(9)),
            "\"\\n\\n\\n\\n\\n\\n\\n\\n\\n\" is not a name or address of a host",
        ),
        (AddressError::NoPort, "the peer has no port: write tcp://HOST:PORT"),
        (AddressError::Port("0080".into()), "port \"0080\" begins with a zero: write 80"),
        (
            AddressError::Port("x".into()),
            "port \"x\" is neither a number from 1 to 65535 nor a service",
        ),
        (AddressError::Path("".into()), "the peer has no path: write it as in unix:///PATH"),
        (AddressError::LongPath(108), "a path of 108 bytes; a Unix socket has room for 107"),
    ] {
        assert_eq!(error.to_string(), text);
    }
    let long = AddressError::Host("\u{1f600}".repeat(20_000)).to_string();
    assert_eq!(long.matches('\u{1f600}').count(), QUOTED);
}

#[test]
fn what_is_taken_for_tcp() {
    assert!(lacks_scheme(Detect, "h:1"));
    assert!(!lacks_scheme(Detect, "tcp://h:1"));
    assert!(!lacks_scheme(Tcp, "h:1"));
}

#[test]
fn f12_abstract_names_of_unix_sockets() {
    let (fits, too_long) = ("@".to_owned() + &"x".repeat(107), "@".to_owned() + &"x".repeat(108));
    for (scheme, transport) in [("unix", UnixStream), ("unix-dgram", UnixDatagram)] {
        for name in ["@websocksy", "@/a b", &fits] {
            let url = format!("{scheme}://{name}");
            assert_eq!(parse(transport, name, None), Ok(url.clone()));
            let target = Target::parse(Detect, &url, None).unwrap();
            assert_eq!(target.to_string(), url);
            assert_eq!(target.check_absolute(), Ok(()));
        }
        assert_eq!(parse(transport, "@", None), Err(AddressError::Path("@".into())));
        assert_eq!(parse(transport, &too_long, None), Err(AddressError::LongPath(108)));
    }
    // A FIFO has no such names: this one is a relative path.
    let fifo = Target::parse(FifoTx, "@fifo", None).unwrap();
    assert_eq!(fifo.check_absolute(), Err(AddressError::Relative("fifotx", "@fifo".into())));
}

#[test]
fn o03_relative_paths_are_named() {
    for (host, expected) in [
        ("unix://s", "\"s\" is not an absolute path: write unix:///PATH"),
        ("unix-dgram://a/s", "\"a/s\" is not an absolute path: write unix-dgram:///PATH"),
        ("fiforx://./f", "\"./f\" is not an absolute path: write fiforx:///PATH"),
    ] {
        let error = Target::parse(Detect, host, None).unwrap().check_absolute().unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(Target::parse(Detect, "tcp://h:1", None).unwrap().check_absolute(), Ok(()));
    assert_eq!(Target::parse(Detect, "unix:///s", None).unwrap().check_absolute(), Ok(()));
}

#[test]
fn o03_an_address_that_may_end_in_a_port_wants_brackets() {
    for host in ["::1:5900", "tcp://::1:5900", "udp://fe80::1:7000", "tcp://::1:2:3", "fd00::1:2"] {
        assert!(matches!(no_port_inside(host), Err(AddressError::Bare(..))), "{host}");
    }
    for host in ["::1", "tcp://::1", "fe80::1", "::ffff:1.2.3.4", "::5900", "[::1:5900]", "h:5900"]
    {
        assert_eq!(no_port_inside(host), Ok(()), "{host}");
    }
    let error = no_port_inside("tcp://::1:5900").unwrap_err().to_string();
    assert!(error.contains("[::1]:5900") && error.contains("[::1:5900]"), "{error}");
}

#[test]
fn o02_a_scheme_without_its_slashes() {
    for (host, right) in [
        ("tcp:localhost:5900", "tcp://localhost:5900"),
        ("unix:/run/x.sock", "unix:///run/x.sock"),
        ("UDP:h:1", "UDP://h:1"),
    ] {
        let error = Target::parse(Detect, host, None).unwrap_err().to_string();
        assert!(error.ends_with(&format!("write {right}")), "{error}");
    }
    assert_eq!(parse(Detect, "tcp:5900", None), Ok("tcp://tcp:5900".into())); // a host of this name
}
