//! Which versions of TLS are spoken.

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use crate::config::TlsVersion;

/// The versions from `least` on.
pub(super) fn from(least: TlsVersion) -> Vec<&'static SupportedProtocolVersion> {
    match least {
        TlsVersion::V1_2 => vec![&TLS13, &TLS12],
        TlsVersion::V1_3 => vec![&TLS13],
    }
}
