//! Isolation: what some visitors of a session do, the others do not notice. Here: visitors and services.
//!
//! In each test a visitor measures alone and then beside the culprits, through other tunnels of the same session.

use crate::common::bastion::{Bastion, Builder};
use crate::common::culprits::{
    BlackHole, Paced, Reader, Resetter, Trickle, close, deaf, is_reset_within, push_until_stuck, sink, until_enough,
};
use crate::common::meter::{Bystander, Pinger, Stream, confirmed, descriptors, judge_pings};
use crate::common::ports::is_free;
use crate::common::services::{echo, serve, visit};
use crate::common::ssh::Ssh;
use crate::common::{SOON, eventually, stream};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

pub const MIB: u64 = 1024 * 1024;

/// One host, one session, four tunnels: three for the one that measures, and the culprits'.
pub struct Scene {
    pub b: Bastion,
    pub ssh: Ssh,
    /// The culprits' port.
    pub port: u16,
    arrived: Arc<AtomicU64>,
}

/// What they all begin with.
pub fn town() -> Builder {
    Bastion::builder().team("pay", 12).unchecked_host("pay-01", "pay")
}

impl Scene {
    /// A session with `service` behind the culprits' tunnel.
    #[track_caller]
    pub fn start(service: SocketAddr) -> Self {
        Self::with(town(), &[], service)
    }

    /// The same with more in the configuration, and options of the host's client.
    #[track_caller]
    pub fn with(town: Builder, options: &[&str], service: SocketAddr) -> Self {
        let b = town.start();
        let (sink, arrived) = sink();
        let services = [echo(), until_enough(), sink, service];
        let command = options.iter().fold(b.ssh("pay-01"), |c, o| c.option(o));
        let command = (0..).zip(services).fold(command, |c, (n, s)| c.forward(b.port("pay", n), s));
        let ssh = command.start().wait_forwards(services.len());
        let port = b.port("pay", 3);
        Self { b, ssh, port, arrived }
    }

    /// One that has measured alone, and streams from the host.
    #[track_caller]
    pub fn alone(&self, what: &str) -> Bystander {
        Bystander::alone(what, self.echo(), self.down(), self.b.pid())
    }

    pub fn echo(&self) -> u16 {
        self.b.port("pay", 0)
    }
    pub fn full_speed(&self) -> u16 {
        self.b.port("pay", 1)
    }
    pub fn down(&self) -> Stream {
        Stream::Down(self.full_speed())
    }
    pub fn up(&self) -> Stream {
        Stream::Up(self.b.port("pay", 2), Arc::clone(&self.arrived))
    }

    /// What the daemon holds for visitors of the culprits' port.
    fn held(&self) -> Vec<u64> {
        let visitors = self.b.json(&["visitors"]);
        let of_port = visitors.as_array().unwrap().iter().filter(|v| v["port"] == self.port);
        of_port.map(|v| v["buffered"].as_u64().unwrap()).collect()
    }

    /// So many visitors that never read, as far behind as the service's burst takes them.
    #[track_caller]
    fn never_reading(&self, service: &Trickle, n: usize) -> Vec<TcpStream> {
        let visitors: Vec<_> = (0..n).map(|_| visit(self.port)).collect();
        service.wait_burst(n);
        visitors
    }
}

#[test]
fn one_visitor_that_never_reads_an_endless_download() {
    confirmed(|| {
        let what = "one that never reads";
        let service = Trickle::start(24 * MIB, Duration::from_secs(1));
        let s = Scene::start(service.address);
        let mut bystander = s.alone(what);
        let culprit = bystander.beside(what, || s.never_reading(&service, 1));
        bystander.check_memory(what, 1);
        // What is not read waits on disk, and is shown.
        let held = s.held();
        assert!(held.len() == 1 && held[0] > 16 * MIB, "{held:?}");
        assert!(s.b.tunnel(s.port).unwrap()["visitors_now"] == 1);
        drop(culprit);
        bystander.judge(what)
    });
}

