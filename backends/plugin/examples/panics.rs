//! A framing for the tests of the daemon: what begins with `p` makes it panic, with a long message;
//! anything else is a binary message as it is.

use websocksy_plugin::{Framing, Verdict, export_framing};

struct Panics;

impl Framing for Panics {
    fn new(_config: Option<&str>) -> Result<Self, String> {
        Ok(Self)
    }

    fn cut(&mut self, data: &mut [u8], _fresh: usize) -> Verdict {
        assert!(data.first() != Some(&b'p'), "as the peer asked\n{}", "!".repeat(4_000));
        Verdict::Binary(data.len())
    }
}

export_framing!("panics", Panics);
