//! Micro-benches: each step of ours beside the crate a user would otherwise take for it.
//!
//! `cargo bench --bench micro` runs all in about a minute; `cargo bench --bench micro -- unmask` one group.

use std::hint::black_box;
use std::io::Cursor;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use websocksy::framing::{self, Framer, Verdict};
use websocksy::proto::frame::{Header, Masking, Opcode, decode};
use websocksy::proto::handshake::accept_key;
use websocksy::proto::http::HeadParser;
use websocksy::proto::mask::{unmask, unmask_to};
use websocksy::proto::utf8::Validator;

const OURS: &str = "websocksy";
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(30)
        .configure_from_args();
    head(&mut criterion);
    accept(&mut criterion);
    decoding(&mut criterion);
    encoding(&mut criterion);
    unmasking(&mut criterion);
    copying(&mut criterion);
    text(&mut criterion);
    framings(&mut criterion);
    #[cfg(feature = "deflate")]
    deflating(&mut criterion);
    criterion.final_summary();
}

/// What Chromium sends, behind a proxy that adds a few fields.
const HEAD: &[u8] = b"GET /websockify?token=abc HTTP/1.1\r\n\
    Host: desk.example.org:8001\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/138.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: https://desk.example.org\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
    Sec-WebSocket-Protocol: binary, base64\r\n\
    X-Forwarded-For: 2001:db8::1\r\n\
    X-Forwarded-Proto: https\r\n\r\n";

/// Ours keeps a copy of the fields, `httparse` borrows them: only ours can resume.
fn head(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("head");
    group.throughput(Throughput::Bytes(HEAD.len() as u64));
    group.bench_function(OURS, |bench| {
        bench.iter(|| {
            let mut parser = HeadParser::new();
            let used = parser.push(black_box(HEAD));
            assert!(used.is_ok_and(|used| used == Some(HEAD.len())));
            parser.finish()
        });
    });
    group.bench_function("httparse", |bench| {
        bench.iter(|| {
            let mut fields = [httparse::EMPTY_HEADER; 100];
            let mut request = httparse::Request::new(&mut fields);
            let used = request.parse(black_box(HEAD));
            assert!(used.is_ok_and(|used| used == httparse::Status::Complete(HEAD.len())));
            request.headers.len()
        });
    });
    group.finish();
}

fn accept(criterion: &mut Criterion) {
    let key = b"dGhlIHNhbXBsZSBub25jZQ==";
    let mut group = criterion.benchmark_group("accept key");
    group.throughput(Throughput::Elements(1));
    group.bench_function(OURS, |bench| bench.iter(|| accept_key(black_box(key))));
    group.bench_function("tungstenite", |bench| {
        bench.iter(|| tungstenite::handshake::derive_accept_key(black_box(key)));
    });
    group.finish();
}

/// Payload lengths that take 7, 16 and 64 bits.
const LENGTHS: [u64; 3] = [64, 16_384, 1 << 20];

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode header");
    for length in LENGTHS {
        let header = Header { fin: true, opcode: Opcode::Binary, length, mask: Some(KEY) };
        let encoded = header.encode();
        let bytes = encoded.as_slice();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new(OURS, length), |bench| {
            bench.iter(|| decode(black_box(bytes), Masking::Required));
        });
        group.bench_function(BenchmarkId::new("tungstenite", length), |bench| {
            bench.iter(|| FrameHeader::parse(&mut Cursor::new(black_box(bytes))));
        });
    }
    group.finish();
}

fn encoding(criterion: &mut Criterion) {
    let rival = FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
    let mut group = criterion.benchmark_group("encode header");
    for length in LENGTHS {
        let mut out = Vec::with_capacity(64);
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new(OURS, length), |bench| {
            bench.iter(|| {
                out.clear();
                out.extend_from_slice(&Header::whole(Opcode::Binary, black_box(length)).encode());
            });
        });
        group.bench_function(BenchmarkId::new("tungstenite", length), |bench| {
            bench.iter(|| {
                out.clear();
                rival.format(black_box(length), &mut out)
            });
        });
    }
    group.finish();
}

