//! The ledger finds out what bytes mean by reading them; who wrote a script knows. Both say the
//! same, however the bytes are cut.

use websocksy_world::{ClientSent, PeerSent, Random};

use crate::client_script::{ClientScript, HEAD};
use crate::kind::Kind;
use crate::peer_script::PeerScript;

const SCRIPTS: u64 = 500;

/// The pieces of a stream.
fn cut(stream: &[u8], random: &mut Random) -> Vec<Vec<u8>> {
    let mut rest = stream;
    let mut pieces = Vec::new();
    while let Some(piece) = rest.split_off(..random.up_to(rest.len().max(1)).min(rest.len())) {
        if piece.is_empty() {
            break;
        }
        pieces.push(piece.to_vec());
    }
    pieces
}

#[test]
fn a_client_is_read_as_it_means_it() {
    for seed in 0..SCRIPTS {
        let mut random = Random::new(seed);
        let kind = Kind::any(&mut random);
        let script = ClientScript::new(kind, &mut random);
        let mut sent = ClientSent::new(kind.route(&mut random).peer_gets);
        cut(&script.stream, &mut random).iter().for_each(|piece| sent.feed(piece));
        match kind {
            Kind::Datagrams => assert!(sent.datagrams == script.datagrams, "{seed}"),
            _ => assert!(sent.stream == script.out, "{seed}"),
        }
        assert_eq!((sent.closed, sent.pings.len()), (script.close, script.pings), "{seed}");
        assert_eq!(sent.broken, script.is_over && script.close.is_none(), "{seed}");
        assert_eq!(sent.least, sent.most(), "{seed}");
    }
    let mut sent = ClientSent::new(Kind::Tcp.route(&mut Random::new(0)).peer_gets);
    sent.feed(&[HEAD, b"\x81\x82\0\0\0\0\xc3\x28"].concat());
    assert!(sent.broken && sent.least == 0, "text that is not UTF-8");
}

#[test]
fn a_peer_is_read_as_it_means_it() {
    for seed in 0..SCRIPTS {
        let mut random = Random::new(seed);
        let kind = Kind::any(&mut random);
        let script = PeerScript::new(kind, &mut random);
        let mut sent = PeerSent::new(&kind.route(&mut random));
        let pieces = match kind {
            Kind::Datagrams => datagrams(&script),
            _ => cut(&script.stream, &mut random),
        };
        pieces.iter().for_each(|piece| sent.feed(piece));
        let ends: Vec<usize> = sent.messages.iter().flatten().map(|(end, _)| *end).collect();
        match kind {
            Kind::Tcp | Kind::Unix | Kind::Text => assert!(sent.payload == script.stream, "{seed}"),
            Kind::Datagrams => {
                assert!(sent.payload == script.stream && ends.len() == script.datagrams.len());
            }
            Kind::Separator(end) => assert_eq!(ends, lines(&script.stream, end), "{seed}"),
            Kind::Frames => {
                assert!(script.payload.starts_with(&sent.payload), "{seed}");
                assert_eq!((sent.closed, sent.broken), (script.close, script.is_broken), "{seed}");
                assert!(sent.payload == script.payload || script.is_cut, "{seed}");
                let counts = (sent.pings.len(), ends.len());
                assert!(counts == (script.pings, script.messages) || script.is_cut, "{seed}");
            }
        }
    }
}

fn datagrams(script: &PeerScript) -> Vec<Vec<u8>> {
    let mut rest = script.stream.as_slice();
    script.datagrams.iter().filter_map(|&n| rest.split_off(..n).map(<[u8]>::to_vec)).collect()
}

/// Where lines end.
fn lines(stream: &[u8], end: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut start = 0;
    while let Some(at) = stream[start..].windows(end.len()).position(|window| window == end) {
        start += at + end.len();
        ends.push(start);
    }
    ends
}
