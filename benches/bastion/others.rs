//! Other tunnels from the registry, where `--peers` has installed them: what they carry is not SSH, so they stand in the
//! notes of a row and no ratio is of them.

use crate::common::{Guard, Res, SOON, at, eventually, free_ports, said};
use crate::peer::{Peer, Tunnel};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// Where `benches/run --peers` puts them.
fn program(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin").join(name);
    path.exists().then_some(path)
}

fn spawn(command: &mut Command) -> Res<Guard> {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.spawn().map(Guard).map_err(at("a peer"))
}

/// A port answers only when the client has brought its tunnel.
fn wait_port(port: u16) -> Res<()> {
    eventually("a peer's tunnel", SOON, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()).map(|_| ())
}

/// Those that are there, and their versions.
pub fn installed() -> (Vec<Box<dyn Peer>>, Vec<String>) {
    let mut peers: Vec<Box<dyn Peer>> = Vec::new();
    let mut versions = Vec::new();
    let mut version = |path: &Path, name: &str| {
        let text = said(&path.to_string_lossy(), &["--version"]);
        let number = text.split_whitespace().find(|w| w.starts_with(|c: char| c.is_ascii_digit()));
        versions.push(format!("{name} {}", number.unwrap_or("of unknown version")));
    };
    if let Some(path) = program("rathole") {
        version(&path, "rathole");
        for noise in [false, true] {
            if let Ok(peer) = Rathole::new(&path, noise) {
                peers.push(Box::new(peer));
            }
        }
    }
    if let Some(path) = program("bore") {
        version(&path, "bore");
        match Bore::new(&path) {
            Ok(peer) => peers.push(Box::new(peer)),
            Err(why) => eprintln!("bore is left out: {why}"),
        }
    }
    (peers, versions)
}

/// rathole, over plain TCP or encrypted (Noise). A server and a client for each tunnel.
struct Rathole {
    path: PathBuf,
    /// Private and public key.
    noise: Option<(String, String)>,
    servers: Mutex<Vec<u32>>,
}

impl Rathole {
    fn new(path: &Path, noise: bool) -> Res<Self> {
        let keys = || {
            let text = said(&path.to_string_lossy(), &["--genkey"]);
            let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.ends_with(':')).collect();
            match lines[..] {
                [private, public] => Ok((private.to_owned(), public.to_owned())),
                _ => Err("rathole makes no key".to_owned()),
            }
        };
        let noise = noise.then(keys).transpose()?;
        Ok(Self { path: path.to_owned(), noise, servers: Mutex::default() })
    }
}

impl Peer for Rathole {
    fn name(&self) -> &'static str {
        if self.noise.is_some() { "rathole (Noise)" } else { "rathole (not encrypted)" }
    }
    fn tunnel(&self, _host: usize, _cipher: &str, services: &[SocketAddr]) -> Res<Tunnel> {
        let dir = tempfile::tempdir().map_err(at("folder"))?;
        let control = free_ports(1)?;
        let (mut server, mut client) = (
            format!("[server]\nbind_addr = \"127.0.0.1:{control}\"\ndefault_token = \"bench\"\n"),
            format!("[client]\nremote_addr = \"127.0.0.1:{control}\"\ndefault_token = \"bench\"\n"),
        );
        if let Some((private, public)) = &self.noise {
            server += &format!(
                "[server.transport]\ntype = \"noise\"\n[server.transport.noise]\nlocal_private_key = \"{private}\"\n"
            );
            client += &format!(
                "[client.transport]\ntype = \"noise\"\n[client.transport.noise]\nremote_public_key = \"{public}\"\n"
            );
        }
        let mut ports = Vec::new();
        for (n, service) in services.iter().enumerate() {
            let port = free_ports(1)?;
            server += &format!("[server.services.s{n}]\nbind_addr = \"127.0.0.1:{port}\"\n");
            client += &format!("[client.services.s{n}]\nlocal_addr = \"{service}\"\n");
            ports.push(port);
        }
        let start = |role: &str, text: &str| {
            let file = dir.path().join(format!("{role}.toml"));
            std::fs::write(&file, text).map_err(at("rathole"))?;
            spawn(Command::new(&self.path).arg(format!("--{role}")).arg(&file))
        };
        let server = start("server", &server)?;
        eventually("rathole listens", SOON, || TcpStream::connect((Ipv4Addr::LOCALHOST, control)).is_ok())?;
        *self.servers.lock().unwrap() = vec![server.id()];
        let client = start("client", &client)?;
        ports.iter().try_for_each(|p| wait_port(*p))?;
        Ok(Tunnel { _processes: vec![client, server], ports })
    }
    fn workers(&self) -> Vec<u32> {
        self.servers.lock().unwrap().clone()
    }
}

/// bore: not encrypted; a connection to its server for each visitor.
struct Bore {
    path: PathBuf,
    server: Guard,
}

impl Bore {
    /// Its server's port cannot be chosen.
    const CONTROL: u16 = 7835;

    fn new(path: &Path) -> Res<Self> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, Self::CONTROL)).map_err(at("its port 7835"))?;
        let server = spawn(Command::new(path).arg("server"))?;
        eventually("bore listens", SOON, || TcpStream::connect((Ipv4Addr::LOCALHOST, Self::CONTROL)).is_ok())?;
        Ok(Self { path: path.to_owned(), server })
    }
}

impl Peer for Bore {
    fn name(&self) -> &'static str {
        "bore (not encrypted)"
    }
    fn tunnel(&self, _host: usize, _cipher: &str, services: &[SocketAddr]) -> Res<Tunnel> {
        let (mut clients, mut ports) = (Vec::new(), Vec::new());
        for service in services {
            let port = free_ports(1)?;
            let (local, remote) = (service.port().to_string(), port.to_string());
            clients.push(spawn(Command::new(&self.path).args([
                "local",
                &local,
                "--to",
                "127.0.0.1",
                "--port",
                &remote,
            ]))?);
            wait_port(port)?;
            ports.push(port);
        }
        Ok(Tunnel { _processes: clients, ports })
    }
    fn workers(&self) -> Vec<u32> {
        vec![self.server.id()]
    }
}
