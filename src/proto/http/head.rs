//! What a head says.

use std::ffi::CStr;

use super::syntax::has_prefix;

/// A request's method (RFC 9110 §9), as far as anybody here cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// Any other.
    Other,
}

impl Method {
    /// RFC 9110 §9.1: methods are case-sensitive.
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            _ => Self::Other,
        }
    }
}

/// A request's version (RFC 9112 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// One header field: the offsets of its name and its value in the text it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where the name starts.
    pub name: usize,
    /// Where the value starts.
    pub value: usize,
}

/// A complete and well-formed request: its target, path and query only, and its fields.
#[derive(Debug)]
pub struct Head {
    pub(in crate::proto) method: Method,
    pub(in crate::proto) version: Version,
    pub(in crate::proto) text: Vec<u8>,
    pub(in crate::proto) target: usize,
    pub(in crate::proto) fields: Vec<Field>,
}

impl Head {
    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Path and query, as sent. It starts with `/`.
    pub fn target(&self) -> &[u8] {
        c_str(&self.text, self.target).to_bytes()
    }

    /// Names and values, as sent and in that order.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|&field| (self.name(field), self.value(field)))
    }

    /// The values of all fields of this name (RFC 9110 §5.1: in any case), in their order.
    pub fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.named(name).map(|field| self.value(field))
    }

    /// Whether a list over one or more lines (RFC 9110 §5.6.1) holds this name, in any case.
    pub fn lists(&self, field: &'static str, wanted: &[u8]) -> bool {
        let mut elements = self.values(field).flat_map(|value| value.split(|&byte| byte == b','));
        elements.any(|element| element.trim_ascii().eq_ignore_ascii_case(wanted))
    }

    pub(in crate::proto) fn named(&self, name: &'static str) -> impl Iterator<Item = Field> {
        self.fields.iter().copied().filter(|&field| self.is_named(field, name.as_bytes()))
    }

    /// Whether this is the field's name, in any case.
    pub(in crate::proto) fn is_named(&self, field: Field, name: &[u8]) -> bool {
        let from = self.text.get(field.name..).unwrap_or_default();
        from.get(name.len()) == Some(&0) && has_prefix(from, name)
    }

    pub(in crate::proto) fn name(&self, field: Field) -> &[u8] {
        c_str(&self.text, field.name).to_bytes()
    }

    pub(in crate::proto) fn value(&self, field: Field) -> &[u8] {
        c_str(&self.text, field.value).to_bytes()
    }
}

/// The authority of a target in absolute-form, whose path starts at this offset of the text (RFC 9112 §3.2.2).
pub(in crate::proto) fn authority(text: &[u8], path: usize) -> Option<&[u8]> {
    let before = text.get(..path)?;
    let slashes = before.windows(2).position(|two| two == b"//")?;
    before.get(slashes + 2..)
}

/// The string that starts at this offset of a text whose strings end in NUL.
pub(in crate::proto) fn c_str(text: &[u8], at: usize) -> &CStr {
    let from = text.get(at..).unwrap_or_default();
    CStr::from_bytes_until_nul(from).unwrap_or_default()
}
