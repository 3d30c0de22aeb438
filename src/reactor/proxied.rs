//! Clients that come through a proxy: who are they?
//!
//! Until that is known a session counts in all only, is on no list, and takes its time from that
//! for the request head.

use std::fmt::Display;
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;

use log::{debug, info};

use super::context::Context;
use super::listen::Place;
use super::session::{Next, Proxied, Session};
use super::system::System;
use crate::access::NotAdmitted;
use crate::conn::socket::Socket;
use crate::conn::{Arrived, Ending};
use crate::logging::Escaped;
use crate::net::Channel;
use crate::proto::client_addr::{Address, ClientAddr};
use crate::proto::forwarded::Located;
use crate::proto::proxy::{self, Introduction, Progress, ProxyError, Subject};

/// The name of endings for want of a good PROXY header.
const HEADER: &str = "proxy-header";

impl<S: System> Session<S> {
    /// Its client is a trusted proxy, which begins with a PROXY header or not.
    pub(super) fn comes_by_proxy(&mut self, with_header: bool) {
        let (proxy, header) = (self.address, with_header.then(Vec::new));
        if !with_header {
            self.connection.behind(proxy.address());
        }
        let proxied =
            Proxied { proxy, whose: proxy, request: 0, header, is_local: false, destination: None };
        self.proxied = Some(Box::new(proxied));
    }

    /// Whether the PROXY header is not complete yet.
    pub(super) fn awaits_header(&self) -> bool {
        self.proxied.as_ref().is_some_and(|proxied| proxied.header.is_some())
    }

    /// The proxy that its client came by, if that is another.
    pub(super) fn proxy(&self) -> Option<ClientAddr> {
        let proxied = self.proxied.as_ref()?;
        Some(proxied.proxy).filter(|proxy| *proxy != self.address)
    }

    /// Whether it is a proxy's look at our health.
    pub(super) fn is_health_check(&self) -> bool {
        self.proxied.as_ref().is_some_and(|proxied| proxied.is_local)
    }

    /// Reads the PROXY header and nothing behind it: TLS may follow. Returns nothing once it is there.
    pub(super) fn hear_header(&mut self, context: &mut Context<S>) -> Option<Next> {
        loop {
            let header = self.proxied.as_mut().and_then(|proxied| proxied.header.as_mut())?;
            let more = match proxy::parse(header) {
                Ok(Progress::Whole(whole)) => return self.heard(whole.subject, context),
                Ok(Progress::Needs(more)) => more,
                Err(error) => {
                    let begins = beginning(header).filter(|_| error == ProxyError::Missing);
                    return Some(self.hang_up(HEADER, &with(&error, begins), context));
                }
            };
            if !self.client_ready.readable {
                self.enter_deadline(context);
                return Some(Next::Wait);
            }
            let so_far = header.len();
            header.resize(so_far + more, 0);
            let read = self.client.read(header.get_mut(so_far..).unwrap_or_default());
            header.truncate(so_far + read.as_ref().map_or(0, |n| *n));
            match read.map_err(|error| error.kind()) {
                Ok(0) | Err(ErrorKind::ConnectionReset) if so_far == 0 => {
                    // So some look whether somebody listens.
                    debug!("{self}: left without a PROXY header");
                    return Some(Next::Close);
                }
                Ok(0) => {
                    return Some(self.hang_up(
                        HEADER,
                        &"its PROXY header is not complete",
                        context,
                    ));
                }
                Ok(_) | Err(ErrorKind::Interrupted) => {}
                Err(ErrorKind::WouldBlock) => self.client_ready.readable = false,
                Err(kind) => return Some(self.hang_up(HEADER, &kind, context)),
            }
        }
    }

    /// The time for the request head is over, and the PROXY header was not there at the last look.
    pub(super) fn header_is_late(&mut self, context: &mut Context<S>) -> Next {
        self.take_for_ready();
        match self.hear_header(context) {
            None => self.turn(context),
            Some(Next::Wait) => self.hang_up(HEADER, &"no complete PROXY header in time", context),
            Some(next) => next,
        }
    }

    fn heard(&mut self, subject: Subject, context: &mut Context<S>) -> Option<Next> {
        let proxied = self.proxied.as_mut()?;
        proxied.header = None;
        match subject {
            Subject::Client { source, destination } => {
                proxied.destination = Some(destination);
                self.address = ClientAddr::new(source);
                proxied.whose = self.address;
            }
            Subject::Proxy => proxied.is_local = true,
            Subject::Unknown => {}
        }
        if self.entrance.words.tls
            && let Err(error) = context.system.secure_client(&mut self.client)
        {
            return Some(self.hang_up(HEADER, &error, context));
        }
        if self.connection.config().proxies.trusts(self.address.address().ip()) {
            // The request says who it is, or that it is the proxy itself.
            self.connection.behind(self.address.address());
            return None;
        }
        match self.identify(context) {
            Ok(()) => None,
            Err(why @ NotAdmitted::Denied) => Some(self.hang_up(why.name(), &why, context)),
            Err(why) => {
                self.connection.reject(why, &mut context.scratch);
                None
            }
        }
    }

