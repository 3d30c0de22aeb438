//! What back ends share that look a client's peer up somewhere: by which token, and how an entry that
//! is found becomes a peer.

#![forbid(unsafe_code)]

mod cache;
mod options;
mod route;
mod secret;

pub use cache::{Away, Cache, Store, Times, seconds};
pub use options::{Options, protocol_is_good};
pub use route::Route;
pub use secret::read_secret;

use websocksy_plugin::Client;

/// What a client says who it is looking for: the parameter `token` of its query, or else the last part
/// of its path, which the log then does not have. None where there is neither.
pub fn token(client: &Client<'_>) -> Option<Vec<u8>> {
    let token = client.parameter(b"token").or_else(|| {
        let path = client.endpoint().split(|&byte| byte == b'?').next()?;
        // With a slash behind it, it is none, and yet may be one that somebody has.
        client.conceal(path.rsplit(|&byte| byte == b'/').find(|part| !part.is_empty())?);
        client.last_segment()
    });
    token.filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_token_is() {
        let cases: [(&[u8], Option<&[u8]>); 8] = [
            (b"/", None),
            (b"/a", Some(b"a")),
            (b"/a/b", Some(b"b")),
            (b"/a/", None),
            (b"/websockify?token=x%20y", Some(b"x y")),
            (b"/websockify?token=", None), // it is there, and names nobody
            (b"/a?b=c", Some(b"a")),
            (b"/%41", Some(b"A")),
        ];
        for (endpoint, expected) in cases {
            let client = Client::new(endpoint, &[], &[]);
            assert_eq!(token(&client).as_deref(), expected, "{}", endpoint.escape_ascii());
        }
        let client = Client::new(b"/a/b/", &[], &[]);
        assert_eq!((token(&client), client.concealed()), (None, vec![b"b".to_vec()]));
    }
}
