//! The framings by name: ours, and those that plug-ins register.
//!
//! They are global state, by generation (`scope`). The ABI demands it: a plug-in's constructor
//! registers before anything could be handed to it.
#![allow(unsafe_code)] // the functions that plug-ins call are C functions

use super::builtin::{Auto, Binary, Delimited, Framing, Newline, Rfc6455, Separator};
use super::config_fault::ConfigFault;
use super::delimiter::Delimiter;
use super::export;
use super::rendering::Rendering;
use super::scope::{Registered, Registry};
use libc::{c_char, c_int};
use std::cell::RefCell;
use std::ffi::CStr;
use std::sync::OnceLock;
use websocksy_abi::{ws_encoder, ws_framing};

/// Whether a framing takes this configuration.
type Accepts = fn(&[u8]) -> Result<(), ConfigFault>;

/// A framing of ours.
struct Builtin {
    name: &'static str,
    /// For the help text.
    help: &'static str,
    function: ws_framing,
    encoder: Option<ws_encoder>,
    /// Whether it takes this configuration; none for one that takes nothing.
    accepts: Option<Accepts>,
    /// What a configuration that it takes says of its messages.
    rendering: fn(&[u8]) -> Rendering,
    any_length: bool,
    fragments: bool,
    text: bool,
    frames: bool,
}

/// The framings that need no plug-in, with a line that says what a message is.
pub fn builtins() -> impl Iterator<Item = (&'static str, &'static str)> {
    BUILTINS.iter().map(|known| (known.name, known.help))
}

/// The framings of the plug-ins that come with the daemon, with what a message is.
pub const BUNDLED: [(&str, &str); 3] = [
    ("fixedlength", "So many bytes as framing-config says, as binary"),
    (
        "dynamic32",
        "What a 32-bit length field says, as binary; framing-config is offset=N, static=N, \
         endian=little or big, add=yes, with commas in between",
    ),
    ("json", "One JSON value, as text"),
];

/// The first is the framing for want of another.
static BUILTINS: [Builtin; 5] = [
    Builtin {
        text: true,
        accepts: Some(accepts_text),
        rendering: |config| Rendering { text: config == b"text", strip: 0 },
        ..plain::<Auto>("auto", AUTO)
    },
    plain::<Binary>("binary", "What one read brought, as binary"),
    delimited::<Separator>("separator", SEPARATOR),
    Builtin {
        text: true,
        rendering: |config| {
            Delimiter::newline(config).map(|delimiter| delimiter.rendering).unwrap_or_default()
        },
        ..delimited::<Newline>("newline", NEWLINE)
    },
    Builtin {
        frames: true,
        ..plain::<Rfc6455>("rfc6455", "What the peer frames by RFC 6455, both ways")
    },
];

/// `auto` takes one option.
fn accepts_text(config: &[u8]) -> Result<(), ConfigFault> {
    match config {
        b"" | b"text" => Ok(()),
        other => Err(ConfigFault::Auto(String::from_utf8_lossy(other).into_owned())),
    }
}

const fn plain<F: Framing>(name: &'static str, help: &'static str) -> Builtin {
    let function = export::framing::<F>;
    Builtin {
        name,
        help,
        function,
        encoder: None,
        accepts: None,
        rendering: |_| Rendering::default(),
        any_length: true,
        fragments: false,
        text: false,
        frames: false,
    }
}

const AUTO: &str = "What one read brought, as text if it is UTF-8, else as binary; framing-config is \
                    nothing, or text for text always";
const SEPARATOR: &str = "What ends in the bytes of framing-config, as binary; escapes are \\n, \\r, \\t, \\f, \\0, \\\\ and \\xNN. \
                         With add: before them, messages to the peer get them too";
const NEWLINE: &str = "A line, as text if it is UTF-8; framing-config is crlf (default), lf, cr or lfcr. \
                       With add: before it, messages to the peer get the line end too; with text:, \
                       all of it is text; with strip:, clients get lines without their ends";

