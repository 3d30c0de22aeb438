//! The configuration file: an error is one line that names the file, and the way lines end or how
//! many are empty makes no difference.

use std::path::Path;
use std::time::Duration;
use websocksy::config::{Config, ConfigError, from_file};

const NAME: &str = "dir/a.conf";
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Input: a file.
pub fn config(input: &[u8]) {
    let read = read(input);
    match &read {
        Ok(config) => check(config),
        Err(error) => {
            let line = error.to_string();
            assert!(line.starts_with(&format!("{NAME}:")), "{line}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
    // A number of the line stands in every origin: the lines must stay where they are.
    assert_eq!(self::read(&replace(input, b"\r\n")), read, "with CRLF");
    assert_eq!(self::read(&replace(input, b" \t\n")), read, "with blanks");
    assert_eq!(self::read(&[input, b"\n\n# end\n"].concat()), read, "with a comment behind");
}

fn read(bytes: &[u8]) -> Result<Config, ConfigError> {
    from_file(Path::new(NAME), bytes)
}

fn replace(bytes: &[u8], end: &[u8]) -> Vec<u8> {
    bytes.split(|&byte| byte == b'\n').collect::<Vec<_>>().join(end)
}

/// The ranges that the manual gives.
fn check(config: &Config) {
    let d = &config.deadlines;
    for time in [d.handshake, d.query, d.connect, d.close, config.drain_timeout] {
        assert!(time >= Duration::from_millis(1) && time <= YEAR, "{time:?}");
    }
    for time in [d.ping, d.write, d.idle] {
        assert!(time.is_zero() || time >= Duration::from_millis(1) && time <= YEAR, "{time:?}");
    }
    assert!(!config.listen.is_empty());
    assert!((1..=1 << 20).contains(&config.max_connections));
    assert!((1..=256).contains(&config.query_threads));
    for step in &config.backend {
        assert!(step.origin.to_string().starts_with(&format!("{NAME}:")));
    }
}