    /// The place of a client that may not come, as turned out when it was known who it is.
    pub(super) fn forfeited(&mut self) -> Option<Place> {
        match self.connection.ending() {
            Some(Ending::NotAdmitted(_)) => self.place.take(),
            _ => None,
        }
    }

    /// The request of a proxy's client is there, which may say who that is.
    pub(super) fn arrived(&mut self, arrived: Arrived, context: &mut Context<S>) {
        let Arrived { head, slot, located: Located { address, unreadable } } = arrived;
        if let Some(text) = unreadable {
            let field = self.connection.config().forwarded_header.name();
            info!("{self}: {field} says '{}', no address: it counts as {address}", Escaped(&text));
        }
        self.address = ClientAddr::new(address);
        let answers = self.connection.answers();
        self.proxied.iter_mut().for_each(|proxied| proxied.request = answers);
        let outcome = self.identify(context);
        self.connection.admitted(head, slot, outcome, &mut context.scratch);
    }

    /// Whom the request before was of says nothing of the next one.
    pub(super) fn forget_former_client(&mut self) {
        let answers = self.connection.answers();
        let is_over = matches!(self.connection.ending(), Some(Ending::Answered));
        let proxied =
            self.proxied.as_ref().filter(|proxied| proxied.request != answers && !is_over);
        if let Some(proxied) = proxied {
            self.address = proxied.whose;
        }
    }

    /// It is known who the client is.
    fn identify(&mut self, context: &mut Context<S>) -> Result<(), NotAdmitted> {
        let Some(place) = &mut self.place else { return Ok(()) };
        let config = Rc::clone(self.connection.config());
        context.admission.identify(place, &self.address, &config, context.scratch.now)
    }

    /// Tells a peer who its client is before anything else, where the operator or the back end wants that.
    ///
    /// # Errors
    /// The peer does not take it, in one piece: others may count on that (§2 of the protocol), and what
    /// a fresh connection takes is more.
    pub(super) fn introduce(&self, peer: &mut S::Transport) -> io::Result<()> {
        let Some((version, host)) = self.connection.introduction() else { return Ok(()) };
        if !self.target.as_ref().is_some_and(|target| target.is_stream_server()) {
            info!("{self}: the peer takes no stream, and so no PROXY header");
            return Ok(());
        }
        let found = self.proxied.as_ref().and_then(|proxied| proxied.destination);
        let own = || self.client.local_address().map(Address::from);
        let destination = found.or_else(own).unwrap_or(Address::Unix);
        let tls = self.client.tls();
        let ssl = tls.as_ref().map(proxy::ssl);
        let alpn = tls.as_ref().and_then(|tls| Some((proxy::ALPN, tls.protocol.as_deref()?)));
        let authority = host.map(|host| (proxy::AUTHORITY, host.as_bytes()));
        let ssl = ssl.as_ref().map(|value| (proxy::SSL, value.as_slice()));
        let tlvs: Vec<_> = alpn.into_iter().chain(authority).chain(ssl).collect();
        let source = self.address.address();
        let introduction = Introduction { source, destination, tlvs: &tlvs };
        let header = introduction.encode(version);
        match peer.write(&[IoSlice::new(&header)], false)? {
            taken if taken == header.len() => Ok(()),
            _ => Err(io::Error::new(ErrorKind::WriteZero, "it does not take the PROXY header")),
        }
    }

    /// Closes without an answer, which would not be understood, and says why.
    pub(super) fn hang_up(
        &mut self,
        ending: &str,
        why: &dyn Display,
        context: &mut Context<S>,
    ) -> Next {
        self.count_hang_up(ending, why, context);
        context.hang_ups.say(&self.address, self.proxy(), why, context.scratch.now);
        Next::Close
    }
}

/// What it looks like instead.
fn beginning(bytes: &[u8]) -> Option<&'static str> {
    const TLS_HANDSHAKE: u8 = 22; // RFC 8446 §5.1
    match bytes.first() {
        Some(&TLS_HANDSHAKE) => Some("a TLS hello"),
        Some(byte) if byte.is_ascii_uppercase() => Some("what may be HTTP"),
        Some(_) | None => None,
    }
}

fn with(error: &ProxyError, begins: Option<&str>) -> String {
    begins.map_or_else(|| error.to_string(), |begins| format!("{error}, but {begins}"))
}