const fn delimited<F: Framing + Delimited>(name: &'static str, help: &'static str) -> Builtin {
    let accepts: Option<Accepts> = Some(|config| F::delimiter(config).map(drop));
    let encoder: Option<ws_encoder> = Some(export::encoder::<F>);
    Builtin { encoder, accepts, any_length: false, fragments: true, ..plain::<F>(name, help) }
}

thread_local! {
    /// The names that this thread last asked [`core_framing`] for, one for each function: a back
    /// end answers with the function alone, which may have several names.
    static ASKED: RefCell<Vec<&'static Registered>> = const { RefCell::new(Vec::new()) };
}

/// A framing function, and the name that it was chosen by if it is one of a plug-in's.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) function: ws_framing,
    registered: Option<&'static Registered>,
}

impl Known {
    /// `auto`, the framing for want of another.
    pub(super) fn auto() -> Self {
        Self { function: BUILTINS[0].function, registered: None }
    }

    /// The framing of this name.
    pub(super) fn by_name(name: &str) -> Option<Self> {
        if let Some(known) = BUILTINS.iter().find(|known| known.name == name) {
            return Some(Self { function: known.function, registered: None });
        }
        let registry = Registry::current();
        let known = registry.names().iter().find(|known| known.name == name).copied()?;
        Some(Self { function: known.function, registered: Some(known) })
    }

    /// A function that some C code named, by the name that this thread asked for it by, if it did:
    /// else it is ours, or it has the name it was first registered under.
    pub(super) fn by_function(function: ws_framing) -> Self {
        let same = |known: &&Registered| std::ptr::fn_addr_eq(known.function, function);
        let asked = ASKED.with_borrow(|asked| asked.iter().copied().find(same));
        let first = || match builtin(function) {
            Some(_) => None,
            None => Registry::current().names().iter().copied().find(same),
        };
        Self { function, registered: asked.or_else(first) }
    }

    /// Remembers that this thread asked for it.
    fn asked_for(self) {
        ASKED.with_borrow_mut(|asked| {
            asked.retain(|known| !std::ptr::fn_addr_eq(known.function, self.function));
            asked.extend(self.registered);
        });
    }

    /// Whether it is the core's own function, under whatever name.
    pub(super) fn is_ours(self) -> bool {
        builtin(self.function).is_some()
    }

    pub(super) fn traits(self) -> Traits {
        let own = self.registered.and_then(|known| known.encoder.get().copied());
        match builtin(self.function) {
            Some(&Builtin { encoder, any_length, fragments, text, frames, .. }) => {
                let auto = std::ptr::fn_addr_eq(self.function, Self::auto().function);
                Traits { encoder: own.or(encoder), any_length, fragments, text, auto, frames }
            }
            None => Traits { encoder: own, ..Traits::default() },
        }
    }

    /// What a configuration of a framing of ours says of its messages.
    pub(super) fn rendering(self, config: &[u8]) -> Rendering {
        builtin(self.function).map(|known| (known.rendering)(config)).unwrap_or_default()
    }

    /// Its name for the log; the function's address when nobody registered it.
    pub(super) fn name(self) -> String {
        match (self.registered, builtin(self.function)) {
            (Some(known), _) => known.name.clone(),
            (None, Some(known)) => known.name.into(),
            (None, None) => format!("at {:p}", self.function),
        }
    }

    /// Whether a framing of ours takes this configuration; that of a plug-in is its own affair.
    pub(super) fn accepts(self, config: Option<&CStr>) -> Result<(), ConfigFault> {
        let config = config.map_or(&[][..], CStr::to_bytes);
        builtin(self.function).map_or(Ok(()), |known| match known.accepts {
            Some(accepts) => accepts(config),
            None if config.is_empty() => Ok(()),
            None => Err(ConfigFault::Unconfigurable(known.name)),
        })
    }
}

