//! The help text, from the tables that the code itself reads.

use super::options;
use crate::{backend, framing};

/// The longest line.
const WIDTH: usize = 80;
/// Where descriptions begin.
const COLUMN: usize = 26;

/// All that a peer can be set up with from here.
pub(super) fn text() -> String {
    let mut text = String::from(
        "Usage: websocksy [OPTIONS] [FILE]\n\n\
         Bridges WebSocket clients to ordinary sockets. FILE is a configuration file.\n\n\
         A VNC server for browsers, and a server that speaks lines:\n  \
         websocksy -c host=tcp://localhost:5900 -c framing=binary\n  \
         websocksy -c host=tcp://localhost:6667 -c framing=newline \\\n    \
         -c framing-config=add:crlf\n",
    );
    section(&mut text, "Options, most of them keys of [core] in FILE too");
    for opt in options::all() {
        let short = if opt.short.is_empty() { "    ".into() } else { format!("-{}, ", opt.short) };
        let hint = if opt.hint.is_empty() { String::new() } else { format!(" {}", opt.hint) };
        entry(&mut text, &format!("{short}--{}{hint}", opt.long), &opt.description());
    }
    section(&mut text, "Keys of the built-in back end, for -c or in [backend]");
    for key in backend::KEYS {
        entry(&mut text, &format!("{}={}", key.name, key.hint), key.help);
    }
    section(&mut text, "PEER");
    for scheme in backend::SCHEMES {
        entry(&mut text, scheme.form, scheme.help);
    }
    section(&mut text, "FRAMING: what a message to the client is");
    for (name, help) in framing::builtins() {
        entry(&mut text, name, help);
    }
    section(&mut text, "FRAMING of plug-ins that come with the daemon, with --plugins DIR");
    for (name, help) in framing::BUNDLED {
        entry(&mut text, name, help);
    }
    for backend::Bundled { name, keys } in backend::BUNDLED {
        let title = format!("Keys of the back end {name}, with --plugins DIR -b {name}");
        section(&mut text, &title);
        for key in *keys {
            entry(&mut text, &format!("{}={}", key.name, key.hint), key.help);
        }
    }
    text
}

fn section(text: &mut String, title: &str) {
    text.push_str(&format!("\n{title}:\n"));
}

/// A name, and beside it what it is.
fn entry(text: &mut String, name: &str, description: &str) {
    let mut line = format!("  {name}");
    if line.len() + 2 > COLUMN {
        text.push_str(&line);
        text.push('\n');
        line.clear();
    }
    for word in description.split_whitespace() {
        let is_first = line.len() < COLUMN;
        if is_first {
            line.push_str(&" ".repeat(COLUMN - line.len()));
        } else if line.len() + 1 + word.len() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = " ".repeat(COLUMN);
        } else {
            line.push(' ');
        }
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