/// In place, at each of sixteen alignments in turn, each in its own cache lines.
fn unmasking(criterion: &mut Criterion) {
    let naive = |data: &mut [u8], key: [u8; 4]| {
        for (at, byte) in data.iter_mut().enumerate() {
            *byte ^= key[at % 4];
        }
    };
    let mut group = criterion.benchmark_group("unmask");
    for size in [16, 64, 125, 1024, 16_384] {
        group.throughput(Throughput::Bytes(16 * size as u64));
        let mut slots = vec![vec![0x55; size + 64]; 16];
        let mut bench = |name, unmask: &dyn Fn(&mut [u8], [u8; 4])| {
            group.bench_function(BenchmarkId::new(name, size), |bench| {
                bench.iter(|| {
                    for (alignment, slot) in slots.iter_mut().enumerate() {
                        let start = slot.as_ptr().align_offset(16) + alignment;
                        unmask(&mut slot[start..start + size], black_box(KEY));
                    }
                });
            });
        };
        bench(OURS, &|data, key| unmask(data, key, 0));
        bench("fastwebsockets", &|data, key| fastwebsockets::unmask(data, key));
        bench("byte by byte", &naive);
    }
    group.finish();
}

/// Into another buffer, beside a copy that is then unmasked as a whole.
fn copying(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("unmask a copy");
    for size in [64, 16_384, 262_144] {
        group.throughput(Throughput::Bytes(size as u64));
        let src = vec![0x55; size];
        let mut out = Vec::with_capacity(size);
        group.bench_function(BenchmarkId::new(OURS, size), |bench| {
            bench.iter(|| {
                out.clear();
                unmask_to(black_box(&src), KEY, 0, &mut out);
            });
        });
        group.bench_function(BenchmarkId::new("fastwebsockets", size), |bench| {
            bench.iter(|| {
                out.clear();
                out.extend_from_slice(black_box(&src));
                fastwebsockets::unmask(&mut out, KEY);
            });
        });
    }
    group.finish();
}

fn text(criterion: &mut Criterion) {
    let texts = [
        ("64 B ASCII", "{\"temperature\": 21.5}".repeat(4)[..64].to_owned()),
        ("16 KiB ASCII", "{\"temperature\": 21.5}\n".repeat(745)),
        ("16 KiB of two bytes", "Γειά σου Κόσμε ".repeat(606)),
        ("16 KiB of three bytes", "世界人民".repeat(1366)),
    ];
    let mut group = criterion.benchmark_group("text");
    for (name, text) in &texts {
        let bytes = text.as_bytes();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new(OURS, name), |bench| {
            bench.iter(|| Validator::new().feed(black_box(bytes)));
        });
        group.bench_function(BenchmarkId::new("std", name), |bench| {
            bench.iter(|| std::str::from_utf8(black_box(bytes)).is_ok());
        });
    }
    group.finish();
}

/// A stream of lines cut into messages, each framing through the C function type as in a session,
/// beside what finds the same ends without it.
fn framings(criterion: &mut Criterion) {
    let mut stream = "{\"temperature\": 21.5, \"unit\": \"C\"}\r\n".repeat(430).into_bytes();
    let length = stream.len();
    stream.push(0);
    let mut group = criterion.benchmark_group("framing");
    group.throughput(Throughput::Bytes(length as u64));
    for (name, config) in
        [("auto", None), ("binary", None), ("newline", None), ("separator", Some("\\r\\n"))]
    {
        let Ok(choice) = framing::check(name, config) else { unreachable!("a framing of ours") };
        let mut framer = Framer::new(&choice);
        group.bench_function(BenchmarkId::new(OURS, name), |bench| {
            bench.iter(|| cut_all(&mut framer, black_box(&mut stream), length));
        });
    }
    let text = &stream[..length];
    group.bench_function(BenchmarkId::new("memchr", "separator"), |bench| {
        let finder = memchr::memmem::Finder::new("\r\n");
        bench.iter(|| finder.find_iter(black_box(text)).count());
    });
    group.bench_function(BenchmarkId::new("std", "newline"), |bench| {
        let is_text = |line: &&[u8]| std::str::from_utf8(line).is_ok();
        bench.iter(|| {
            black_box(text).split_inclusive(|byte| *byte == b'\n').filter(is_text).count()
        });
    });
    group.bench_function(BenchmarkId::new("std", "auto"), |bench| {
        bench.iter(|| std::str::from_utf8(black_box(text)).is_ok());
    });
    group.finish();
}

