//! Framing functions and encoders of a C plug-in, well-behaved and not.

use crate::support::{keep_log, logged, plugin, scratch, variable};
use std::ffi::CStr;
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::OnceLock;
use websocksy::backend::Framings;
use websocksy::framing::{self, Cause, EnvelopeMode, Framer, Kind, Verdict};
use websocksy::framing::{core_framing, core_register_framing, xstr_lower};
use websocksy_abi::{PEER_BUFFER_SIZE, WS_FRAME_BINARY};

/// The plug-in of `framing.c`, loaded as the daemon loads it: its constructor registers.
fn loaded() -> &'static PathBuf {
    static PLUGIN: OnceLock<PathBuf> = OnceLock::new();
    PLUGIN.get_or_init(|| {
        keep_log();
        let dir = scratch("framing");
        let path = plugin(&dir, "framing.so", "framing.c", &[]);
        Framings::load(&dir, None, |_| ()).ok().unwrap();
        path
    })
}

fn framer(name: &str, config: &str) -> Framer {
    loaded();
    Framer::new(&framing::check(name, Some(config)).unwrap())
}

/// What `obedient` makes of five bytes, when it is told to return and set this.
fn obey(config: &str) -> Result<Verdict, Cause> {
    let mut buffer = *b"bytes, and more behind";
    let result = framer("obedient", config).cut(&mut buffer, 5, 5);
    assert_eq!(&buffer, b"bytes, and more behind");
    result.map_err(|fault| {
        assert_eq!(fault.framing, "obedient");
        fault.cause
    })
}

fn message(length: usize, kind: Kind) -> Result<Verdict, Cause> {
    Ok(Verdict::Message { length, kind })
}

#[test]
fn good_verdicts() {
    for (config, expected) in [
        ("n", message(5, Kind::Binary)),
        ("1", message(1, Kind::Binary)),
        ("3 1", message(3, Kind::Text)),
        ("3 2", message(3, Kind::Binary)),
        // G02
        ("0", Ok(Verdict::More)),
        ("0 1", Ok(Verdict::More)),
        ("0 0x77", Ok(Verdict::More)),
        // G04
        ("n+0 11", Ok(Verdict::Discard { length: 5 })),
        ("2 11", Ok(Verdict::Discard { length: 2 })),
    ] {
        assert_eq!(obey(config), expected, "{config}");
    }
}

#[test]
fn g01_more_than_waits() {
    for (config, returned) in
        [("n+1", 6), ("n+1 11", 6), ("16385", 16385), ("9223372036854775807", i64::MAX)]
    {
        assert_eq!(obey(config), Err(Cause::TooLong { returned, length: 5 }), "{config}");
    }
}

#[test]
fn g03_c26_less_than_nothing() {
    for (config, returned) in
        [("-1", -1), ("-5 1", -5), ("-9223372036854775808", i64::MIN), ("n-6", -1)]
    {
        assert_eq!(obey(config), Err(Cause::Negative(returned)), "{config}");
    }
}

#[test]
fn g05_c65_opcodes_that_carry_no_data() {
    for opcode in [0, 3, 7, 8, 9, 10, 12, 0x77, 0x81, 0x8000_0000, 0xffff_ffff_u32] {
        assert_eq!(obey(&format!("5 {opcode}")), Err(Cause::Opcode(opcode)));
    }
}

#[test]
fn faults_name_the_function() {
    let fault = framer("obedient", "n+1").cut(&mut [0; 6], 5, 5).unwrap_err();
    assert_eq!(fault.to_string(), "framing obedient returned 6 for 5 bytes");
    // SAFETY: never called.
    let selection = unsafe { framing::Selection::foreign(unnamed, null_mut(), false) };
    let fault = Framer::new(&selection).cut(&mut [0; 6], 5, 5).unwrap_err();
    assert!(fault.to_string().starts_with("framing at 0x"), "{fault}");
}

unsafe extern "C" fn unnamed(
    _: *mut u8,
    _: usize,
    _: usize,
    _: *mut u32,
    _: *mut *mut libc::c_void,
    _: *const libc::c_char,
) -> i64 {
    -1
}

unsafe extern "C" fn late(
    _: *mut u8,
    _: usize,
    _: usize,
    _: *mut u32,
    _: *mut *mut libc::c_void,
    _: *const libc::c_char,
) -> i64 {
    -2
}

