//! What becomes of a message on its way to the client, beside being cut.

/// The options of `newline` and `auto` that the core carries out: a framing function only cuts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rendering {
    /// Every message is text, with U+FFFD for what is not UTF-8.
    pub text: bool,
    /// So many bytes at the end of a message are left away: its delimiter.
    pub strip: usize,
}
