//! A server that speaks lines over TCP, to stand behind the bridge in `make demo`. It greets, sends
//! every line back in capitals, tells the `time`, and hangs up on `quit`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

/// The longest line that is read; what is longer is cut here.
const LINE: u64 = 1024;
const GREETING: &str = "Hello! Every line comes back louder; try `time` or `quit`.\n";

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".into());
    let listener = TcpListener::bind(&address)?;
    eprintln!("line_server: listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || {
            if let Err(error) = converse(stream) {
                eprintln!("line_server: {error}");
            }
        });
    }
    Ok(())
}

/// One visitor, from the greeting to `quit` or to the end of what it sends.
fn converse(stream: TcpStream) -> io::Result<()> {
    let mut answers = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    answers.write_all(GREETING.as_bytes())?;
    let mut line = Vec::new();
    while lines.by_ref().take(LINE).read_until(b'\n', &mut line)? > 0 {
        let Some(answer) = answer(String::from_utf8_lossy(&line).trim_end()) else {
            return answers.write_all(b"Bye!\n");
        };
        answers.write_all(answer.as_bytes())?;
        line.clear();
    }
    Ok(())
}

/// The answer to a line, or nothing to hang up.
fn answer(line: &str) -> Option<String> {
    match line {
        "quit" => None,
        "time" => Some(format!("{} UTC\n", time_of_day())),
        line => Some(format!("{}\n", line.to_uppercase())),
    }
}

fn time_of_day() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    format!("{:02}:{:02}:{:02}", since / 3600 % 24, since / 60 % 60, since % 60)
}