/// One test, because it counts: every call of `watchful` in this process is here.
#[test]
fn the_core_keeps_its_side() {
    let plugin = loaded();
    let counted = |name| variable::<u64>(plugin, name);
    let complaint = || {
        let text: *const libc::c_char = variable(plugin, "complaint");
        // SAFETY: null, or a literal of the plug-in.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
    };

    // G06, G19, G20: the opcode anew, a zero behind the bytes for the call only, writes kept.
    let mut framer = framer("watchful", "as configured");
    assert_eq!(framer.largest_view(), PEER_BUFFER_SIZE);
    assert_eq!(framer.tail_kind(b"text"), Kind::Binary);
    let mut buffer = *b"yes! ?no! maybe";
    let text = Verdict::Message { length: 4, kind: Kind::Text };
    assert_eq!(framer.cut(&mut buffer, 9, 9), Ok(text));
    assert_eq!(&buffer, b"YES! ?no! maybe");
    let binary = Verdict::Message { length: 4, kind: Kind::Binary };
    assert_eq!(framer.cut(&mut buffer[5..], 4, 9), Ok(binary));
    assert_eq!(framer.cut(&mut buffer[10..], 3, 0), Ok(Verdict::More));
    assert_eq!(&buffer, b"YES! ?NO! maybe");
    let mut full = [b'x'; PEER_BUFFER_SIZE + 1];
    assert_eq!(framer.cut(&mut full, PEER_BUFFER_SIZE, 1), Ok(Verdict::More));
    assert_eq!(full, [b'x'; PEER_BUFFER_SIZE + 1]);

    // G18: one call to free, from `end` or from the drop.
    assert_eq!((counted("allocated"), counted("freed")), (1, 0));
    framer.end();
    framer.end();
    assert_eq!((counted("allocated"), counted("freed")), (1, 1));
    drop(framer);
    assert_eq!((counted("allocated"), counted("freed")), (1, 1));
    drop(self::framer("watchful", "as configured"));
    self::framer("forgetful", "").cut(&mut [1, 1], 1, 1).unwrap();
    assert_eq!((counted("allocated"), counted("freed")), (1, 1));

    // G17
    let selection = framing::check("watchful", Some("as configured")).unwrap();
    for _ in 0..100_000 {
        Framer::new(&selection).cut(&mut [b'x', 0], 1, 1).unwrap();
    }
    assert_eq!((counted("allocated"), counted("freed")), (100_001, 100_001));
    assert_eq!(complaint(), None);
}

#[test]
fn g26_what_a_constructor_may_register() {
    let refusals: u32 = variable(loaded(), "refusals");
    assert_eq!(refusals, 0b11_1111_1111_0000);
    assert!(logged(&["framing \"auto\" not registered: the name is taken"]));
    assert!(logged(&["encoder of framing \"newline\" not registered"]));
    // The first keeps the name.
    assert_eq!(framer("obedient", "-4").cut(&mut [0; 2], 1, 1).unwrap_err().framing, "obedient");
    assert_eq!(
        framer("auto", "").cut(&mut [0; 2], 1, 1).map_err(drop),
        message(1, Kind::Text).map_err(drop)
    );
    // Late, and from many threads.
    let registered: Vec<_> = (0..8)
        .map(|_| {
            // SAFETY: a C string and a function that keeps the contract.
            std::thread::spawn(|| unsafe {
                core_register_framing(c"late".as_ptr().cast_mut(), Some(late))
            })
        })
        .map(|thread| thread.join().unwrap())
        .collect();
    assert_eq!(registered.iter().filter(|result| **result == 0).count(), 1);
    assert!(framing::by_name("late").is_some());
}

#[test]
fn core_framing_finds_by_name_and_auto_otherwise() {
    loaded();
    let find = |name: &CStr| {
        // SAFETY: a C string.
        let function = unsafe { core_framing(name.as_ptr().cast_mut()) };
        // SAFETY: found in the registry.
        format!("{:?}", unsafe { framing::Selection::foreign(function, null_mut(), false) })
    };
    for (name, found) in [
        (c"auto", "auto"),
        (c"newline", "newline"),
        (c"rfc6455", "rfc6455"),
        (c"obedient", "obedient"),
        (c"", "auto"),
        (c"Newline", "auto"),
        (c"newline ", "auto"),
        (c"\xff", "auto"),
        (c"nothing", "auto"),
    ] {
        assert!(find(name).contains(&format!("{found:?}")), "{name:?}: {}", find(name));
    }
    // SAFETY: null is allowed.
    let function = unsafe { core_framing(std::ptr::null_mut()) };
    assert_eq!(function as usize, framing::Selection::default().function() as usize);
}