/// The number of messages in a stream that one read brought.
fn cut_all(framer: &mut Framer, stream: &mut [u8], length: usize) -> usize {
    let (mut at, mut messages) = (0, 0);
    while at < length {
        match framer.cut(&mut stream[at..], length - at, length - at) {
            Ok(Verdict::Message { length, .. }) => at += length,
            _ => break,
        }
        messages += 1;
    }
    messages
}

/// What a page that shows positions is sent, 150 bytes a message.
#[cfg(feature = "deflate")]
fn positions(at: usize) -> Vec<u8> {
    let (user, x, y) = (at % 17, at * 7919 % 1000, at * 104_729 % 1000);
    format!(
        "{{\"type\":\"position\",\"user\":\"u{user:04}\",\"seq\":{at},\"pos\":{{\"x\":{x},\"y\":{y},\"z\":0}},\
         \"flags\":[\"moving\",\"visible\"],\"ts\":17{:08},\"ok\":true,\"room\":\"lobby\"}}",
        at * 1013 % 100_000_000
    )
    .into_bytes()
}

/// What a terminal shows of `ls -l --color` and a build, 2.5 KB a message.
#[cfg(feature = "deflate")]
fn screens(at: usize) -> Vec<u8> {
    let line = |n: usize| {
        let (size, minute) = (n * 7919 % 1_000_000, n * 31 % 60);
        let name = ["main", "relay", "frame", "handshake", "session", "egress", "queue"][n % 7];
        format!(
            "-rw-r--r-- 1 user user {size:7} Nov {:2} 12:{minute:02} \x1b[0m\x1b[01;34m{name}{}\x1b[0m.rs\r\n",
            n % 28 + 1,
            n * 13 % 97,
        )
    };
    (at * 40..).map(line).flat_map(String::into_bytes).take(2500).collect()
}

/// Level 1 with context takeover: what one session sends in a row, and what two do in turn, where each
/// message begins anew behind its session's history. The ratio is printed.
#[cfg(feature = "deflate")]
fn deflating(criterion: &mut Criterion) {
    use websocksy::deflate::{Deflaters, Encoder};
    use websocksy::proto::extensions::{SERVER_BITS, Window};

    type Maker = fn(usize) -> Vec<u8>;
    let kinds: [(&str, Maker); 2] = [("json", positions), ("terminal", screens)];
    let window = Window { bits: SERVER_BITS, takeover: true };
    let mut group = criterion.benchmark_group("deflate");
    for (kind, make) in kinds {
        let messages: Vec<_> = (0..512).map(make).collect();
        let length = messages.iter().map(Vec::len).sum::<usize>() / messages.len();
        group.throughput(Throughput::Bytes(length as u64));
        for sessions in [1, 2] {
            let mut deflaters = Deflaters::default();
            let numbers = 0..sessions;
            let encoders = numbers.map(|_| Encoder::new(window, 1, &mut deflaters));
            let mut encoders: Vec<_> = encoders.collect();
            let (mut next, mut plain, mut packed) = (0, 0, 0);
            group.bench_function(BenchmarkId::new(kind, sessions), |bench| {
                bench.iter(|| {
                    let message = &messages[next % messages.len()];
                    let encoder = &mut encoders[next % sessions];
                    next += 1;
                    let frame = encoder.frame((true, true), message, &mut deflaters);
                    plain += message.len();
                    packed += frame.map_or(message.len(), <[u8]>::len);
                });
            });
            println!(
                "{kind} of {length} bytes, {sessions}: ratio {:.3}",
                packed as f64 / plain as f64
            );
        }
    }
    group.finish();
}
