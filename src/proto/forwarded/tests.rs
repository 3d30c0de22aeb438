use super::*;
use ForwardedHeader::{Forwarded, XForwardedFor, XRealIp};

/// From a proxy at 10.0.0.1, where all of 10.0.0.0/8 are proxies.
fn located(header: ForwardedHeader, lines: &[&str]) -> Located {
    let start = SocketAddr::from(([10, 0, 0, 1], 7)).into();
    let trusts = |address: Address| match address.ip() {
        Some(IpAddr::V4(v4)) => v4.octets()[0] == 10,
        Some(IpAddr::V6(_)) | None => false,
    };
    locate(header, lines.iter().map(|line| line.as_bytes()), start, trusts)
}

#[track_caller]
fn check(header: ForwardedHeader, lines: &[&str], address: &str, unreadable: Option<&str>) {
    let Located { address: found, unreadable: found_text } = located(header, lines);
    assert_eq!(found.to_string(), address, "{lines:?}");
    let text = found_text.as_deref().map(String::from_utf8_lossy);
    assert_eq!(text.as_deref(), unreadable, "{lines:?}");
}

#[test]
fn a_comma_behind_an_escaped_quote_is_quoted_still() {
    type Split = (Option<&'static [u8]>, &'static [u8]);
    let cases: [(&[u8], Split); 3] = [
        (br#"a="x,\",b"#, (Some(br#"a="x,\""#), b"b")),
        (br#"a="x,\",b""#, (None, br#"a="x,\",b""#)),
        (br#"a="x,\\",b"#, (Some(br#"a="x,\\""#), b"b")),
    ];
    for (list, split) in cases {
        assert_eq!(split_last_unquoted(list), split, "{}", list.escape_ascii());
    }
}

#[test]
fn x_forwarded_for_is_read_from_the_right_up_to_the_first_that_is_no_proxy() {
    for (lines, address, unreadable) in [
        (&[][..], "10.0.0.1:7", None),
        (&[""], "10.0.0.1:7", None),
        (&["192.0.2.1"], "192.0.2.1", None),
        (&["192.0.2.1:8080"], "192.0.2.1:8080", None),
        (&["2001:db8::1"], "2001:db8::1", None),
        (&["[2001:db8::1]"], "2001:db8::1", None),
        (&["[2001:db8::1]:80"], "[2001:db8::1]:80", None),
        (&["::ffff:192.0.2.1"], "192.0.2.1", None),
        (&["::ffff:10.0.0.9"], "10.0.0.9", None),
        (&["192.0.2.66, 192.0.2.1"], "192.0.2.1", None),
        (&["192.0.2.66,192.0.2.1 ,\t10.0.0.2"], "192.0.2.1", None),
        (&["192.0.2.66", "192.0.2.1", "10.0.0.2"], "192.0.2.1", None),
        (&["10.0.0.3, 10.0.0.2"], "10.0.0.3", None),
        (&["192.0.2.1, , ,"], "192.0.2.1", None),
        (&["evil\u{1}, 192.0.2.1"], "192.0.2.1", None),
        (&["192.0.2.1, unknown"], "10.0.0.1:7", Some("unknown")),
        (&["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2", Some("unknown")),
        (&["192.0.2.1 192.0.2.2"], "10.0.0.1:7", Some("192.0.2.1 192.0.2.2")),
        (&["192.0.2.1:"], "10.0.0.1:7", Some("192.0.2.1:")),
        (&["192.0.2.1:65536"], "10.0.0.1:7", Some("192.0.2.1:65536")),
        (&["192.0.2.1:+80"], "10.0.0.1:7", Some("192.0.2.1:+80")),
        (&["[2001:db8::1"], "10.0.0.1:7", Some("[2001:db8::1")),
        (&["[192.0.2.1]"], "10.0.0.1:7", Some("[192.0.2.1]")),
        (&["[2001:db8::1]80"], "10.0.0.1:7", Some("[2001:db8::1]80")),
        (&["192.0.2.01"], "10.0.0.1:7", Some("192.0.2.01")),
        (&["\"192.0.2.1\""], "10.0.0.1:7", Some("\"192.0.2.1\"")),
        (&["host.example"], "10.0.0.1:7", Some("host.example")),
    ] {
        check(XForwardedFor, lines, address, unreadable);
    }
}

#[test]
fn forwarded_is_rfc_7239() {
    for (lines, address, unreadable) in [
        (&["for=192.0.2.60;proto=http;by=203.0.113.43"][..], "192.0.2.60", None),
        (&["For=\"[2001:db8:cafe::17]:4711\""], "[2001:db8:cafe::17]:4711", None),
        (&["for=\"[2001:db8::1]\""], "2001:db8::1", None),
        (&["for=192.0.2.43, for=198.51.100.17"], "198.51.100.17", None),
        (&["for=192.0.2.43, for=10.0.0.2;by=\"_a,b\""], "192.0.2.43", None),
        (&["for=192.0.2.43", "for=\"10.0.0.2:_port\""], "192.0.2.43", None),
        (&["by=\"a\\\",;b\";for=192.0.2.43"], "192.0.2.43", None),
        (&["for=\"\\1\\9\\2.0.2.43\""], "192.0.2.43", None),
        (&["for=192.0.2.43:80"], "192.0.2.43:80", None),
        // What a client left open does not reach what the proxy wrote behind it.
        (&["for=\"evil, for=192.0.2.43"], "192.0.2.43", None),
        (&["for=\"evil\\, for=\"[2001:db8::1]:80\""], "[2001:db8::1]:80", None),
        (&["for=evil;;;, for=192.0.2.43"], "192.0.2.43", None),
        (&["for=192.0.2.43, for=unknown"], "10.0.0.1:7", Some("for=unknown")),
        (&["for=_hidden, for=10.0.0.2"], "10.0.0.2", Some("for=_hidden")),
        (&["for=192.0.2.43, proto=http"], "10.0.0.1:7", Some("proto=http")),
        (&["for=192.0.2.43;for=192.0.2.44"], "10.0.0.1:7", Some("for=192.0.2.43;for=192.0.2.44")),
        (&["for=\"192.0.2.43"], "10.0.0.1:7", Some("for=\"192.0.2.43")),
        (&["for=\"192.0.2.43\"x"], "10.0.0.1:7", Some("for=\"192.0.2.43\"x")),
        (&["for=192.0.2.43;"], "192.0.2.43", None),
        (&["; ;for=192.0.2.43;;proto=http; "], "192.0.2.43", None),
        (&[";;"], "10.0.0.1:7", Some(";;")),
        (&["for=\"192.0.2.43:_\""], "10.0.0.1:7", Some("for=\"192.0.2.43:_\"")),
        (&["192.0.2.43"], "10.0.0.1:7", Some("192.0.2.43")),
    ] {
        check(Forwarded, lines, address, unreadable);
    }
}

#[test]
fn x_real_ip_is_one_address() {
    for (lines, address, unreadable) in [
        (&[][..], "10.0.0.1:7", None),
        (&["192.0.2.1"], "192.0.2.1", None),
        (&["192.0.2.66", "192.0.2.1"], "192.0.2.1", None),
        (&["192.0.2.66", "10.0.0.2"], "10.0.0.2", None),
        (&["192.0.2.1, 192.0.2.2"], "10.0.0.1:7", Some("192.0.2.1, 192.0.2.2")),
        (&["192.0.2.1", ""], "10.0.0.1:7", Some("")),
    ] {
        check(XRealIp, lines, address, unreadable);
    }
}

#[test]
fn what_is_kept_of_garbage_is_short() {
    let long = "x".repeat(60_000);
    let found = located(XForwardedFor, &[&long]);
    assert_eq!(found.unreadable.map(|text| text.len()), Some(SHOWN));
}