/// What a session gets that asks for a framing by name, as the operator and as a back end does.
fn modes(name: &CStr, config: &str) -> [EnvelopeMode; 2] {
    let by_name = framer(name.to_str().unwrap(), config).envelope_mode();
    // SAFETY: C strings, and a function of the registry; it is not told anything that is not a
    // C string.
    let by_function = unsafe {
        let function = core_framing(name.as_ptr().cast_mut());
        let config = std::ffi::CString::new(config).unwrap().into_raw();
        Framer::new(&framing::Selection::foreign(function, config, false)).envelope_mode()
    };
    [by_name.unwrap(), by_function.unwrap()]
}

#[test]
fn a8_encoders_belong_to_a_name() {
    loaded();
    for _ in 0..2 {
        assert_eq!(modes(c"forgetful", "1 0 1"), [EnvelopeMode::None; 2]);
        assert_eq!(modes(c"bare twin", "1 0 1"), [EnvelopeMode::None; 2]);
        assert_eq!(modes(c"enveloped twin", "1 0 1"), [EnvelopeMode::Stream; 2]);
        assert_eq!(modes(c"newline", "lf"), [EnvelopeMode::None; 2]);
    }
    // A function of ours under another name is told what its new encoder is told.
    // SAFETY: a C string, and a function of the registry.
    let lines = unsafe { core_framing(c"my lines".as_ptr().cast_mut()) };
    let selection = framing::Selection::ours(Some(lines)).unwrap();
    let selection = selection.configured(Some(c"2 0 1".to_owned()));
    assert_eq!(Framer::new(&selection).envelope_mode(), Ok(EnvelopeMode::Sized));
    // What a thread did not ask for has the first name that it was registered under.
    std::thread::spawn(move || {
        // SAFETY: as above.
        let twin = unsafe { core_framing(c"enveloped twin".as_ptr().cast_mut()) };
        std::thread::spawn(move || {
            // SAFETY: as above.
            let named = unsafe { framing::Selection::foreign(twin, null_mut(), false) };
            assert!(format!("{named:?}").contains("forgetful"), "{named:?}");
        })
        .join()
        .unwrap();
    })
    .join()
    .unwrap();
}

#[test]
fn xstr_lower_lowers_ascii_where_it_stands() {
    let mut text = *b"AZ az 09 @[`{ \xc3\x84\0AB";
    // SAFETY: a writable C string.
    let returned = unsafe { xstr_lower(text.as_mut_ptr().cast()) };
    assert_eq!(returned.cast::<u8>(), text.as_mut_ptr());
    assert_eq!(&text, b"az az 09 @[`{ \xc3\x84\0AB");
    // SAFETY: null is allowed.
    assert!(unsafe { xstr_lower(std::ptr::null_mut()) }.is_null());
}

#[test]
fn encoders() {
    for (config, mode) in [
        ("0 0 0", EnvelopeMode::None),
        ("1 16 64", EnvelopeMode::Stream),
        ("2 4 0", EnvelopeMode::Sized),
    ] {
        assert_eq!(framer("obedient", config).envelope_mode(), Ok(mode), "{config}");
    }
    let envelope = framer("obedient", "2 4 64").envelope(0x1_05, Kind::Text).unwrap();
    assert_eq!((envelope.prefix(), envelope.suffix()), (&[5; 4][..], &[1; 64][..]));
    let envelope = framer("obedient", "1 0 1").envelope(0, Kind::Binary).unwrap();
    assert_eq!((envelope.prefix(), envelope.suffix()), (&[][..], &[WS_FRAME_BINARY as u8][..]));
    let envelope = framer("obedient", "0 4 4").envelope(1, Kind::Text).unwrap();
    assert_eq!((envelope.prefix(), envelope.suffix()), (&[][..], &[][..]));
    let without = framer("watchful", "as configured");
    assert_eq!(without.envelope_mode(), Ok(EnvelopeMode::None));
    assert!(without.envelope(1, Kind::Text).unwrap().suffix().is_empty());
}

#[test]
fn encoders_that_break_the_contract() {
    for mode in [-1, 3, i32::MAX, i32::MIN] {
        let framer = framer("obedient", &format!("{mode} 1 1"));
        assert_eq!(framer.envelope_mode().unwrap_err().cause, Cause::Mode(mode));
        assert_eq!(framer.envelope(1, Kind::Text).map(drop).unwrap_err().cause, Cause::Mode(mode));
    }
    for (prefix, suffix) in [(17, 0), (0, 65), (usize::MAX, usize::MAX)] {
        let framer = framer("obedient", &format!("1 {prefix} {suffix}"));
        let fault = framer.envelope(1, Kind::Text).map(drop).unwrap_err();
        assert_eq!(fault.cause, Cause::Envelope { prefix, suffix });
    }
}
