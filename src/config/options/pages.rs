//! What is answered to whoever asks for no WebSocket.

use crate::config::option::Opt;
use crate::config::setting::Setting;

pub(super) const OPTIONS: &[Opt] = &[
    Opt {
        short: "",
        long: "health",
        hint: "PATH",
        help: "Answer GET and HEAD of this path with 200, or with 503 while the daemon ends",
        setting: Some(Setting::Path(|c| &mut c.health)),
    },
    Opt {
        short: "",
        long: "web",
        hint: "DIR",
        help: "Serve the files of this directory to whoever asks for no WebSocket",
        setting: Some(Setting::Web),
    },
    Opt {
        short: "",
        long: "web-redirect",
        hint: "PATH",
        help: "Send whoever asks for / and no WebSocket to this path",
        setting: Some(Setting::Place(|c| &mut c.web_redirect)),
    },
];
