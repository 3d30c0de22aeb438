//! The bridges under test: where they are found, how they are started, how they are ended.
//! Each is configured as its documentation says, without logging and with room for every
//! connection of the benchmark.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::secure::certificate_file;
use crate::ws::Speech;

/// A bridge that is not up after this long will not come up.
const START: Duration = Duration::from_secs(5);

/// What a bridge is asked to do in one run.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    /// Port of the peer on the loopback interface.
    pub(crate) peer: u16,
    /// Cut the stream into messages, text where it is text; else every read is a binary message.
    pub(crate) auto: bool,
    /// Seconds between pings; 0 for none.
    pub(crate) pings: u32,
    /// Clients come with TLS; the certificate is in [`certificate_file`].
    pub(crate) tls: bool,
}

/// Everything that is particular to one bridge.
pub(crate) struct Bridge {
    /// How the environment and the JSON name it.
    pub(crate) id: &'static str,
    /// How the report names it.
    pub(crate) title: &'static str,
    /// What it speaks to clients.
    pub(crate) speech: Speech,
    /// How many idle connections it is given to hold.
    pub(crate) holds: usize,
    /// Whether it can ping its clients.
    pub(crate) pings: bool,
    /// Whether it frames the peer's text as text messages when told to.
    pub(crate) texts: bool,
    /// Whether it takes part without TLS.
    pub(crate) plain: bool,
    /// Whether it takes clients with TLS.
    pub(crate) tls: bool,
    program: Program,
    arguments: fn(&mut Command, listen: u16, &Job) -> io::Result<()>,
    /// What makes the program print its version.
    version: &'static [&'static str],
}

