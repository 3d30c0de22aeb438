//! The daemon: flags to [`Config`](websocksy::config::Config), configuration to the reactor, an exit code.
fn main() {}
