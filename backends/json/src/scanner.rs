//! The grammar of RFC 8259, one byte at a time: no recursion, no look back.

use State::{
    Digits, Escape, Exponent, ExponentDigits, ExponentSign, FirstElement, FirstKey, Fraction,
    FractionDigits, Hex, Key, Minus, Next, Quoted, Rest, Separator, Value, Zero,
};
use Step::{After, Error, Inside, Last};

/// What a byte means for the value that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The value goes on.
    Inside,
    /// The byte is the value's last.
    Last,
    /// The value, a number, ended before this byte.
    After,
    /// No value goes on like this.
    Error,
}

/// The deepest nesting, levels: what is kept of it is then 128 KiB.
const DEEPEST: usize = 1 << 20;

/// Reads one value; after its end, or an error, the next one needs a new scanner.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    state: State,
    /// Whether the string being read is an object's key.
    key: bool,
    open: Nesting,
}

/// What has been read, and so what may come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing, or a comma or colon: a value.
    #[default]
    Value,
    /// `[`: a value or `]`.
    FirstElement,
    /// `{`: a key or `}`.
    FirstKey,
    /// A comma in an object: a key.
    Key,
    /// A key: its colon.
    Separator,
    /// A value inside something: a comma or the end of it.
    Next,
    /// A string so far.
    Quoted,
    /// A backslash.
    Escape,
    /// `\u`: so many more hexadecimal digits.
    Hex(u8),
    /// The start of a literal: these bytes.
    Rest(&'static [u8]),
    /// `-`: a digit.
    Minus,
    /// A number that is `0` so far: no digit.
    Zero,
    /// A number without fraction so far.
    Digits,
    /// A decimal point: a digit.
    Fraction,
    /// Digits behind the point.
    FractionDigits,
    /// `e`: a digit or sign.
    Exponent,
    /// The exponent's sign: a digit.
    ExponentSign,
    /// Digits of the exponent.
    ExponentDigits,
}

/// White space between tokens (RFC 8259 §2).
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

impl Scanner {
    /// Reads one byte.
    pub(crate) fn step(&mut self, byte: u8) -> Step {
        match self.state {
            Quoted => self.quoted(byte),
            Escape => self.escape(byte),
            Hex(left) => self.hex(left, byte),
            Rest(expected) => self.literal(expected, byte),
            Value | FirstElement | FirstKey | Key | Separator | Next => self.token(byte),
            Minus | Zero | Digits | Fraction | FractionDigits | Exponent | ExponentSign
            | ExponentDigits => self.number(byte),
        }
    }

    /// Whether what was read is a value if nothing follows: a number has no end of its own.
    pub(crate) fn is_whole_number(&self) -> bool {
        let ends = matches!(self.state, Zero | Digits | FractionDigits | ExponentDigits);
        ends && self.open.is_empty()
    }

    fn enter(&mut self, state: State) -> Step {
        self.state = state;
        Inside
    }

    /// A byte between strings, numbers and literals.
    fn token(&mut self, byte: u8) -> Step {
        match (self.state, byte) {
            _ if is_blank(byte) => Inside,
            (FirstElement, b']') | (FirstKey, b'}') => self.close(),
            (Value | FirstElement, _) => self.begin(byte),
            (FirstKey | Key, b'"') => self.quote(true),
            (Separator, b':') => self.enter(Value),
            (Next, b',') => self.enter(if self.open.in_object() { Key } else { Value }),
            (Next, b'}') if self.open.in_object() => self.close(),
            (Next, b']') if !self.open.in_object() => self.close(),
            _ => Error,
        }
    }

    /// The first byte of a value.
    fn begin(&mut self, byte: u8) -> Step {
        match byte {
            b'{' => self.open(true, FirstKey),
            b'[' => self.open(false, FirstElement),
            b'"' => self.quote(false),
            b'-' => self.enter(Minus),
            b'0' => self.enter(Zero),
            b'1'..=b'9' => self.enter(Digits),
            b't' => self.enter(Rest(b"rue")),
            b'f' => self.enter(Rest(b"alse")),
            b'n' => self.enter(Rest(b"ull")),
            _ => Error,
        }
    }