/// Where a bridge's executable is.
enum Program {
    /// This one: the bare relay is part of the benchmark.
    Own,
    /// In the build directory, unless the environment variable names another.
    Built(&'static str),
    /// Named by the environment variable or nowhere.
    Named(&'static str),
    /// In `target/rivals/bin`, in `PATH` or in `/usr/sbin`.
    Installed(&'static str),
}

/// All of them, ours first.
pub(crate) const BRIDGES: [Bridge; 13] = [
    Bridge {
        id: "websocksy",
        title: "websocksy",
        speech: Speech::WebSocket,
        holds: MANY,
        pings: true,
        texts: true,
        plain: true,
        tls: true,
        program: Program::Built("BENCH_WEBSOCKSY"),
        arguments: websocksy,
        version: &["--version"],
    },
    Bridge {
        id: "baseline",
        title: "websocksy, baseline",
        speech: Speech::WebSocket,
        holds: MANY,
        pings: true,
        texts: true,
        plain: true,
        tls: false,
        program: Program::Named("BENCH_BASELINE"),
        arguments: websocksy,
        version: &["--version"],
    },
    Bridge {
        id: "relay256",
        title: "bare relay, 256 KiB",
        speech: Speech::Raw,
        holds: MANY,
        pings: false,
        texts: false,
        plain: true,
        tls: false,
        program: Program::Own,
        arguments: |command, listen, job| relay(command, listen, job, 256 * 1024),
        version: &[],
    },
    Bridge {
        id: "relay16",
        title: "bare relay, 16 KiB",
        speech: Speech::Raw,
        holds: MANY,
        pings: false,
        texts: false,
        plain: true,
        tls: false,
        program: Program::Own,
        arguments: |command, listen, job| relay(command, listen, job, 16 * 1024),
        version: &[],
    },
    Bridge {
        id: "haproxy",
        title: "HAProxy, mode tcp",
        speech: Speech::Raw,
        holds: MANY,
        pings: false,
        texts: false,
        plain: true,
        tls: true,
        program: Program::Installed("haproxy"),
        arguments: |command, listen, job| haproxy(command, listen, job, ""),
        version: &["-v"],
    },
    Bridge {
        id: "haproxy-splice",
        title: "HAProxy, splice",
        speech: Speech::Raw,
        holds: MANY,
        pings: false,
        texts: false,
        plain: true,
        tls: false,
        program: Program::Installed("haproxy"),
        arguments: |command, listen, job| haproxy(command, listen, job, "option splice-auto"),
        version: &["-v"],
    },
    Bridge {
        id: "lighttpd",
        title: "lighttpd mod_wstunnel",
        speech: Speech::WebSocket,
        holds: MANY,
        pings: true,
        texts: false,
        plain: true,
        tls: false,
        program: Program::Installed("lighttpd"),
        arguments: lighttpd,
        version: &["-v"],
    },
    Bridge {
        id: "websocat",
        title: "websocat",
        speech: Speech::WebSocket,
        holds: MANY,
        pings: true,
        texts: false,
        plain: true,
        tls: false,
        program: Program::Installed("websocat"),
        arguments: websocat,
        version: &["--version"],
    },
    Bridge {
        id: "wstcp",
        title: "wstcp",
        speech: Speech::WebSocket,
        holds: MANY,
        pings: false,
        texts: false,
        plain: true,
        tls: false,
        program: Program::Installed("wstcp"),
        arguments: wstcp,
        version: &["--version"],
    },
    Bridge {
        id: "websockify",
        title: "websockify",
        speech: Speech::WebSocket,
        holds: 100, // a process each
        pings: true,
        texts: false,
        plain: true,
        tls: false,
        program: Program::Installed("websockify"),
        arguments: websockify,
        version: &[],
    },
    Bridge {
        id: "nginx-stream",
        title: "nginx, stream",
        speech: Speech::Raw,
        holds: MANY,
        pings: false,
        texts: false,
        plain: false,
        tls: true,
        program: Program::Installed("nginx"),
        arguments: nginx,
        version: &[],
    },
    Bridge {
        id: "hitch",
        title: "hitch",
        speech: Speech::Raw,
        holds: MANY,
        pings: false,
        texts: false,
        plain: false,
        tls: true,
        program: Program::Installed("hitch"),
        arguments: hitch,
        version: &["--version"],
    },
    Bridge {
        id: "stunnel",
        title: "stunnel",
        speech: Speech::Raw,
        holds: 1_000, // a thread each
        pings: false,
        texts: false,
        plain: false,
        tls: true,
        program: Program::Installed("stunnel4"),
        arguments: stunnel,
        version: &[],
    },
];

/// Idle connections held by a bridge that holds them in one process.
const MANY: usize = 5_000;

/// Not part of a run unless asked for by name.
pub(crate) const OPTIONAL: [&str; 1] = ["haproxy-splice"];

impl Bridge {
    /// Its executable, if it is installed.
    pub(crate) fn program(&self) -> Option<PathBuf> {
        let named = |variable| std::env::var_os(variable).map(PathBuf::from);
        let path = match self.program {
            Program::Own => std::env::current_exe().ok(),
            Program::Built(variable) => named(variable).or_else(|| built("websocksy")),
            Program::Named(variable) => named(variable),
            Program::Installed(name) => installed(name),
        };
        path.filter(|path| path.is_file())
    }

    /// The first line of what it says about its version.
    pub(crate) fn version(&self) -> String {
        let (Some(program), [_, ..]) = (self.program(), self.version) else { return String::new() };
        let output = Command::new(program).args(self.version).output();
        let text = output.map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().into()
    }

    /// Starts it on `cpu` and waits until it accepts connections.
    pub(crate) fn start(&self, job: &Job, cpu: usize) -> io::Result<Running> {
        let program = self.program().ok_or_else(|| io::Error::other("it is not installed"))?;
        let port = free_port()?;
        let mut command = Command::new("taskset");
        command.args(["-c", &cpu.to_string()]).arg(program);
        (self.arguments)(&mut command, port, job)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Running { child: command.process_group(0).spawn()?, port };
        running.wait_until_up()?;
        Ok(running)
    }
}

/// A bridge that has been started; it ends with this value.
pub(crate) struct Running {
    child: Child,
    /// Where it listens.
    pub(crate) port: u16,
}

impl Running {
    /// The bridge's process: `taskset` has become it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_up(&self) -> io::Result<()> {
        let begin = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            if START < begin.elapsed() {
                return Err(io::Error::other("it does not start"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(Duration::from_millis(50));
        Ok(())
    }
}

impl Drop for Running {
    /// Ends the process group: some bridges have children.
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The build directory holds this program in `release/examples`.
fn built(name: &str) -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.parent()?.join(name))
}

fn installed(name: &str) -> Option<PathBuf> {
    let rivals = built("")?.parent()?.join("rivals/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(rivals).chain(std::env::split_paths(&path));
    let places = folders.chain(std::iter::once("/usr/sbin".into()));
    places.map(|folder: PathBuf| folder.join(name)).find(|path| path.is_file())
}

fn websocksy(command: &mut Command, listen: u16, job: &Job) -> io::Result<()> {
    let framing = if job.auto { "auto" } else { "binary" };
    command.env("RUST_LOG", "off");
    command.args(["-p", &listen.to_string(), "-k", &job.pings.to_string()]);
    if job.tls {
        command.args(["-l", "127.0.0.1 tls", "--tls-cert"]).arg(certificate_file()?);
    } else {
        command.args(["-l", "127.0.0.1"]);
    }
    command.args(["-c", &format!("host=tcp://127.0.0.1:{}", job.peer)]);
    command.args(["-c", &format!("framing={framing}")]);
    Ok(())
}

fn relay(command: &mut Command, listen: u16, job: &Job, buffer: usize) -> io::Result<()> {
    command.arg("relay").args([listen.into(), job.peer.into(), buffer].map(|n| n.to_string()));
    Ok(())
}

fn haproxy(command: &mut Command, listen: u16, job: &Job, option: &str) -> io::Result<()> {
    let peer = job.peer;
    let words = match job.tls {
        true => format!(" ssl crt {}", certificate_file()?.display()),
        false => String::new(),
    };
    let config = format!(
        "global\n  nbthread 1\n  maxconn 6000\n\
         defaults\n  mode tcp\n  {option}\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n\
         listen bench\n  bind 127.0.0.1:{listen}{words}\n  server peer 127.0.0.1:{peer}\n"
    );
    command.arg("-db").arg("-f").arg(write_config("haproxy.cfg", &config)?);
    Ok(())
}

fn lighttpd(command: &mut Command, listen: u16, job: &Job) -> io::Result<()> {
    let (peer, pings) = (job.peer, job.pings);
    let config = format!(
        "server.modules = (\"mod_wstunnel\")\n\
         server.document-root = \"/nonexistent\"\n\
         server.bind = \"127.0.0.1\"\nserver.port = {listen}\n\
         server.max-fds = 12500\nserver.max-connections = 6000\n\
         wstunnel.server = (\"/\" => ((\"host\" => \"127.0.0.1\", \"port\" => {peer})))\n\
         wstunnel.frame-type = \"binary\"\nwstunnel.ping-interval = {pings}\n"
    );
    command.arg("-D").arg("-f").arg(write_config("lighttpd.conf", &config)?);
    Ok(())
}

fn websocat(command: &mut Command, listen: u16, job: &Job) -> io::Result<()> {
    command.args(["-q", "-E", "--binary"]);
    if job.pings > 0 {
        command.args(["--ping-interval", &job.pings.to_string()]);
    }
    command.arg(format!("ws-l:127.0.0.1:{listen}")).arg(format!("tcp:127.0.0.1:{}", job.peer));
    Ok(())
}

fn wstcp(command: &mut Command, listen: u16, job: &Job) -> io::Result<()> {
    command.args(["--log-level", "error", "--bind-addr", &format!("127.0.0.1:{listen}")]);
    command.arg(format!("127.0.0.1:{}", job.peer));
    Ok(())
}

fn websockify(command: &mut Command, listen: u16, job: &Job) -> io::Result<()> {
    if job.pings > 0 {
        command.arg(format!("--heartbeat={}", job.pings));
    }
    command.arg(format!("127.0.0.1:{listen}")).arg(format!("127.0.0.1:{}", job.peer));
    Ok(())
}

fn nginx(command: &mut Command, listen: u16, job: &Job) -> io::Result<()> {
    let (peer, pem) = (job.peer, certificate_file()?);
    let pem = pem.display();
    let config = format!(
        "daemon off;\nworker_processes 1;\nworker_rlimit_nofile 20000;\npid {pem}.pid;\n\
         error_log /dev/null crit;\nuser root;\n\
         include /etc/nginx/modules-enabled/*.conf;\n\
         events {{ worker_connections 12500; }}\n\
         stream {{\n  server {{\n    listen 127.0.0.1:{listen} ssl;\n\
         ssl_protocols TLSv1.3;\n    ssl_certificate {pem};\n    ssl_certificate_key {pem};\n    ssl_session_cache shared:bench:10m;\n\
         proxy_pass 127.0.0.1:{peer};\n    proxy_timeout 1h;\n    tcp_nodelay on;\n  }}\n}}\n"
    );
    command.arg("-c").arg(write_config("nginx.conf", &config)?);
    Ok(())
}

fn hitch(command: &mut Command, listen: u16, job: &Job) -> io::Result<()> {
    let (peer, pem) = (job.peer, certificate_file()?);
    let config = format!(
        "frontend = \"[127.0.0.1]:{listen}\"\nbackend = \"[127.0.0.1]:{peer}\"\n\
         pem-file = \"{}\"\nworkers = 1\ndaemon = off\nquiet = on\nocsp-dir = \"\"\n{}",
        pem.display(),
        // It refuses to serve as root.
        if fs::metadata("/proc/self")?.uid() == 0 { "user = \"nobody\"\n" } else { "" }
    );
    command.arg(format!("--config={}", write_config("hitch.conf", &config)?.display()));
    Ok(())
}

fn stunnel(command: &mut Command, listen: u16, job: &Job) -> io::Result<()> {
    let (peer, pem) = (job.peer, certificate_file()?);
    let config = format!(
        "foreground = quiet\npid =\ndebug = 0\n[bench]\naccept = 127.0.0.1:{listen}\n\
         connect = 127.0.0.1:{peer}\ncert = {}\n",
        pem.display()
    );
    command.arg(write_config("stunnel.conf", &config)?);
    Ok(())
}

/// Writes a configuration file beside this program.
fn write_config(name: &str, text: &str) -> io::Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let path = exe.parent().unwrap_or(Path::new(".")).join(format!("bench-{name}"));
    fs::write(&path, text)?;
    Ok(path)
}
