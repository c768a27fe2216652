//! Isolation: operators who look on or pass through, and stop reading.

use crate::common::culprits::{Trickle, close};
use crate::common::meter::confirmed;
use crate::common::services::{echo, visit};
use crate::common::{SOON, eventually};
use crate::isolation::{MIB, Scene, town};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A client of the control socket that subscribes, and reads no more than that it may.
fn stalled_subscriber(s: &Scene) -> UnixStream {
    let mut conn = UnixStream::connect(s.b.socket()).unwrap();
    conn.write_all(b"{\"id\":1,\"request\":{\"do\":\"hello\",\"version\":1,\"client\":\"stalled\"}}\n").unwrap();
    let mut first = [0];
    conn.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"{");
    conn.write_all(b"{\"id\":2,\"request\":{\"do\":\"subscribe\",\"since\":null}}\n").unwrap();
    conn
}

/// More than this waits for a client that is blocked, bytes: more than the keepalives and pings of others come to.
const UNREAD: u64 = 1024;

/// An operator's `ssh -t` on a screen as large as they get, whose terminal is not read: as after Ctrl-S.
struct UnreadConsole {
    child: Box<dyn Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
}

impl UnreadConsole {
    #[track_caller]
    fn start(s: &Scene) -> Self {
        let size = PtySize { rows: 200, cols: 500, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).unwrap();
        let ssh = s.b.ssh("ops").arg("-tt").command();
        let mut command = CommandBuilder::new(ssh.get_program());
        command.args(ssh.get_args().filter(|a| *a != "-N" && *a != "-T"));
        command.env("TERM", "xterm-256color");
        let child = pty.slave.spawn_command(command).unwrap();
        let keys = pty.master.take_writer().unwrap();
        s.b.wait_audit("console", |e| e["event"] == "operator.console");
        Self { child, _master: pty.master, keys }
    }

    /// What the kernel keeps of its session, both ends together; bytes. The host's session keeps nothing while it is idle.
    fn waiting(s: &Scene) -> u64 {
        let port = format!(":{:04X}", s.b.address().port());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut queued = 0;
        for line in table.lines().filter(|l| l.contains(&port)) {
            // Number, local and remote address, state (0A listens), and what waits to be sent and read.
            let columns: Vec<_> = line.split_whitespace().collect();
            if columns[3] != "0A" {
                queued += columns[4].split(':').map(|n| u64::from_str_radix(n, 16).unwrap()).sum::<u64>();
            }
        }
        queued
    }

    /// What its client has read so far, bytes.
    fn received(&self) -> u64 {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.child.process_id().unwrap())).unwrap();
        io.lines().find_map(|l| l.strip_prefix("rchar: ")).unwrap().parse().unwrap()
    }

    /// Changes what its screen shows (visitors come and go) until the terminal has had its few KiB, the client is blocked
    /// in its write, and what the daemon sends stays with the kernel. Gives what is left there.
    #[track_caller]
    fn stall(&mut self, s: &Scene) -> u64 {
        let (mut received, mut since, mut waiting) = (self.received(), Instant::now(), 0);
        eventually("the console's client reads no more", SOON, || {
            // To the events. More than once: a key that comes while the client makes its terminal raw is the terminal's to lose.
            self.keys.write_all(b"5").unwrap();
            close(&visit(s.port));
            std::thread::park_timeout(Duration::from_millis(20));
            let now = self.received();
            if now != received {
                (received, since) = (now, Instant::now());
            }
            // The table of sockets is long where many have come and gone: looked at last.
            since.elapsed() > Duration::from_millis(500) && {
                waiting = Self::waiting(s);
                waiting > UNREAD
            }
        });
        waiting
    }
}

impl Drop for UnreadConsole {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Consoles get what changes, and here something always does.
#[test]
fn consoles_that_are_not_read() {
    confirmed(|| {
        let what = "stalled consoles";
        let s = Scene::with(town().operator("ops", "operator", &[]), &[], echo());
        let mut bystander = s.alone(what);
        // Events for a full screen.
        let visits = |n| (0..n).for_each(|_| close(&visit(s.port)));
        visits(200);
        let (culprits, waiting) = bystander.beside(what, || {
            let subscribers: Vec<_> = (0..4).map(|_| stalled_subscriber(&s)).collect();
            let mut console = UnreadConsole::start(&s);
            let waiting = console.stall(&s);
            ((subscribers, console), waiting)
        });
        bystander.check_memory(what, 5);
        // Its frames are dropped or with the kernel, not kept: what it costs the daemon it costs once.
        let before = bystander.grown();
        visits(200);
        let after = bystander.grown();
        eprintln!("isolation: {what}: unread {waiting} bytes; grown by {} KiB, later by {}", before >> 10, after >> 10);
        assert!(after < before + 2 * MIB, "{before}, {after}");
        // Nobody has to wait for them either.
        let began = Instant::now();
        assert!(s.b.tunnel(s.port).is_some());
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        drop(culprits);
        bystander.judge(what)
    });
}

/// Two who download through the bastion: one whose `ssh -W` nobody reads, and one whose client is stopped.
#[test]
fn operators_who_pass_through_and_stop_reading() {
    confirmed(|| {
        let what = "stalled operators";
        let service = Trickle::start(12 * MIB, Duration::from_millis(1500));
        let s = Scene::with(town().operator("ops", "operator", &[]), &[], service.address);
        let through = || s.b.ssh("ops").args(&["-W", &format!("localhost:{}", s.port)]).spawn_unread(&[]);
        let mut bystander = s.alone(what);
        let culprits = bystander.beside(what, || {
            let (unread, stopped) = (through(), through());
            s.b.wait_tunnel(s.port, "has both", |t| t["visitors_now"] == 2);
            stopped.stop();
            service.wait_burst(2);
            (unread, stopped)
        });
        bystander.check_memory(what, 2);
        culprits.1.cont();
        drop(culprits);
        s.b.wait_tunnel(s.port, "has nobody", |t| t["visitors_now"] == 0);
        bystander.judge(what)
    });
}