/// What the core must know of a framing function.
#[derive(Clone, Copy, Default)]
pub(super) struct Traits {
    pub(super) encoder: Option<ws_encoder>,
    /// Makes a message of whatever a read brought.
    pub(super) any_length: bool,
    /// A full buffer without a message is the front of one, and its end a delimiter.
    pub(super) fragments: bool,
    /// An unframed tail may be text.
    pub(super) text: bool,
    /// Forwards whatever a read brought, text as text.
    pub(super) auto: bool,
    /// The core's own two-way frames.
    pub(super) frames: bool,
}

fn builtin(function: ws_framing) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|known| std::ptr::fn_addr_eq(known.function, function))
}

fn register(name: &str, function: ws_framing) -> Result<(), &'static str> {
    let registry = Registry::current();
    let mut known = registry.names();
    let taken = BUILTINS.iter().any(|known| known.name == name);
    if taken || known.iter().any(|known| known.name == name) {
        return Err("the name is taken");
    }
    let entry = Registered { name: name.into(), function, encoder: OnceLock::new() };
    known.push(Box::leak(Box::new(entry)));
    Ok(())
}

fn add_encoder(name: &str, encoder: ws_encoder) -> Result<(), &'static str> {
    let registry = Registry::current();
    let known = registry.names();
    let known = known.iter().find(|known| known.name == name);
    let known = known.ok_or("no plug-in registered this framing")?;
    known.encoder.set(encoder).map_err(|_| "the framing has an encoder")
}

/// 0 for success; 1, and a warning, for a refusal.
fn outcome(what: &str, name: &str, result: Result<(), &'static str>) -> c_int {
    let Err(reason) = result else { return 0 };
    log::warn!("{what} {name:?} not registered: {reason}");
    1
}

/// A name that C code handed over; none for null and for what is not UTF-8.
///
/// # Safety
/// `name` is null or a C string that lives as long as the result is used.
unsafe fn text<'a>(name: *const c_char) -> Option<&'a str> {
    if name.is_null() {
        return None;
    }
    // SAFETY: the caller's obligation.
    unsafe { CStr::from_ptr(name) }.to_str().ok()
}

/// For plug-ins: the framing of this name, `auto` for null and for a name that nobody registered.
///
/// # Safety
/// `name` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn core_framing(name: *mut c_char) -> ws_framing {
    // SAFETY: the caller's obligation.
    let name = unsafe { text(name) };
    let known = name.and_then(Known::by_name).unwrap_or_else(Known::auto);
    known.asked_for();
    known.function
}

/// For plug-ins: gives a framing function a name. 0 for success; non-zero for a null argument, a
/// name that is not UTF-8, and a name that is taken: the first keeps it.
///
/// # Safety
/// `name` is null or a C string; `framing` keeps the contract of [`ws_framing`], and its code is
/// never unloaded.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn core_register_framing(
    name: *mut c_char,
    framing: Option<ws_framing>,
) -> c_int {
    // SAFETY: the caller's obligation.
    let name = unsafe { text(name) };
    let result = match (name, framing) {
        (Some(name), Some(framing)) => register(name, framing),
        _ => Err("the name or the function is missing"),
    };
    outcome("framing", name.unwrap_or_default(), result)
}

/// For plug-ins, ours: gives a framing that they registered its way to the peer. 0 for success;
/// non-zero for a null argument, an unknown name, and a framing that has an encoder.
///
/// # Safety
/// `name` is null or a C string; `encoder` keeps the contract of [`ws_encoder`], and its code is
/// never unloaded.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn core_register_encoder(
    name: *mut c_char,
    encoder: Option<ws_encoder>,
) -> c_int {
    // SAFETY: the caller's obligation.
    let name = unsafe { text(name) };
    let result = match (name, encoder) {
        (Some(name), Some(encoder)) => add_encoder(name, encoder),
        _ => Err("the name or the function is missing"),
    };
    outcome("encoder of framing", name.unwrap_or_default(), result)
}

