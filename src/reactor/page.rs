//! The operator's page: one file that asks for the numbers beside it, and for nothing else.

use std::borrow::Cow;

use crate::http::{Body, Response};
use crate::proto::http::Status;

const PAGE: &str = include_str!("page.html");

/// What the page may do: its own script and style, by their hashes, and requests to us. Nobody may
/// put it in a frame, where a click could be led to a button.
const POLICY: &str = "default-src 'none'; \
    script-src 'sha256-pH5N4xoVZTW/cvFmDz4Ou8r5QUbmrRwxr40sf9DFXm8='; \
    style-src 'sha256-3uLhEvaGwwNY/smaEu3jsa+9bFnb66NZqzFKgr0UXuA='; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The answer to whoever asks for `/`.
pub(super) fn page() -> Response {
    let body = Body::Bytes(Cow::Borrowed(PAGE.as_bytes()));
    Response { status: Status::Ok, fields: Vec::new(), body }
        .with("Content-Type", "text/html; charset=utf-8")
        .with("Content-Security-Policy", POLICY)
        .with("Referrer-Policy", "no-referrer")
        .with("Cache-Control", "no-store")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The element's content.
    fn inside(element: &str) -> &'static str {
        let (_, rest) = PAGE.split_once(&format!("<{element}>")).unwrap();
        rest.split_once(&format!("</{element}>")).unwrap().0
    }

    #[cfg(feature = "tls")] // whose library has the hash
    #[test]
    fn the_policy_names_what_the_page_has() {
        use base64::Engine as _;
        for (element, directive) in [("script", "script-src"), ("style", "style-src")] {
            let digest = ring::digest::digest(&ring::digest::SHA256, inside(element).as_bytes());
            let hash = base64::engine::general_purpose::STANDARD.encode(digest);
            assert!(POLICY.contains(&format!("{directive} 'sha256-{hash}';")), "{element}: {hash}");
        }
    }

    #[test]
    fn it_is_one_small_file_that_needs_nothing_else() {
        assert!(PAGE.len() < 40_000, "{}", PAGE.len());
        assert_eq!(PAGE.matches("<script").count() + PAGE.matches("<style").count(), 2);
        for elsewhere in ["src=", "<link rel=\"s", "@import", "url(", "https:", "//cdn"] {
            assert!(!PAGE.contains(elsewhere), "{elsewhere}");
        }
        // Text of clients' is put in as text only, and nothing is done by attributes.
        for unsafe_way in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("] {
            assert!(!inside("script").contains(unsafe_way), "{unsafe_way}");
        }
        assert!(!PAGE.contains(" style=") && !PAGE.contains(" onclick="));
    }
}