    fn open(&mut self, object: bool, state: State) -> Step {
        if self.open.depth == DEEPEST {
            return Error;
        }
        self.open.push(object);
        self.enter(state)
    }

    fn close(&mut self) -> Step {
        self.open.pop();
        self.end()
    }

    fn quote(&mut self, key: bool) -> Step {
        self.key = key;
        self.enter(Quoted)
    }

    /// A value ended with this byte.
    fn end(&mut self) -> Step {
        if self.open.is_empty() { Last } else { self.enter(Next) }
    }

    fn quoted(&mut self, byte: u8) -> Step {
        match byte {
            b'"' if self.key => self.enter(Separator),
            b'"' => self.end(),
            b'\\' => self.enter(Escape),
            0..=0x1f => Error, // RFC 8259 §7: control characters are escaped
            _ => Inside,
        }
    }

    fn escape(&mut self, byte: u8) -> Step {
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.enter(Quoted),
            b'u' => self.enter(Hex(4)),
            _ => Error,
        }
    }

    fn hex(&mut self, left: u8, byte: u8) -> Step {
        match left {
            _ if !byte.is_ascii_hexdigit() => Error,
            2.. => self.enter(Hex(left - 1)),
            _ => self.enter(Quoted),
        }
    }

    fn literal(&mut self, expected: &'static [u8], byte: u8) -> Step {
        match expected {
            [last] if *last == byte => self.end(),
            [next, rest @ ..] if *next == byte => self.enter(Rest(rest)),
            _ => Error,
        }
    }

    fn number(&mut self, byte: u8) -> Step {
        match (self.state, byte) {
            (Minus, b'0') => self.enter(Zero),
            (Minus, b'1'..=b'9') => self.enter(Digits),
            (Zero | Digits, b'.') => self.enter(Fraction),
            (Fraction, b'0'..=b'9') => self.enter(FractionDigits),
            (Zero | Digits | FractionDigits, b'e' | b'E') => self.enter(Exponent),
            (Exponent, b'+' | b'-') => self.enter(ExponentSign),
            (Exponent | ExponentSign, b'0'..=b'9') => self.enter(ExponentDigits),
            (Digits | FractionDigits | ExponentDigits, b'0'..=b'9') => Inside,
            (Zero | Digits | FractionDigits | ExponentDigits, _) => self.after_number(byte),
            _ => Error,
        }
    }

    /// A number has no end of its own: the byte behind it is the first of something else.
    fn after_number(&mut self, byte: u8) -> Step {
        if !self.open.is_empty() {
            self.state = Next;
            return self.token(byte);
        }
        let ends = is_blank(byte) || matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"');
        if ends { After } else { Error }
    }
}

/// The objects and arrays that are open: a bit for each, since a closing bracket must match.
#[derive(Debug, Default)]
struct Nesting {
    depth: usize,
    /// The innermost, up to 64 of them, the lowest bit first: 1 for an object.
    inner: u64,
    /// Those around them, 64 each.
    outer: Vec<u64>,
}

impl Nesting {
    fn is_empty(&self) -> bool {
        self.depth == 0
    }

    /// Whether the innermost is an object.
    fn in_object(&self) -> bool {
        self.inner & 1 == 1
    }

    fn push(&mut self, object: bool) {
        if self.inner_is_full() {
            self.outer.push(self.inner);
        }
        self.inner = self.inner << 1 | u64::from(object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.inner >>= 1;
        if self.inner_is_full() {
            self.inner = self.outer.pop().unwrap_or_default();
        }
    }

    /// Whether the levels so far fill whole words. The word they fill is then in `inner`: a push
    /// moves it out, a pop that gets there moves it back.
    fn inner_is_full(&self) -> bool {
        self.depth > 0 && self.depth.is_multiple_of(u64::BITS as usize)
    }
}
