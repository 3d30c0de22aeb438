//! What is asked of a server, and what its answer says.

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use std::net::IpAddr;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Srv,
    A,
    Aaaa,
}

/// A server of a service, by its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Srv {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    /// In small letters; empty for the root.
    pub(crate) target: String,
}

/// What an answer says; nothing, if there is no such name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) srv: Vec<Srv>,
    /// Hosts and their addresses.
    pub(crate) addresses: Vec<(String, IpAddr)>,
    /// For how long, seconds.
    pub(crate) ttl: u32,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Found(Found),
    /// It does not fit in a datagram (RFC 1035 §4.2.1).
    Truncated,
    /// To another question, or none at all.
    Other,
    /// The server cannot say.
    Failed(String),
}

/// A question.
pub(crate) fn question(id: u16, name: &str, kind: Kind) -> Result<Vec<u8>, String> {
    let wrong = |error| format!("{name:?} cannot be asked for: {error:?}");
    let name = Name::new(name).map_err(wrong)?;
    let kind = QTYPE::TYPE(match kind {
        Kind::Srv => TYPE::SRV,
        Kind::A => TYPE::A,
        Kind::Aaaa => TYPE::AAAA,
    });
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(name, kind, QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().map_err(|error| format!("{error:?}"))
}

/// What `bytes` say to the question of this number and name.
pub(crate) fn answer(bytes: &[u8], id: u16, asked: &str) -> Answer {
    let Ok(packet) = Packet::parse(bytes) else { return Answer::Other };
    let is_ours = packet.id() == id
        && packet.has_flags(PacketFlag::RESPONSE)
        && packet.questions.first().is_some_and(|question| text(&question.qname) == lower(asked));
    if !is_ours {
        return Answer::Other;
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Answer::Truncated;
    }
    match packet.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Answer::Found(Found::default()),
        code => return Answer::Failed(format!("it answers with {code:?}")),
    }
    let mut found = Found { ttl: u32::MAX, ..Found::default() };
    let sections = [(true, &packet.answers), (false, &packet.additional_records)];
    for (is_answer, record) in sections
        .into_iter()
        .flat_map(|(is_answer, all)| all.iter().map(move |one| (is_answer, one)))
    {
        match &record.rdata {
            RData::SRV(srv) if is_answer => found.srv.push(Srv {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: text(&srv.target),
            }),
            RData::A(a) => {
                found.addresses.push((text(&record.name), IpAddr::from(a.address.to_be_bytes())))
            }
            RData::AAAA(a) => {
                found.addresses.push((text(&record.name), IpAddr::from(a.address.to_be_bytes())))
            }
            RData::CNAME(_) if is_answer => {}
            _ => continue,
        }
        found.ttl = found.ttl.min(record.ttl);
    }
    // A name that an address cannot be made of is none.
    found.srv.retain(|srv| srv.target.is_empty() || is_host(&srv.target));
    Answer::Found(found)
}

/// A name in small letters, as names are compared (RFC 1035 §2.3.3).
fn text(name: &Name<'_>) -> String {
    lower(&name.to_string())
}

fn lower(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn is_host(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, AAAA, SRV};
    use std::net::{Ipv4Addr, Ipv6Addr};

    const NAME: &str = "_vnc._tcp.example.org";

    fn record<'a>(name: &'a str, ttl: u32, data: RData<'a>) -> ResourceRecord<'a> {
        ResourceRecord::new(Name::new(name).unwrap(), CLASS::IN, ttl, data)
    }

    fn srv(target: &str, port: u16) -> RData<'_> {
        RData::SRV(SRV { priority: 1, weight: 2, port, target: Name::new(target).unwrap() })
    }

    fn reply(change: impl FnOnce(&mut Packet<'_>)) -> Vec<u8> {
        let asked = question(7, NAME, Kind::Srv).unwrap();
        let mut packet = Packet::parse(&asked).unwrap().into_reply();
        change(&mut packet);
        packet.build_bytes_vec().unwrap()
    }

    #[test]
    fn a_question_is_that_of_rfc_1035() {
        let bytes = question(0x1234, "_a._tcp.b", Kind::Srv).unwrap();
        let expected = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02_a\x04_tcp\x01b\x00\x00\x21\x00\x01";
        assert_eq!(bytes, expected);
        assert!(question(1, &"a".repeat(64), Kind::A).is_err());
    }

    #[test]
    fn records_and_the_addresses_that_came_along() {
        let bytes = reply(|packet| {
            packet.answers.push(record(NAME, 60, srv("A.example.org", 5901)));
            packet.answers.push(record(NAME, 60, srv(".", 1)));
            packet.answers.push(record(NAME, 60, srv("b c.example.org", 1)));
            let v4 = RData::A(A { address: Ipv4Addr::new(192, 0, 2, 1).into() });
            packet.additional_records.push(record("a.Example.org", 30, v4));
            let v6 = RData::AAAA(AAAA { address: Ipv6Addr::LOCALHOST.into() });
            packet.additional_records.push(record("a.example.org", 90, v6));
            packet.additional_records.push(record(NAME, 1, srv("not-an-answer", 1)));
        });
        let Answer::Found(found) = answer(&bytes, 7, "_VNC._tcp.example.org.") else {
            panic!("{bytes:?}");
        };
        let target =
            |target: &str, port| Srv { priority: 1, weight: 2, port, target: target.into() };
        assert_eq!(found.srv, [target("a.example.org", 5901), target("", 1)]);
        let host = "a.example.org".to_owned();
        let addresses = [Ipv4Addr::new(192, 0, 2, 1).into(), Ipv6Addr::LOCALHOST.into()];
        assert_eq!(found.addresses, addresses.map(|address| (host.clone(), address)));
        assert_eq!(found.ttl, 30);
        // Cut anywhere, it is no answer, and nothing breaks.
        for end in 0..bytes.len() {
            assert_eq!(answer(&bytes[..end], 7, NAME), Answer::Other, "{end}");
        }
    }

    #[test]
    fn what_else_a_server_may_say() {
        let with_code = |code| reply(|packet| *packet.rcode_mut() = code);
        assert_eq!(answer(&with_code(RCODE::NameError), 7, NAME), Answer::Found(Found::default()));
        let failed = answer(&with_code(RCODE::ServerFailure), 7, NAME);
        assert_eq!(failed, Answer::Failed("it answers with ServerFailure".into()));
        let cut = reply(|packet| packet.set_flags(PacketFlag::TRUNCATION));
        assert_eq!(answer(&cut, 7, NAME), Answer::Truncated);
        for (bytes, id, name) in [
            (with_code(RCODE::NoError), 8, NAME),
            (with_code(RCODE::NoError), 7, "_x._tcp.example.org"),
            (question(7, NAME, Kind::Srv).unwrap(), 7, NAME),
            (Vec::new(), 7, NAME),
        ] {
            assert_eq!(answer(&bytes, id, name), Answer::Other);
        }
        let pointing_at_itself =
            [&with_code(RCODE::NoError)[..12], b"\xc0\x0c\x00\x21\x00\x01"].concat();
        assert_eq!(answer(&pointing_at_itself, 7, NAME), Answer::Other);
    }
}
