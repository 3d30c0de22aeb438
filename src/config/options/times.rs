//! How long anybody is waited for.

use crate::config::option::Opt;
use crate::config::setting::Setting;
use crate::config::values::Zero;

pub(super) const OPTIONS: &[Opt] = &[
    Opt {
        short: "k",
        long: "ping",
        hint: "SECONDS",
        help: "Ping a client that has been silent this long, drop it after as long again",
        setting: Some(Setting::Seconds(Zero::Off, |c| &mut c.deadlines.ping)),
    },
    Opt {
        short: "",
        long: "handshake-timeout",
        hint: "SECONDS",
        help: "Time for a client's whole request head",
        setting: Some(Setting::Seconds(Zero::Refused, |c| &mut c.deadlines.handshake)),
    },
    Opt {
        short: "",
        long: "query-timeout",
        hint: "SECONDS",
        help: "Time for the back end to name the peer",
        setting: Some(Setting::Seconds(Zero::Refused, |c| &mut c.deadlines.query)),
    },
    Opt {
        short: "",
        long: "connect-timeout",
        hint: "SECONDS",
        help: "Time for the peer's name look-up and connect together",
        setting: Some(Setting::Seconds(Zero::Refused, |c| &mut c.deadlines.connect)),
    },
    Opt {
        short: "",
        long: "close-timeout",
        hint: "SECONDS",
        help: "Time for a client's close frame and for either socket's goodbye",
        setting: Some(Setting::Seconds(Zero::Refused, |c| &mut c.deadlines.close)),
    },
    Opt {
        short: "",
        long: "write-timeout",
        hint: "SECONDS",
        help: "Give up a side that has bytes waiting and takes none for this long",
        setting: Some(Setting::Seconds(Zero::Off, |c| &mut c.deadlines.write)),
    },
    Opt {
        short: "",
        long: "idle-timeout",
        hint: "SECONDS",
        help: "End a session without data either way for this long",
        setting: Some(Setting::Seconds(Zero::Off, |c| &mut c.deadlines.idle)),
    },
    Opt {
        short: "",
        long: "max-session",
        hint: "SECONDS",
        help: "End a session after this long, whatever it does",
        setting: Some(Setting::Seconds(Zero::Off, |c| &mut c.deadlines.session)),
    },
    Opt {
        short: "",
        long: "drain-timeout",
        hint: "SECONDS",
        help: "Time for sessions to end after SIGTERM or SIGINT",
        setting: Some(Setting::Seconds(Zero::Refused, |c| &mut c.drain_timeout)),
    },
    Opt {
        short: "",
        long: "reload-timeout",
        hint: "SECONDS",
        help: "Time for a reload (SIGHUP) to read and load; it is refused then",
        setting: Some(Setting::Seconds(Zero::Refused, |c| &mut c.reload_timeout)),
    },
    Opt {
        short: "",
        long: "drain-grace",
        hint: "SECONDS",
        help: "Let clients in for so long after SIGTERM, while health checks are answered 503",
        setting: Some(Setting::Seconds(Zero::AtOnce, |c| &mut c.drain_grace)),
    },
    Opt {
        short: "",
        long: "drain-spread",
        hint: "SECONDS",
        help: "Spread the close frames of the end over so long",
        setting: Some(Setting::Seconds(Zero::AtOnce, |c| &mut c.drain_spread)),
    },
];
