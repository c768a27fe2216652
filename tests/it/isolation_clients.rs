//! Isolation: what one host's client does, its neighbours do not notice.

use crate::common::bastion::Builder;
use crate::common::culprits::{Reader, Trickle, sink};
use crate::common::load::{Download, endless};
use crate::common::meter::{Pinger, confirmed, judge_pings};
use crate::common::ports::is_free;
use crate::common::services::{echo, source, visit};
use crate::common::ssh::Ssh;
use crate::common::{SOON, eventually, stream};
use crate::isolation::{MIB, Scene, town};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The session of another host, with two tunnels.
struct Other {
    ssh: Ssh,
    first: u16,
    second: u16,
}

fn other(s: &Scene, host: &str, at: u16, services: [SocketAddr; 2]) -> Other {
    let (first, second) = (s.b.port("pay", at), s.b.port("pay", at + 1));
    let ssh = s.b.ssh(host).forward(first, services[0]).forward(second, services[1]).start().wait_forwards(2);
    Other { ssh, first, second }
}

fn three_hosts() -> Builder {
    town().unchecked_host("pay-02", "pay").unchecked_host("pay-03", "pay")
}

/// It wakes up before anybody has given it up, and its visitors have missed nothing.
#[test]
fn a_client_that_is_stopped_for_a_while() {
    confirmed(|| {
        let what = "a stopped client";
        let s = Scene::with(three_hosts(), &[], echo());
        // Two more sessions: at least two of three share a thread of a machine with two.
        let neighbour = other(&s, "pay-03", 6, [echo(), echo()]);
        let culprit = other(&s, "pay-02", 4, [source(5, 64 * MIB), echo()]);
        let mut bystander = s.alone(what);
        let (waiting, stopped, download, neighbours) = bystander.beside(what, || {
            let (begun, has_begun) = mpsc::channel();
            let mut conn = visit(culprit.first);
            let download = std::thread::spawn(move || {
                let mut first = vec![0; 65_536];
                conn.read_exact(&mut first).unwrap();
                begun.send(()).unwrap();
                let mut summer = stream::Summer::default();
                summer.update(&first);
                let mut buf = vec![0; 65_536];
                loop {
                    match conn.read(&mut buf).unwrap() {
                        0 => return summer.sum(),
                        n => summer.update(&buf[..n]),
                    }
                }
            });
            has_begun.recv_timeout(SOON).unwrap();
            culprit.ssh.stop();
            let stopped = Instant::now();
            let waiting = Pinger::start(culprit.second);
            (waiting, stopped, download, Pinger::start(neighbour.first).finish_after(Duration::from_millis(600)))
        });
        let seconds = stopped.elapsed().as_secs_f64();
        culprit.ssh.cont();
        assert_eq!(download.join().unwrap(), stream::sum(5, 64 * MIB));
        // Its ping has waited all the while, and is answered.
        let waited = waiting.finish().worst().as_secs_f64();
        assert!(waited >= 0.9 * seconds, "the client was not stopped: {waited} s of {seconds} s");
        Pinger::start(culprit.second).finish();
        assert_eq!(s.b.tunnel(culprit.first).unwrap()["state"], "up");
        judge_pings("neighbours of a stopped client", &neighbours)?;
        bystander.judge(what)
    });
}

