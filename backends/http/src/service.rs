//! The service: what it is asked, and what its answer means.

use serde_json::Value;
use std::fmt;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{HeaderName, HeaderValue, Response, Uri};
use websocksy_plugin::{Client, Refusal};
use websocksy_routes::{Options, Route, Store};

pub(crate) const NAME: &str = "http";

/// The longest answer that is read, bytes.
const LONGEST_ANSWER: u64 = 64 << 10;
/// The longest reason that is handed on, characters; the core cuts it, too.
const LONGEST_REASON: usize = 123;

/// What the service says of a client.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Peer(Route),
    /// An answer that names no peer, and why it does not.
    Bad(String),
    Refused(Refusal),
}

/// What is said of a client: header fields of the request to the service, bytes as the client sent them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked(Vec<(String, Vec<u8>)>);

impl Asked {
    /// The fields by which reverse proxies ask such services, and those of the client's that the operator
    /// names.
    pub(crate) fn of(client: &Client<'_>, forward: &[String]) -> Self {
        let property = |name| client.property(name).filter(|value| !value.is_empty());
        let protocols = client.protocols().join(&b", "[..]);
        let said = [
            ("X-Forwarded-Method", Some(&b"GET"[..])),
            ("X-Forwarded-Uri", Some(client.endpoint())),
            ("X-Original-URI", Some(client.endpoint())),
            ("X-Forwarded-Host", client.header(b"host")),
            ("X-Forwarded-For", property("address")),
            ("X-Forwarded-User", property("user")),
            ("X-Websocket-Protocols", Some(&*protocols).filter(|list| !list.is_empty())),
        ];
        let said = said.into_iter().filter_map(|(name, value)| Some((name, value?.to_vec())));
        let own = forward.iter().filter_map(|name| Some((&**name, all_of(client, name)?)));
        Self(said.chain(own).map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// As a key of the cache, which tells clients apart by all that is said of them.
    pub(crate) fn into_key(self) -> Vec<u8> {
        // No byte of a value is the line feed between them.
        let line = |(name, value): (String, Vec<u8>)| [name.as_bytes(), b": ", &value].concat();
        self.0.into_iter().map(line).collect::<Vec<_>>().join(&b'\n')
    }

    pub(crate) fn from_key(key: &[u8]) -> Self {
        let fields = key.split(|&byte| byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            Some((String::from_utf8_lossy(name).into_owned(), value.get(2..)?.to_vec()))
        });
        Self(fields.collect())
    }
}

/// All values of a field of the client's, as one (RFC 9110 §5.3, RFC 9113 §8.2.3 for cookies).
fn all_of(client: &Client<'_>, name: &str) -> Option<Vec<u8>> {
    let fields = client.headers().iter();
    let is_same = |tag: &[u8]| tag.eq_ignore_ascii_case(name.as_bytes());
    let values: Vec<_> = fields.filter(|(tag, _)| is_same(tag)).map(|&(_, value)| value).collect();
    let between = if name.eq_ignore_ascii_case("cookie") { &b"; "[..] } else { b", " };
    (!values.is_empty()).then(|| values.join(between))
}

/// An HTTP service.
pub(crate) struct Service {
    url: String,
    agent: Agent,
    /// Where clients go whom it lets in without naming a peer.
    peer: Option<Route>,
    options: Options,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Service").field(&self.url).finish()
    }
}

impl Service {
    pub(crate) fn new(
        url: String,
        timeout: Duration,
        peer: Option<Route>,
        options: Options,
    ) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("websocksy/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { url, agent: config.into(), peer, options }
    }

    fn request(&self, asked: &Asked) -> Result<Response<ureq::Body>, String> {
        let mut request = self.agent.get(&self.url).header("Accept", "application/json");
        for (name, value) in &asked.0 {
            let value = HeaderValue::from_bytes(value);
            let value = value.map_err(|_| format!("{name} cannot be handed on"))?;
            request = request.header(name, value);
        }
        request.call().map_err(|error| error.to_string())
    }

    /// What an answer with this status means.
    pub(crate) fn verdict(
        &self,
        mut answer: Response<ureq::Body>,
    ) -> Result<Option<Verdict>, String> {
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let body = answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_string();
        let body = body.map_err(|error| error.to_string())?;
        let refused = |make: fn(String) -> Refusal| {
            let reason = body.lines().next().unwrap_or_default().trim();
            let refusal = make(reason.chars().take(LONGEST_REASON).collect());
            Ok(Some(Verdict::Refused(refusal.retry_after(retry_after.unwrap_or_default()))))
        };
        match status {
            200..=299 => Ok(Some(match self.named(&body) {
                Ok(route) => Verdict::Peer(route),
                Err(why) => Verdict::Bad(why),
            })),
            401 => refused(Refusal::unauthorized),
            403 => refused(Refusal::forbidden),
            404 => Ok(None),
            429 => refused(Refusal::too_many),
            _ => Err(format!("it answers with {status}")),
        }
    }

    /// The peer that a body names; without one, the operator's.
    fn named(&self, body: &str) -> Result<Route, String> {
        let value = serde_json::from_str::<Value>(body).ok();
        match (value.as_ref().and_then(Value::as_object), &self.peer) {
            (Some(object), peer) if object.contains_key("host") || peer.is_none() => {
                Route::of_json(object, &self.options)
            }
            (_, Some(peer)) => Ok(peer.clone()),
            (_, None) => Err("it is no JSON object with a host".into()),
        }
    }
}

impl Store for Service {
    type Value = Verdict;

    fn name(&self) -> String {
        format!("{NAME}: {}", self.url)
    }

    fn ask(&self, key: &[u8]) -> Result<Option<Verdict>, String> {
        self.verdict(self.request(&Asked::from_key(key))?)
    }

    /// Whatever it answers to a question about nobody, it is there.
    fn probe(&self) -> Result<(), String> {
        let mut answer = self.request(&Asked(Vec::new()))?;
        let status = answer.status().as_u16();
        // A connection is kept for the next question once its answer is read.
        let body = answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_string();
        body.map_err(|error| error.to_string())?;
        if status < 500 { Ok(()) } else { Err(format!("it answers with {status}")) }
    }
}

/// A URL as an operator writes it.
pub(crate) fn url(value: &str) -> Result<String, String> {
    // Not what it says: it may hold a password.
    let wrong = || "is no such URL: write http://HOST[:PORT]/PATH or https://…".to_owned();
    let uri: Uri = value.parse().map_err(|_| wrong())?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.authority().is_none() {
        return Err(wrong());
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("a password in the URL would stand in the log".into());
    }
    Ok(value.into())
}

/// The name of a header field of the client's.
pub(crate) fn field_name(value: &str) -> Result<String, String> {
    let name: HeaderName = value.parse().map_err(|_| format!("{value:?} is no header field"))?;
    let name = name.as_str();
    if name.starts_with("x-forwarded-") || matches!(name, "x-original-uri" | "host" | "accept") {
        return Err(format!("{value:?} is what this daemon says itself"));
    }
    Ok(value.into())
}
