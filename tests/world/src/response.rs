//! The answer to a handshake, read strictly.

/// A response of the daemon's.
pub struct Response<'a> {
    /// Its status code.
    pub status: u16,
    fields: Vec<(&'a str, &'a str)>,
    /// What follows the head.
    pub body: &'a [u8],
}

impl<'a> Response<'a> {
    /// Reads a response whose head is complete.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
        let head = str::from_utf8(&bytes[..end]).expect("ASCII");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let (status, reason) = status.and_then(|line| line.split_once(' ')).expect("a status");
        assert!(status.len() == 3 && !reason.is_empty() && !head.contains(['\0', '\t']));
        let fields = lines.map(|line| line.split_once(": ").expect("a field")).collect();
        Self { status: status.parse().expect("a number"), fields, body: &bytes[end + 4..] }
    }

    /// The values of all fields of this name.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|&(_, value)| value).collect()
    }

    /// How many fields there are.
    #[must_use]
    pub fn fields(&self) -> usize {
        self.fields.len()
    }

    /// One response and nothing behind it, after which the connection closes.
    pub fn check_refusal(&self) {
        assert!((400..600).contains(&self.status));
        assert_eq!(self.all("Content-Length"), [self.body.len().to_string()]);
        let [connection] = self.all("Connection")[..] else { panic!("not one Connection") };
        assert!(connection.split(", ").any(|option| option == "close"));
        if self.status == 426 {
            assert_eq!(self.all("Sec-WebSocket-Version"), ["13"]);
            assert_eq!(self.all("Upgrade"), ["websocket"]);
        }
    }
}
