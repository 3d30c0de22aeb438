//! What the TLS of a client says, for back ends and peers.

/// What was agreed on, and what is known of the client by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// The version: `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite, by OpenSSL's name; none of one that has no name there.
    pub cipher: Option<&'static str>,
    /// What is spoken within it (RFC 7301), if that was agreed on.
    pub protocol: Option<Vec<u8>>,
    /// The name that the client asked for (RFC 6066 §3).
    pub server_name: Option<String>,
    /// Of a certificate that the client has shown, and that was verified.
    pub subject: Option<Subject>,
    /// Whether it goes on with an earlier session, and the certificate was shown there.
    pub is_resumed: bool,
}

/// Whom a certificate is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Its distinguished name, as RFC 4514 writes it, without control characters. It may be empty.
    pub name: String,
    /// The first common name in it, if there is one, without control characters.
    pub common_name: Option<String>,
}