/// Sixteen, while the client changes keys: a session with a stuck channel must come through that, too.
#[test]
fn sixteen_visitors_that_never_read_and_a_key_exchange_beside_them() {
    confirmed(|| {
        let what = "sixteen that never read";
        let service = Trickle::start(6 * MIB, Duration::from_secs(3));
        let s = Scene::with(town(), &["RekeyLimit=32M"], service.address);
        let mut bystander = s.alone(what);
        let exchanges = || s.ssh.log.all().iter().filter(|l| l.contains("SSH2_MSG_NEWKEYS received")).count();
        let mut before = 0;
        let culprits = bystander.beside(what, || {
            let culprits = s.never_reading(&service, 16);
            before = exchanges();
            culprits
        });
        let during = exchanges() - before;
        assert!(during > 0, "no key exchange beside them");
        bystander.check_memory(what, 16);
        let held = s.held();
        assert!(held.len() == 16 && held.iter().all(|h| *h > MIB), "{held:?}");
        drop(culprits);
        // Their disk is given back, and the session goes on.
        eventually("nothing is held any more", SOON, || s.held().is_empty());
        bystander.judge(what)
    });
}

/// The source has no pace here: it fills the file as fast as the session goes, and a session has only so much. So the
/// measuring visitor is compared with itself beside a visitor who downloads the same and reads it.
#[test]
fn a_visitor_that_never_reads_takes_no_more_than_one_that_reads() {
    confirmed(|| {
        let what = "one that never reads at full speed";
        let s = Scene::start(until_enough());
        let reading = Reader::start(s.port);
        let mut bystander = s.alone(what);
        bystander.beside_readers(what);
        reading.finish();
        let culprit = bystander.beside_busy_throughout(what, || visit(s.port));
        bystander.check_memory(what, 1);
        drop(culprit);
        let reading = Reader::start(s.port);
        let verdict = bystander.judge(what);
        reading.finish();
        verdict
    });
}

/// A slow reader gets every byte although its source is done in seconds, and the session's keepalive goes on.
#[test]
fn a_visitor_that_reads_half_a_gibibyte_at_one_mebibyte_a_second() {
    confirmed(|| {
        let what = "a slow reader of 512 MiB";
        let (sent, all_sent) = mpsc::channel();
        let service = serve(move |mut conn| {
            let _ = sent.send(stream::write(&mut conn, 9, 512 * MIB).unwrap());
        });
        let s = Scene::with(town(), &["ServerAliveInterval=1", "ServerAliveCountMax=3"], service);
        let mut bystander = s.alone(what);
        bystander.beside_itself(what);
        let hurry = Arc::new(AtomicBool::new(false));
        let (sum, reader) = bystander.beside_busy(what, || {
            let mut slow = Paced::new(visit(s.port), 1 << 20, Arc::clone(&hurry));
            let reader = std::thread::spawn(move || stream::read(&mut slow));
            // It is over for the service while the visitor has a few of 512 MiB.
            (all_sent.recv_timeout(2 * SOON).unwrap(), reader)
        });
        let held = s.held();
        assert!(held.len() == 1 && held[0] > 448 * MIB, "{held:?}");
        bystander.check_memory(what, 1);
        hurry.store(true, Ordering::Relaxed);
        assert_eq!(reader.join().unwrap().unwrap(), sum);
        s.b.wait_tunnel(s.port, "has its visitor gone", |t| t["visitors_now"] == 0);
        let verdict = bystander.judge(what);
        let mut ssh = s.ssh;
        assert!(ssh.is_running(), "the client's keepalive was not answered");
        verdict
    });
}

/// Upwards: what the service does not read stays with the visitor, by TCP's own means.
#[test]
fn a_service_that_never_reads() {
    confirmed(|| {
        let what = "services that never read";
        let s = Scene::start(deaf());
        let mut bystander = Bystander::alone(what, s.echo(), s.up(), s.b.pid());
        let culprits: Vec<_> = bystander.beside(what, || (0..4).map(|_| push_until_stuck(s.port)).collect());
        bystander.check_memory(what, 4);
        culprits.iter().for_each(close);
        bystander.judge(what)
    });
}