/// For plug-ins: turns ASCII letters into lower case where they stand, and returns its argument.
///
/// # Safety
/// `text` is null or a writable C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xstr_lower(text: *mut c_char) -> *mut c_char {
    if !text.is_null() {
        // SAFETY: the caller's obligation; the length was just counted, and no other reference
        // to these bytes is held here.
        let bytes = unsafe { std::slice::from_raw_parts_mut(text.cast(), libc::strlen(text)) };
        bytes.make_ascii_lowercase();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Framer, Kind, Verdict, by_name};
    use super::*;
    use websocksy_abi::{WS_ENVELOPE_STREAM, ws_envelope, ws_operation};

    unsafe extern "C" fn nothing(
        _: *mut u8,
        _: usize,
        _: usize,
        opcode: *mut ws_operation,
        _: *mut *mut libc::c_void,
        _: *const c_char,
    ) -> i64 {
        // SAFETY: the caller's.
        unsafe { *opcode = websocksy_abi::WS_FRAME_TEXT };
        0
    }

    unsafe extern "C" fn stream(
        _: u64,
        _: ws_operation,
        _: *const c_char,
        _: *mut ws_envelope,
    ) -> c_int {
        WS_ENVELOPE_STREAM
    }

    fn ask(name: &CStr) -> ws_framing {
        // SAFETY: a C string, which is not written to.
        unsafe { core_framing(name.as_ptr().cast_mut()) }
    }

    #[test]
    fn of_two_names_the_one_that_was_asked_for_counts() {
        Registry::default().within(|| {
            register("one", nothing).unwrap();
            register("two", nothing).unwrap();
            assert_eq!(register("two", nothing), Err("the name is taken"));
            assert_eq!(Known::by_function(nothing).name(), "one", "the first, if none was");
            for name in [c"two", c"one", c"two"] {
                let function = ask(name);
                assert_eq!(Known::by_function(function).name(), name.to_str().unwrap());
                ask(c"auto"); // which is another function
                assert_eq!(Known::by_function(function).name(), name.to_str().unwrap());
            }
        });
    }

    #[test]
    fn an_encoder_is_of_the_framing_that_it_was_registered_for() {
        Registry::default().within(|| {
            register("one", nothing).unwrap();
            register("two", nothing).unwrap();
            add_encoder("two", stream).unwrap();
            assert!(add_encoder("two", stream).is_err() && add_encoder("three", stream).is_err());
            for (name, encodes) in [("one", false), ("two", true)] {
                let known = Known::by_name(name).unwrap();
                assert_eq!(known.traits().encoder.is_some(), encodes, "{name}");
            }
        });
    }

    #[test]
    fn what_waits_is_of_the_kind_that_its_function_says() {
        Registry::default().within(|| {
            register("one", nothing).unwrap();
            let mut framer = Framer::new(&by_name("one").unwrap());
            assert_eq!(framer.tail_kind(b"ab"), Kind::Binary, "it was not asked");
            assert_eq!(framer.cut(&mut b"ab.".to_owned(), 2, 2), Ok(Verdict::More));
            assert_eq!(framer.tail_kind(b"ab"), Kind::Text);
        });
    }

    #[test]
    fn what_was_registered_elsewhere_is_adopted() {
        let (old, new) = (Registry::default(), Registry::default());
        let ((), registered) = old.record(|| register("ours", nothing).unwrap());
        assert!(new.within(|| Known::by_name("ours")).is_none());
        new.adopt(&registered);
        assert!(new.within(|| Known::by_name("ours")).is_some());
        assert!(Known::by_name("ours").is_none());
    }

    #[test]
    fn a_plug_in_is_told_that_it_registered_nothing() {
        assert_eq!(outcome("framing", "ours", Ok(())), 0);
        assert_eq!(outcome("framing", "ours", Err("the name is taken")), 1);
    }
}
