//! Names and passwords in a request (RFC 7617).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The challenge of a 401.
pub const CHALLENGE: &str = r#"Basic realm="websocksy", charset="UTF-8""#;

/// Who a client says it is, and how it proves that.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Without the password: no log shows it.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads the value of an Authorization field. None if it is of another scheme, is not base64 or
    /// not UTF-8, lacks the colon, or holds control characters (RFC 7617 §2).
    #[must_use]
    pub fn parse(field: &[u8]) -> Option<Self> {
        let space = field.iter().position(|&byte| byte == b' ')?;
        let (scheme, rest) = field.split_at_checked(space)?;
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return None;
        }
        let decoded = STANDARD.decode(rest.trim_ascii_start()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        if text.chars().any(char::is_control) {
            return None;
        }
        let (user, password) = text.split_once(':')?;
        Some(Self { user: user.into(), password: password.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords() {
        for (field, expected) in [
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Some(("Aladdin", "open sesame"))), // RFC 7617 §2
            ("basic dGVzdDoxMjPCow==", Some(("test", "123\u{a3}"))),                  // §2.1
            ("BASIC   YTpiOmM=", Some(("a", "b:c"))),
            ("Basic Og==", Some(("", ""))),
            ("Basic YTo=", Some(("a", ""))),
            ("Basic", None),
            ("Basic ", None),
            ("Basic YQ==", None),     // no colon
            ("Basic YTo", None),      // no padding
            ("Basic YTpi!", None),    // not base64
            ("Basic YTr/", None),     // not UTF-8
            ("Basic YTpiAA==", None), // NUL
            ("Basic YQo6Yg==", None), // LF
            ("Bearer QWxhZGRpbjpv", None),
            ("BasicYTpi", None),
            ("", None),
        ] {
            let parsed = Credentials::parse(field.as_bytes());
            let parsed = parsed.as_ref().map(|of| (of.user.as_str(), of.password.as_str()));
            assert_eq!(parsed, expected, "{field}");
        }
    }

    #[test]
    fn no_log_shows_a_password() {
        let credentials = Credentials { user: "alice".into(), password: "secret".into() };
        let shown = format!("{credentials:?}");
        assert!(shown.contains("alice") && !shown.contains("secret"), "{shown}");
    }
}