#[test]
fn a_visitor_that_opens_and_resets_in_a_loop() {
    confirmed(|| {
        let what = "one that opens and resets";
        let s = Scene::start(echo());
        let mut bystander = s.alone(what);
        let before = descriptors(s.b.pid());
        let culprit = bystander.beside(what, || {
            let culprit = Resetter::start(s.port);
            culprit.wait_times(300);
            // The pings have been beside the worst of it.
            culprit.calm_down();
            culprit
        });
        let visits = culprit.finish();
        bystander.check_memory(what, 0);
        let row = s.b.wait_tunnel(s.port, "has no visitor", |t| t["visitors_now"] == 0);
        assert!(row["visitors_total"].as_u64() <= Some(visits), "{row}");
        eventually("no descriptor is left behind", SOON, || descriptors(s.b.pid()) <= before + 2);
        bystander.judge(what)
    });
}

/// Stock OpenSSH connects before it answers; towards a network that drops everything that takes it two minutes.
#[test]
fn a_client_that_does_not_answer_a_channel_open() {
    confirmed(|| {
        let what = "opens that are not answered";
        let hole = BlackHole::start();
        let s = Scene::with(town().set("relay", "open_timeout = \"3s\""), &[], hole.address);
        let mut bystander = s.alone(what);
        let culprits: Vec<_> = bystander.beside(what, || {
            let culprits = (0..16).map(|_| visit(s.port)).collect();
            s.b.wait_tunnel(s.port, "has them waiting", |t| t["visitors_now"] == 16);
            culprits
        });
        bystander.check_memory(what, 0);
        // And they are told.
        for c in &culprits {
            assert!(is_reset_within(c, SOON), "a visitor waits for ever");
        }
        let e = s.b.wait_audit("refused", |e| e["event"] == "visitor.refused" && e["port"] == s.port);
        assert!(e.to_string().contains("3 s"), "{e}");
        bystander.judge(what)
    });
}

#[test]
fn a_visitor_without_progress_is_cut_and_its_obituary_says_so() {
    confirmed(|| {
        let service = Trickle::start(8 * MIB, Duration::from_secs(1));
        let s = Scene::with(town().set("relay", "stall_timeout = \"2s\""), &[], service.address);
        let pinger = Pinger::start(s.echo());
        let stuck = s.never_reading(&service, 2);
        let close = s.b.wait_audit("cut", |e| e["event"] == "visitor.close" && e["port"] == s.port);
        let reason = close["reason"].as_str().unwrap();
        assert!(reason.starts_with("cut: the visitor took no data for the stall time of 2s, with "), "{close}");
        let seconds = close["seconds"].as_f64().unwrap();
        assert!((2.0..8.0).contains(&seconds), "{close}");
        for c in &stuck {
            assert!(is_reset_within(c, SOON));
        }
        let pings = pinger.finish();
        eventually("nothing is held any more", SOON, || s.held().is_empty());
        judge_pings("visitors that are cut", &pings)
    });
}

#[test]
fn a_revoke_cuts_a_session_with_stalled_visitors_within_two_seconds() {
    let service = Trickle::start(16 * MIB, Duration::from_millis(500));
    let mut s = Scene::start(service.address);
    let stuck = s.never_reading(&service, 8);
    let began = Instant::now();
    let out = s.b.cli(&["revoke", "pay-01", "--yes"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for c in &stuck {
        assert!(is_reset_within(c, SOON), "a visitor was not reset");
    }
    assert!(is_free(s.port));
    let took = began.elapsed();
    eprintln!("isolation: revoke with 8 stalled visitors: {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    s.ssh.wait_exit();
}

#[test]
fn a_killed_client_with_stalled_visitors_frees_its_port_within_a_second() {
    let service = Trickle::start(16 * MIB, Duration::from_millis(500));
    let mut s = Scene::start(service.address);
    let stuck = s.never_reading(&service, 8);
    let killed = Instant::now();
    s.ssh.kill9();
    eventually("the port is free", SOON, || is_free(s.port));
    let took = killed.elapsed();
    eprintln!("isolation: kill -9 with 8 stalled visitors: {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    for c in &stuck {
        assert!(is_reset_within(c, SOON), "a visitor was not reset");
    }
}
