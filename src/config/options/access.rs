//! Who may come, who they are said to be, and where they may get to.

use crate::access::Verdict;
use crate::config::option::{ORIGIN, Opt, PEER_ALLOW, SOURCE};
use crate::config::proxies::{FORWARDED_HEADER, SEND_PROXY, TRUSTED_PROXY};
use crate::config::setting::Setting;

pub(super) const OPTIONS: &[Opt] = &[
    Opt {
        short: "",
        long: ORIGIN,
        hint: "ORIGIN",
        help: "Admit only browsers on pages of this origin; repeatable",
        setting: Some(Setting::WebOrigin(|c| &mut c.origins)),
    },
    Opt {
        short: "",
        long: "allow",
        hint: "CIDR",
        help: "Admit clients of this network, and with that no others; first match wins",
        setting: Some(Setting::Access(Verdict::Allow)),
    },
    Opt {
        short: "",
        long: "deny",
        hint: "CIDR",
        help: "Hang up on clients of this network; in order with --allow, first match wins",
        setting: Some(Setting::Access(Verdict::Deny)),
    },
    Opt {
        short: "",
        long: "auth-file",
        hint: "FILE",
        help: "Ask for a name and password of this file, made by htpasswd -B",
        setting: Some(Setting::AuthFile),
    },
    Opt {
        short: "",
        long: "rate",
        hint: "COUNT[/SECONDS]",
        help: "The most new sessions from one address in this time, 1 second if none is written",
        setting: Some(Setting::Rate(|c| &mut c.rate)),
    },
    Opt {
        short: "",
        long: TRUSTED_PROXY,
        hint: "CIDR",
        help: "Take a proxy's word for who its clients are, in this network, or unix; repeatable",
        setting: Some(Setting::TrustedProxy),
    },
    Opt {
        short: "",
        long: FORWARDED_HEADER,
        hint: "NAME",
        help: "Where trusted proxies say so: X-Forwarded-For, Forwarded or X-Real-IP",
        setting: Some(Setting::ForwardedHeader),
    },
    Opt {
        short: "",
        long: SEND_PROXY,
        hint: "VERSION",
        help: "Begin peers' streams with a PROXY header, v1 or v2, that says who the client is",
        setting: Some(Setting::SendProxy),
    },
    Opt {
        short: "",
        long: PEER_ALLOW,
        hint: "CIDR",
        help: "Dial peers in this network, and with that no others; repeatable",
        setting: Some(Setting::PeerAllow),
    },
    Opt {
        short: "",
        long: SOURCE,
        hint: "ADDRESS",
        help: "Dial TCP and UDP peers from this address of the machine; repeatable, several of a \
               family take turns",
        setting: Some(Setting::Source),
    },
    Opt {
        short: "",
        long: "explain-refusals",
        hint: "",
        help: "Refuse handshakes by a 101 and a close frame, whose code pages can read",
        setting: Some(Setting::Switch(|c| &mut c.explain_refusals)),
    },
];
