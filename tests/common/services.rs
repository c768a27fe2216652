//! What stands behind the tunnels: a real sshd, a real nginx, and small services of the tests' own.

use super::bastion::keygen;
use super::lines::Lines;
use super::ports::Ports;
use super::stream::{self, Sum};
use super::{SOON, end, eventually};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// A TCP service on loopback with a function for each connection. It lives as long as the test's process.
pub fn serve(each: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let each = std::sync::Arc::new(each);
    std::thread::spawn(move || {
        for conn in listener.incoming().flatten() {
            let each = std::sync::Arc::clone(&each);
            std::thread::spawn(move || each(conn));
        }
    });
    address
}

/// Sends back what it gets, and closes when the other side has.
pub fn echo() -> SocketAddr {
    serve(|mut conn| {
        let Ok(mut reader) = conn.try_clone() else { return };
        let _ = std::io::copy(&mut reader, &mut conn);
        let _ = conn.shutdown(Shutdown::Write);
    })
}

/// Says one line and closes: tells whose tunnel one has come through.
pub fn says(line: &'static str) -> SocketAddr {
    serve(move |mut conn| {
        let _ = conn.write_all(line.as_bytes());
    })
}

/// Sends `len` bytes of the stream `seed`, and closes.
pub fn source(seed: u64, len: u64) -> SocketAddr {
    serve(move |mut conn| {
        // A visitor may leave early, a health check always does.
        let _ = stream::write(&mut conn, seed, len);
    })
}

/// Reads to the end, then answers with the sum of what came: an answer that needs a half-closed connection.
pub fn summing() -> SocketAddr {
    serve(|mut conn| {
        if let Ok(sum) = stream::read(&mut conn) {
            let _ = conn.write_all(sum.to_string().as_bytes());
        }
    })
}

/// Speaks first and closes its side at once, then reads to the end and tells the test the sum of what came.
pub fn speaks_first(line: &'static str) -> (SocketAddr, mpsc::Receiver<Sum>) {
    let (tx, rx) = mpsc::channel();
    let address = serve(move |mut conn| {
        let _ = conn.write_all(line.as_bytes());
        let _ = conn.shutdown(Shutdown::Write);
        if let Ok(sum) = stream::read(&mut conn) {
            let _ = tx.send(sum);
        }
    });
    (address, rx)
}

/// Takes connections and never says anything.
pub fn silent() -> SocketAddr {
    serve(|mut conn| {
        let _ = stream::read(&mut conn);
    })
}

/// Connects as a visitor; nothing it waits for takes longer than a minute.
#[track_caller]
pub fn visit(port: u16) -> TcpStream {
    let conn = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    conn.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    conn.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
    conn
}

/// What the service behind a port says until it closes.
#[track_caller]
pub fn hear(port: u16) -> String {
    let mut said = String::new();
    visit(port).read_to_string(&mut said).unwrap();
    said
}

/// An address of the machine that is not loopback; none on a machine without a network.
pub fn own_address() -> Option<std::net::IpAddr> {
    // Nothing is sent: connecting a UDP socket only asks the kernel for a route.
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.connect((Ipv4Addr::new(192, 0, 2, 77), 9)).ok()?;
    socket.local_addr().ok().map(|a| a.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// What `curl` fetches.
#[track_caller]
pub fn curl(args: &[&str]) -> Vec<u8> {
    let out = Command::new("curl").args(["-sS", "--fail", "--noproxy", "*", "--max-time", "60"]).args(args).output();
    let out = out.unwrap();
    assert!(out.status.success(), "curl {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// An sshd of one's own.
pub struct Sshd {
    child: Child,
    dir: TempDir,
    _ports: Ports,
    /// Where it listens.
    pub address: SocketAddr,
    log: Lines,
}

impl Sshd {
    /// Starts it.
    #[track_caller]
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("pr-sshd-").tempdir().unwrap();
        let ports = Ports::take();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.get(0)));
        let at = |name: &str| dir.path().join(name);
        keygen(&at("host_key"), "sshd");
        let public = keygen(&at("user_key"), "user");
        std::fs::write(at("authorized_keys"), public).unwrap();
        let config = format!(
            "ListenAddress {address}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\n\
             PermitRootLogin yes\nPasswordAuthentication no\nLogLevel DEBUG1\nMaxStartups 200\n",
            at("host_key").display(),
            at("authorized_keys").display(),
        );
        std::fs::write(at("sshd_config"), config).unwrap();
        if nix::unistd::geteuid().is_root() {
            // sshd of Debian insists on it; its unit or init script makes it at boot.
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let mut child = Command::new(program("sshd"))
            .args(["-D", "-e", "-f"])
            .arg(at("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Lines::of(child.stderr.take().unwrap());
        // Made before the wait, so that it is killed also when that fails.
        let me = Self { child, dir, _ports: ports, address, log };
        me.log.wait("Server listening on", SOON);
        me
    }

    /// The account it lets in.
    pub fn user(&self) -> String {
        nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name
    }
    /// The key it lets in.
    pub fn key(&self) -> PathBuf {
        self.dir.path().join("user_key")
    }
    /// The public line of its host key.
    pub fn host_key(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("host_key.pub")).unwrap().trim().to_owned()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- sshd\n{}", self.log.text());
        }
        end(&mut self.child);
    }
}

/// An nginx of one's own, with HTTP and HTTPS.
pub struct Nginx {
    child: Child,
    dir: TempDir,
    _ports: Ports,
    /// Where HTTP is.
    pub http: SocketAddr,
    /// Where HTTPS is.
    pub https: SocketAddr,
}

impl Nginx {
    /// Starts it with these files.
    #[track_caller]
    pub fn start(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::Builder::new().prefix("pr-nginx-").tempdir().unwrap();
        let root = dir.path().join("www");
        std::fs::create_dir(&root).unwrap();
        for (name, content) in files {
            std::fs::write(root.join(name), content).unwrap();
        }
        certificate(dir.path());
        let ports = Ports::take();
        let http = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.get(0)));
        let https = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.get(1)));
        // One process, so that nothing is left when it is killed.
        let config = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log error.log;\nevents {{}}\nhttp {{\n\
             access_log off;\nclient_body_temp_path t1;\nproxy_temp_path t2;\nfastcgi_temp_path t3;\nuwsgi_temp_path t4;\n\
             scgi_temp_path t5;\nserver {{\nlisten {http};\nlisten {https} ssl;\nssl_certificate cert.pem;\n\
             ssl_certificate_key key.pem;\nroot www;\n}}\n}}\n"
        );
        std::fs::write(dir.path().join("nginx.conf"), config).unwrap();
        let child = Command::new(program("nginx"))
            .arg("-p")
            .arg(dir.path())
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut me = Self { child, dir, _ports: ports, http, https };
        eventually("nginx listens", SOON, || {
            assert!(me.child.try_wait().unwrap().is_none(), "nginx ended");
            TcpStream::connect(http).is_ok() && TcpStream::connect(https).is_ok()
        });
        me
    }

    /// Its certificate, for `curl --cacert`; it is for `localhost`.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- nginx\n{}", std::fs::read_to_string(self.dir.path().join("error.log")).unwrap_or_default());
        }
        end(&mut self.child);
    }
}

fn certificate(dir: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ])
        .current_dir(dir)
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
}

/// A program of the system, where users' PATH has no sbin (Debian).
fn program(name: &str) -> PathBuf {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/sbin"]
        .iter()
        .map(|d| Path::new(d).join(name))
        .find(|p| p.exists())
        .unwrap_or_else(|| PathBuf::from(name))
}
