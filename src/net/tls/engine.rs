//! What is asked of `rustls`, in one place: ciphertext in, plaintext and ciphertext out. It owns no
//! buffers (the unbuffered API), so a session that has nothing to keep holds none.

use std::sync::Arc;

use rustls::client::{ClientConfig, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConfig, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};
use rustls::{CipherSuite, CommonState, Error, HandshakeKind, ProtocolVersion};

use super::subject;
use crate::proto::client_tls::ClientTls;

/// The plaintext of a record, at most (RFC 8446 §5.1).
pub(super) const RECORD: usize = 16 * 1024;
/// A record with its header, at most, in either version (RFC 5246 §6.2.3).
pub(super) const WIRE_RECORD: usize = 5 + RECORD + 2048;

/// What OpenSSL calls the cipher suites that are taken here.
const CIPHERS: [(CipherSuite, &str); 9] = {
    use CipherSuite as Suite;
    [
        (Suite::TLS13_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256"),
        (Suite::TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384"),
        (Suite::TLS13_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256"),
        (Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256"),
        (Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384"),
        (Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305"),
        (Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256"),
        (Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384"),
        (Suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305"),
    ]
};

/// One end of a TLS connection, without its socket.
pub(super) enum Engine {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// What one step brought.
enum Step {
    /// There is more to do.
    More,
    /// It takes more ciphertext to go on.
    Starved,
    /// The other end sent its `close_notify`.
    Ended,
}

/// What [`Engine::receive`] made of its input.
pub(super) struct Received {
    /// Bytes at the front of the input that are done with.
    pub(super) used: usize,
    /// The other end said that nothing follows (RFC 8446 §6.1).
    pub(super) ended: bool,
    /// What was wrong; nothing can be received any more.
    pub(super) error: Option<Error>,
}

impl Engine {
    /// The end that clients reach.
    pub(super) fn server(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self::Server(Box::new(UnbufferedServerConnection::new(config)?)))
    }

    /// The end that reaches `name`.
    pub(super) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, Error> {
        Ok(Self::Client(Box::new(UnbufferedClientConnection::new(config, name)?)))
    }

    fn state(&self) -> &CommonState {
        match self {
            Self::Server(connection) => connection,
            Self::Client(connection) => connection,
        }
    }

    /// Whether no data can go either way yet.
    pub(super) fn is_handshaking(&self) -> bool {
        self.state().is_handshaking()
    }

    /// The version that was agreed on.
    pub(super) fn version(&self) -> Option<&'static str> {
        match self.state().protocol_version()? {
            ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
            ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
            _ => None,
        }
    }

    /// What was agreed on, and whom the other end has shown to be; none before that.
    pub(super) fn facts(&self) -> Option<ClientTls> {
        let state = self.state();
        let suite = state.negotiated_cipher_suite()?.suite();
        let shown = state.peer_certificates().and_then(<[_]>::first);
        Some(ClientTls {
            version: self.version()?,
            cipher: CIPHERS.iter().find(|(own, _)| *own == suite).map(|(_, name)| *name),
            protocol: state.alpn_protocol().map(<[_]>::to_vec),
            server_name: None,
            subject: shown.map(|leaf| subject::of(leaf).unwrap_or_default()),
            is_resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }

    /// Takes ciphertext from the front of `input`, and hands each record's plaintext to `take`; what is
    /// to be sent because of it goes behind `out`. What is left of the input comes again before what
    /// follows, as it then is: it may be decrypted in its place.
    pub(super) fn receive(
        &mut self,
        input: &mut [u8],
        mut take: impl FnMut(&[u8]),
        out: &mut Vec<u8>,
    ) -> Received {
        let mut received = Received { used: 0, ended: false, error: None };
        loop {
            let Some(rest) = input.get_mut(received.used..) else { return received };
            let (used, step) = self.step(rest, &mut take, out);
            received.used += used;
            match step {
                Ok(Step::More) => {}
                Ok(Step::Starved) => return received,
                Ok(Step::Ended) => received.ended = true,
                Err(error) => {
                    received.error = Some(error);
                    break;
                }
            }
        }
        // The alert that says so. Nothing may be looked at again that was wrong.
        while self.state().wants_write() && self.step(&mut [], &mut take, out).1.is_ok() {}
        received
    }

    fn step(
        &mut self,
        input: &mut [u8],
        take: &mut impl FnMut(&[u8]),
        out: &mut Vec<u8>,
    ) -> (usize, Result<Step, Error>) {
        match self {
            Self::Server(connection) => step(connection.process_tls_records(input), take, out),
            Self::Client(connection) => step(connection.process_tls_records(input), take, out),
        }
    }

    /// Encrypts `data` behind `out`. `kept` is the input that was left.
    pub(super) fn encrypt(
        &mut self,
        data: &[u8],
        kept: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.traffic(kept, out, Encrypt::Data(data))
    }

    /// Puts a `close_notify` behind `out`.
    pub(super) fn close_notify(&mut self, kept: &mut [u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.traffic(kept, out, Encrypt::CloseNotify)
    }

    fn traffic(
        &mut self,
        kept: &mut [u8],
        out: &mut Vec<u8>,
        what: Encrypt<'_>,
    ) -> Result<(), Error> {
        match self {
            Self::Server(connection) => write(connection.process_tls_records(kept), what, out),
            Self::Client(connection) => write(connection.process_tls_records(kept), what, out),
        }
    }
}

/// Does what a status asks for; returns how many bytes of the input are done with.
fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    take: &mut impl FnMut(&[u8]),
    out: &mut Vec<u8>,
) -> (usize, Result<Step, Error>) {
    let mut used = status.discard;
    let step = status.state.and_then(|state| match state {
        ConnectionState::ReadTraffic(mut records) => {
            while let Some(record) = records.next_record() {
                let record = record?;
                used += record.discard;
                take(record.payload);
            }
            Ok(Step::More)
        }
        ConnectionState::EncodeTlsData(mut data) => encode(&mut data, out).map(|()| Step::More),
        ConnectionState::TransmitTlsData(data) => {
            data.done(); // what is in `out` is the transport's, which sees it through
            Ok(Step::More)
        }
        ConnectionState::PeerClosed => Ok(Step::Ended),
        ConnectionState::BlockedHandshake
        | ConnectionState::WriteTraffic(_)
        | ConnectionState::Closed => Ok(Step::Starved),
        // Not offered, so not accepted.
        ConnectionState::ReadEarlyData(_) => Err(Error::General("early data".into())),
        _ => Err(Error::General("unknown state".into())),
    });
    (used, step)
}

fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, out: &mut Vec<u8>) -> Result<(), Error> {
    match data.encode(&mut []) {
        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
            let start = out.len();
            out.resize(start + required_size, 0);
            let encoded = data.encode(out.get_mut(start..).unwrap_or_default());
            encoded.map(drop).map_err(|error| Error::General(error.to_string()))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(Error::General(error.to_string())),
    }
}

/// What [`write`] encrypts.
#[derive(Clone, Copy)]
enum Encrypt<'a> {
    Data(&'a [u8]),
    CloseNotify,
}

impl Encrypt<'_> {
    fn write<Data>(
        self,
        traffic: &mut WriteTraffic<'_, Data>,
        out: &mut [u8],
    ) -> Result<usize, EncryptError> {
        match self {
            Self::Data(data) => traffic.encrypt(data, out),
            Self::CloseNotify => traffic.queue_close_notify(out),
        }
    }

    /// How much `out` it takes, mostly: headers and tags of its records, and what may go before.
    fn room(self) -> usize {
        let length = match self {
            Self::Data(data) => data.len(),
            Self::CloseNotify => 2,
        };
        length + (length / RECORD + 1) * 64
    }
}

fn write<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    what: Encrypt<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let ConnectionState::WriteTraffic(mut traffic) = status.state? else {
        return Err(Error::HandshakeNotComplete);
    };
    let start = out.len();
    let mut room = what.room();
    loop {
        out.resize(start + room, 0);
        let written = what.write(&mut traffic, out.get_mut(start..).unwrap_or_default());
        out.truncate(start + *written.as_ref().unwrap_or(&0));
        match written {
            Ok(_) => return Ok(()),
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size }))
                if required_size > room =>
            {
                room = required_size;
            }
            Err(error) => return Err(Error::General(error.to_string())),
        }
    }
}
