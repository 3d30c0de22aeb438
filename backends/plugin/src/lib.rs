//! Write back ends and framing functions for websocksy without a line of `unsafe`.
//!
//! A **back end** answers one question: who is this client's peer?
//!
//! ```no_run
//! use websocksy_plugin::{Backend, Client, Peer, export_backend};
//!
//! struct Rooms {
//!     host: String,
//! }
//!
//! impl Backend for Rooms {
//!     fn new() -> Self {
//!         Self { host: "localhost".into() }
//!     }
//!
//!     fn configure(&mut self, key: &str, value: &str) -> Result<(), String> {
//!         match key {
//!             "host" => self.host = value.into(),
//!             _ => return Err("the only key is 'host'".into()),
//!         }
//!         Ok(())
//!     }
//!
//!     fn query(&self, client: &Client<'_>) -> Option<Peer> {
//!         let port = match client.endpoint() {
//!             b"/desktop" => 5900,
//!             b"/chat" => 6667,
//!             _ => return None,
//!         };
//!         Some(Peer::new(format!("tcp://{}:{port}", self.host)).framing("auto"))
//!     }
//! }
//!
//! export_backend!(Rooms);
//! # fn main() {}
//! ```
//!
//! A **framing function** cuts the stream of a peer into messages:
//!
//! ```no_run
//! use websocksy_plugin::{Framing, Verdict, export_framing};
//!
//! struct Lines;
//!
//! impl Framing for Lines {
//!     fn new(_config: Option<&str>) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn cut(&mut self, data: &mut [u8], _fresh: usize) -> Verdict {
//!         match data.iter().position(|&byte| byte == b'\n') {
//!             Some(end) => Verdict::Text(end + 1),
//!             None => Verdict::More,
//!         }
//!     }
//! }
//!
//! export_framing!("lines", Lines);
//! # fn main() {}
//! ```
//!
//! Either stands in a crate with `crate-type = ["cdylib"]`; the shared object goes into the
//! daemon's plug-in directory, a back end as `backend_NAME.so`.
//!
//! What the crate takes care of: strings that the core frees come from C's `malloc`; state is
//! freed exactly once; a panic ends the session it happened in and never unwinds into C (build
//! with `panic = "unwind"`, which is Cargo's default).

mod backend;
mod framing;
mod host;
mod log;
mod number;
mod target;

pub mod testing;

#[doc(hidden)]
pub mod ffi;

pub use backend::{Backend, Client, Peer, Refusal};
pub use framing::{Encoder, Envelope, Framing, Message, Verdict};
pub use host::framing_exists;
pub use log::{count, log, secret, warn};
pub use number::number;

/// The longest view of a peer's stream that [`Framing::cut`] is given, bytes.
pub const PEER_BUFFER_SIZE: usize = websocksy_abi::PEER_BUFFER_SIZE;

/// Exports a [`Backend`] as the symbols `init`, `configure`, `query` and `cleanup`; with `ended` as a second
/// argument it hears of the ends of sessions, by [`Backend::ended`].
///
/// Once in a crate: one shared object is one back end.
#[macro_export]
macro_rules! export_backend {
    ($backend:ty) => {
        $crate::export_backend!(@export $backend,);
    };
    ($backend:ty, ended) => {
        $crate::export_backend!(@export $backend,
            #[unsafe(no_mangle)]
            unsafe extern "C" fn websocksy_ended(session: u64, reason: *const c_char) {
                // SAFETY: the core hands a string that it keeps until the call returns.
                unsafe { ffi::ended(&SLOT, session, reason) }
            }
        );
    };
    (@export $backend:ty, $($further:item)*) => {
        const _: () = {
            use $crate::ffi::{
                Slot, backend as ffi, c_char, websocket, ws_http_header, ws_peer_info,
            };

            static SLOT: Slot<$backend> = Slot::new(None);

            #[unsafe(no_mangle)]
            extern "C" fn init() -> u64 {
                ffi::init(&SLOT)
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn configure(key: *const c_char, value: *const c_char) -> u64 {
                // SAFETY: the core hands two strings that it keeps until the call returns.
                unsafe { ffi::configure(&SLOT, key, value) }
            }

            #[unsafe(no_mangle)]
            extern "C" fn websocksy_check() -> u64 {
                ffi::check(&SLOT)
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn query(
                endpoint: *const c_char,
                protocols: usize,
                protocol: *const *const c_char,
                headers: usize,
                header: *const ws_http_header,
                ws: *const websocket,
            ) -> ws_peer_info {
                // SAFETY: the core's arguments to `query`, which it keeps until the call returns.
                unsafe { ffi::query(&SLOT, endpoint, protocols, protocol, headers, header, ws) }
            }

            #[unsafe(no_mangle)]
            extern "C" fn cleanup() {
                ffi::cleanup(&SLOT)
            }

            $($further)*
        };
    };
}

/// Registers a [`Framing`] under a name when the shared object is loaded; with a third argument
/// also an [`Encoder`] for the way to the peer.
///
/// May stand several times in a crate, with different names.
#[macro_export]
macro_rules! export_framing {
    ($name:literal, $framing:ty) => {
        $crate::export_framing!(@register $name, $framing, ::core::option::Option::None);
    };
    ($name:literal, $framing:ty, $encoder:ty) => {
        $crate::export_framing!(
            @register $name,
            $framing,
            ::core::option::Option::Some($crate::ffi::framing::encode::<$encoder>)
        );
    };
    (@register $name:literal, $framing:ty, $encoder:expr) => {
        const _: () = {
            extern "C" fn register() {
                $crate::ffi::framing::register::<$framing>(
                    ::core::concat!($name, "\0"),
                    $encoder,
                );
            }

            // A test executable is no host that could take the registration.
            #[cfg(not(test))]
            #[used]
            #[unsafe(link_section = ".init_array")]
            static CONSTRUCTOR: extern "C" fn() = register;

            #[cfg(test)]
            const _: extern "C" fn() = register;
        };
    };
}
