use super::*;

fn agree(fields: &[&str]) -> Result<Option<String>, Malformed> {
    let agreed = negotiate(fields.iter().map(|field| field.as_bytes()))?;
    Ok(agreed.map(|agreed| {
        let mut out = Vec::new();
        agreed.write(&mut out);
        let words = String::from_utf8(out).unwrap();
        let words = words.strip_prefix("permessage-deflate; ").unwrap();
        words.replace("_context_takeover", "").replace("_max_window_bits", "")
    }))
}

const BARE: &str = "client_no; server=12";

/// RFC 7692 §7.1: what is offered, and what it is answered with, the long names shortened.
#[test]
fn offers_and_their_answers() {
    for (offer, answer) in [
        ("permessage-deflate", BARE),
        ("permessage-deflate; client_max_window_bits", "server=12; client=11"),
        (" permessage-deflate;client_max_window_bits=9 ", "server=12; client=9"),
        ("permessage-deflate; client_max_window_bits=15", "server=12; client=11"),
        ("permessage-deflate; client_max_window_bits=\"10\"", "server=12; client=10"),
        ("permessage-deflate; client_max_window_bits=\"\\8\"", "server=12; client=8"),
        ("permessage-deflate ; server_max_window_bits = 8", "client_no; server=8"),
        ("permessage-deflate; server_max_window_bits=14", BARE),
        ("permessage-deflate; client_no_context_takeover", BARE),
        ("permessage-deflate; client_no_context_takeover; client_max_window_bits=9", BARE),
        (
            "permessage-deflate; server_no_context_takeover; client_max_window_bits",
            "server_no; server=12; client=11",
        ),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "server_no; client_no; server=12",
        ),
        // RFC 7692 §5.2: the client's favourite first.
        (
            "permessage-deflate; server_max_window_bits=10, permessage-deflate",
            "client_no; server=10",
        ),
        ("x-webkit-deflate-frame, permessage-deflate", BARE),
        ("foo; server_max_window_bits=99; bar=\"a\\b\", permessage-deflate", BARE),
        (",, permessage-deflate,,", BARE),
        // Those that cannot be had are passed over.
        (
            "permessage-deflate; foo, permessage-deflate; server_max_window_bits=9",
            "client_no; server=9",
        ),
        ("permessage-deflate; server_max_window_bits=16, permessage-deflate", BARE),
    ] {
        assert_eq!(agree(&[offer]), Ok(Some(answer.into())), "{offer}");
    }
    assert_eq!(agree(&["foo", "permessage-deflate"]), Ok(Some(BARE.into())), "over two lines");
}

#[test]
fn offers_that_are_declined() {
    for offer in [
        "",
        "foo",
        "permessage-bzip2",
        "Permessage-Deflate",
        "permessage-deflate; foo",
        "permessage-deflate; foo=1",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=true",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=010",
        "permessage-deflate; client_max_window_bits=150",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=15",
    ] {
        assert_eq!(agree(&[offer]), Ok(None), "{offer}");
    }
}

/// RFC 6455 §9.1: what breaks the grammar fails the connection, even behind a good offer.
#[test]
fn fields_that_break_the_grammar() {
    for field in [
        ";",
        "permessage-deflate;",
        "permessage-deflate; ;",
        "permessage-deflate; =9",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=\"9",
        "permessage-deflate; server_max_window_bits=\"9\\",
        "permessage-deflate; server_max_window_bits=\"\"",
        "permessage-deflate; server_max_window_bits=\"9 \"",
        "permessage-deflate; server_max_window_bits=9 9",
        "permessage-deflate permessage-deflate",
        "permessage-deflate, foo/bar",
        "permessage-deflate, \"foo\"",
        "permessage-deflate, foo; bar=\"a\\\"b\"",
    ] {
        assert_eq!(agree(&[field]), Err(Malformed), "{field}");
        assert_eq!(agree(&["permessage-deflate", field]), Err(Malformed), "{field}");
    }
}

/// Whatever a client offers, what it is told is within what it allows.
#[test]
fn an_answer_asks_for_no_more_than_was_offered() {
    for server in MIN_BITS..=MAX_BITS {
        for client in MIN_BITS..=MAX_BITS {
            let offer = format!(
                "permessage-deflate; server_max_window_bits={server}; client_max_window_bits={client}"
            );
            let agreed = negotiate([offer.as_bytes()].into_iter()).unwrap().unwrap();
            assert_eq!(agreed.server.bits, server.min(SERVER_BITS));
            assert_eq!(agreed.client.bits, client.min(CLIENT_BITS));
        }
    }
}
