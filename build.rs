//! Makes the executable export the functions that plug-ins call.

/// What plug-ins find in the executable that loads them; `backends/include/websocksy.h` has the
/// prototypes.
const EXPORTED: [&str; 19] = [
    "client_connect",
    "client_register",
    "core_add_peer",
    "core_client",
    "core_count",
    "core_framing",
    "core_header",
    "core_header_at",
    "core_header_count",
    "core_log",
    "core_max_session",
    "core_check_peer",
    "core_refuse",
    "core_register_encoder",
    "core_register_framing",
    "core_secret",
    "core_send_proxy",
    "core_session",
    "xstr_lower",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for symbol in EXPORTED {
        println!("cargo::rustc-link-arg=-Wl,--export-dynamic-symbol={symbol}");
    }
}
