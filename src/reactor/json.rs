//! JSON objects of text and numbers (RFC 8259).

use std::fmt::{Display, Write as _};

use crate::logging::Json;

/// An object on its way.
pub(super) struct Object<'a> {
    out: &'a mut String,
    is_empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, is_empty: true }
    }

    fn name(&mut self, name: &str) {
        let comma = if std::mem::take(&mut self.is_empty) { "" } else { "," };
        let _ = write!(self.out, "{comma}\"{name}\":");
    }

    /// A member whose text is not empty.
    pub(super) fn text(mut self, name: &str, text: &str) -> Self {
        if !text.is_empty() {
            self.name(name);
            self.out.push('"');
            let _ = Json(self.out).write_str(text);
            self.out.push('"');
        }
        self
    }

    /// A number, as it is written.
    pub(super) fn number(mut self, name: &str, number: impl Display) -> Self {
        self.name(name);
        let _ = write!(self.out, "{number}");
        self
    }

    pub(super) fn end(self) {
        self.out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_told_apart_and_their_text_stays_inside() {
        let mut out = String::new();
        Object::begin(&mut out).text("none", "").number("n", 5).text("t", "a\"\\\n").end();
        Object::begin(&mut out).end();
        assert_eq!(out, "{\"n\":5,\"t\":\"a\\\"\\\\\\u000a\"}{}");
    }
}