/// Its windows are full both ways, so that not even the keepalive can be sent; and nobody is hurt until that is noticed.
#[test]
fn a_client_that_is_stopped_amid_sixteen_bulk_streams() {
    confirmed(|| {
        let what = "a client stopped amid 16 streams";
        // Interval × count, and the slack of a loaded machine.
        let silence = Duration::from_secs(3 + 5);
        let short = three_hosts().set("ssh", "keepalive_interval = \"1s\"\nkeepalive_count = 3\nsend_timeout = \"5s\"");
        let s = Scene::with(short, &[], echo());
        let culprit = other(&s, "pay-02", 4, [endless(), sink().0]);
        let mut bystander = s.alone(what);
        let uploads: Vec<_> = (0..8).map(|_| upload(culprit.second)).collect();
        let downloads = Download::many(culprit.first, 8);
        downloads.iter().for_each(|d| d.wait_bytes(MIB));
        bystander.beside_readers(what);
        let (stopped, released) = bystander.beside_busy(what, || {
            culprit.ssh.stop();
            let stopped = Instant::now();
            let ports = [culprit.first, culprit.second];
            // Beside the measuring, which may take longer than it takes to be noticed.
            let released = std::thread::spawn(move || {
                eventually("the ports are free", silence + SOON, || ports.into_iter().all(is_free));
                stopped.elapsed()
            });
            (stopped, released)
        });
        let cut: Vec<_> = downloads.into_iter().map(|d| d.cut_after(stopped)).collect();
        let (first, last) = (*cut.iter().min().unwrap(), *cut.iter().max().unwrap());
        let released = released.join().unwrap();
        eprintln!("isolation: {what}: visitors cut after {first:?} to {last:?}, ports free after {released:?}");
        assert!(first >= Duration::from_secs(2), "cut before it was silent for long: {first:?}");
        assert!(last < silence && released < silence, "{last:?}, {released:?}");
        assert!(released < first + Duration::from_secs(1), "cut after {first:?}, but free after {released:?}");
        for u in uploads {
            assert!(u.join().unwrap().is_err(), "a visitor that is cut must know");
        }
        let end = s.b.wait_audit("end", |e| e["event"] == "forward.end" && e["port"] == culprit.first);
        let cause = end["obituary"]["cause"].as_str().unwrap();
        assert!(["keepalive-timeout", "send-timeout"].contains(&cause), "{end}");
        bystander.judge(what)
    });
}

fn upload(port: u16) -> std::thread::JoinHandle<std::io::Result<()>> {
    let mut conn: TcpStream = visit(port);
    std::thread::spawn(move || {
        let block = vec![3; 64 * 1024];
        loop {
            conn.write_all(&block)?;
        }
    })
}

/// Thirty-two downloads at a pace that leaves the session room, so that what is left to the one that measures can be
/// compared with what it had alone, under the same key exchanges; then as many at full speed, all of whom must go on.
#[test]
fn a_client_that_rekeys_under_thirty_two_busy_downloads() {
    confirmed(|| {
        let what = "key exchanges under 32 downloads";
        let service = Trickle::start(900 * MIB, Duration::from_secs(3600));
        let s = Scene::with(town(), &["RekeyLimit=2M"], service.address);
        let exchanges = || s.ssh.log.all().iter().filter(|l| l.contains("SSH2_MSG_NEWKEYS received")).count();
        let mut bystander = s.alone(what);
        let mut before = 0;
        let downloads = bystander.beside(what, || {
            let downloads = Download::many(s.port, 32);
            before = exchanges();
            eventually("key exchanges", SOON, || exchanges() > before + 10);
            downloads
        });
        bystander.check_memory(what, 0);
        assert!(downloads.iter().all(Download::is_running), "a download broke");

        let pinger = Pinger::start(s.echo());
        let (readers, before_full) = (Reader::many(s.full_speed(), 32), exchanges());
        eventually("key exchanges at full speed", SOON, || exchanges() > before_full + 10);
        let bytes: Vec<u64> = readers.iter().map(Reader::bytes).collect();
        // Everybody goes on, not only the quickest.
        for (r, before) in readers.iter().zip(bytes) {
            eventually("each download goes on", SOON, || r.bytes() > before);
        }
        let pings = pinger.finish();
        readers.into_iter().for_each(Reader::leave);
        eprintln!("isolation: {what}: {} key exchanges; at full speed {pings}", exchanges() - before);
        assert!(downloads.iter().all(Download::is_running), "a download broke");
        assert_eq!(s.b.tunnel(s.port).unwrap()["state"], "up");
        bystander.judge(what)
    });
}
