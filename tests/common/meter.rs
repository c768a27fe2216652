//! A visitor that minds its own business, and measures how it fares while others misbehave.

use super::services::visit;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const MIB: f64 = 1024.0 * 1024.0;
/// The longest a byte may take to its service and back, whatever the neighbours do.
const WORST: Duration = Duration::from_millis(250);
/// What is left, at least, of the throughput it had alone.
const SHARE: f64 = 0.8;
/// Beside neighbours who move bytes as fast as the session goes, the limit is at least so many times the worst ping of
/// the same visitor beside the same work by visitors who read. They share the session's TCP connection and, in a build
/// that is not optimised, two cores: what waits there waits behind sshd, too. One that freezes would take seconds.
const BUSY: u32 = 3;
/// Between two pings. Without a pause they would be a load of their own.
const PAUSE: Duration = Duration::from_millis(1);
/// Pings go on for so long after the neighbour has got going.
const PINGING: Duration = Duration::from_millis(600);
/// One measure of throughput.
const STREAMING: Duration = Duration::from_millis(500);
/// Measures of throughput, of which the best counts. What a stuck neighbour does to a session it does all the time; what
/// another process does to a machine of two cores is over at the next try.
const ROUNDS: usize = 8;
/// Nothing that is measured takes this long; what does is stuck, and the test over.
const STUCK: Duration = Duration::from_secs(10);
/// Memory that is no stalled visitor's: the measuring one's own stream and what the allocator keeps of it, and the threads
/// that write spill files.
const OWN_MEMORY: u64 = 16 << 20;
/// Memory of one stalled visitor.
const VISITOR_MEMORY: u64 = 4 << 20;

fn connect(port: u16) -> TcpStream {
    let conn = visit(port);
    conn.set_nodelay(true).unwrap();
    conn.set_read_timeout(Some(STUCK)).unwrap();
    conn.set_write_timeout(Some(STUCK)).unwrap();
    conn
}

/// How long single bytes took, there and back. The first has the opening of the connection in it.
pub struct Pings(Vec<Duration>);

impl Pings {
    /// The longest.
    pub fn worst(&self) -> Duration {
        *self.0.iter().max().unwrap()
    }
    /// What 99 of 100 stayed below.
    pub fn p99(&self) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() * 99).div_ceil(100) - 1]
    }
}

impl std::fmt::Display for Pings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |d: Duration| d.as_secs_f64() * 1000.0;
        write!(f, "{} pings, p99 {:.1} ms, worst {:.1} ms", self.0.len(), ms(self.p99()), ms(self.worst()))
    }
}

/// A visitor of an echo that sends a byte, waits for it, and sends the next, until told to finish.
pub struct Pinger {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Pings>,
}

impl Pinger {
    /// Connects, and pings from then on.
    pub fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut took = Vec::new();
            let mut asked = Instant::now();
            let mut conn = connect(port);
            loop {
                let byte = [u8::try_from(took.len() % 251).unwrap()];
                conn.write_all(&byte).unwrap();
                let mut back = [0];
                if let Err(e) = conn.read_exact(&mut back) {
                    panic!("ping {} has no answer after {:?}: {e}", took.len(), asked.elapsed());
                }
                assert_eq!(back, byte);
                took.push(asked.elapsed());
                if stopped.load(Ordering::Relaxed) {
                    return Pings(took);
                }
                std::thread::park_timeout(PAUSE);
                asked = Instant::now();
            }
        });
        Self { stop, thread }
    }

    /// The same after a while.
    #[track_caller]
    pub fn finish_after(self, time: Duration) -> Pings {
        pass(time);
        self.finish()
    }

    /// How it went. One that waits for its byte still waits for it.
    #[track_caller]
    pub fn finish(self) -> Pings {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a ping that is answered")
    }
}

/// Which way the measuring visitor streams.
#[derive(Clone)]
pub enum Stream {
    /// From a service that sends without end.
    Down(u16),
    /// To a service that reads without end, and counts.
    Up(u16, Arc<AtomicU64>),
}

impl Stream {
    /// MiB a second, in one measure.
    fn measure(&self) -> f64 {
        let mut buf = vec![0x42; 64 * 1024];
        let mut seen = 0_u64;
        let (port, arrived) = match self {
            Self::Down(port) => (*port, None),
            Self::Up(port, arrived) => (*port, Some(arrived)),
        };
        let mut conn = connect(port);
        let mut step = |seen: &mut u64| match arrived {
            None => match conn.read(&mut buf).expect("a stream that goes on") {
                0 => panic!("a stream that goes on has ended"),
                n => *seen += n as u64,
            },
            Some(arrived) => {
                conn.write_all(&buf).expect("a stream that goes on");
                *seen = arrived.load(Ordering::Relaxed);
            }
        };
        let start = arrived.map_or(0, |a| a.load(Ordering::Relaxed));
        // What opens slowly is open after that: the channel, its window, TCP.
        seen = seen.max(start);
        while seen < start + (1 << 20) {
            step(&mut seen);
        }
        let (began, before) = (Instant::now(), seen);
        while began.elapsed() < STREAMING {
            step(&mut seen);
        }
        let took = began.elapsed().as_secs_f64();
        // Nothing of it is left on the way when the next one measures.
        conn.shutdown(Shutdown::Write).unwrap();
        while conn.read(&mut buf).expect("the end of a stream") > 0 {}
        #[allow(clippy::cast_precision_loss)]
        let mib = (seen - before) as f64 / MIB;
        mib / took
    }
}

/// What a scenario has measured: nothing to complain of, or what was too slow.
pub type Verdict = Result<(), String>;

/// Runs a scenario; what was too slow counts only when a second run from the beginning is too slow again. What stuck
/// neighbours do to a session they do every time; what another process does to a machine of two cores it seldom does
/// twice. All that is not a matter of speed panics, and is never tried twice.
#[track_caller]
pub fn confirmed(scenario: impl Fn() -> Verdict) {
    let Err(first) = scenario() else { return };
    eprintln!("isolation: once more, because {first}");
    if let Err(second) = scenario() {
        panic!("twice too slow: {first}; {second}");
    }
}

/// Judges pings by the limit that always holds.
pub fn judge_pings(what: &str, pings: &Pings) -> Verdict {
    judge_within(what, pings, WORST)
}

fn judge_within(what: &str, pings: &Pings, limit: Duration) -> Verdict {
    if pings.worst() < limit { Ok(()) } else { Err(format!("{what}: a ping took longer than {limit:?}: {pings}")) }
}

/// A visitor that has measured how it fares alone.
pub struct Bystander {
    ping: u16,
    stream: Stream,
    alone: f64,
    best: f64,
    /// The limit while neighbours move bytes as fast as the session goes.
    busy: Duration,
    memory: Memory,
    verdict: Verdict,
}

impl Bystander {
    /// Measures alone: pings through the tunnel of an echo, and streams through another of the same session. `pid` is the
    /// daemon's.
    #[track_caller]
    pub fn alone(what: &str, ping: u16, stream: Stream, pid: u32) -> Self {
        let pings = Pinger::start(ping).finish_after(PINGING / 2);
        // The first warms up what is slow only once.
        let alone = stream.measure().max(stream.measure());
        eprintln!("isolation: {what}: alone: {pings}; {alone:.0} MiB/s");
        Self { ping, stream, alone, best: 0.0, busy: WORST, memory: Memory::of(pid), verdict: Ok(()) }
    }

    /// Measures pings beside visitors who work the machine as hard as the culprits will, and read what they get.
    #[track_caller]
    pub fn beside_readers(&mut self, what: &str) {
        let pings = Pinger::start(self.ping).finish_after(PINGING);
        self.busy = WORST.max(pings.worst() * BUSY);
        eprintln!("isolation: {what}: beside readers: {pings}; the limit is {:?}", self.busy);
    }

    /// The same beside a download of its own at full speed.
    #[track_caller]
    pub fn beside_itself(&mut self, what: &str) {
        let own = self.stream.clone();
        let download = std::thread::spawn(move || own.measure());
        self.beside_readers(what);
        download.join().expect("a stream that goes on");
    }

    /// Measures beside others. `begin` starts them and returns when they are as bad as they get; pings go on from before
    /// it. What it returns (the culprits) lives until all is measured, and is given back.
    #[track_caller]
    pub fn beside<T>(&mut self, what: &str, begin: impl FnOnce() -> T) -> T {
        self.beside_within(what, [WORST, WORST], begin)
    }

    /// The same where all begins with as many bytes as the session carries.
    #[track_caller]
    pub fn beside_busy<T>(&mut self, what: &str, begin: impl FnOnce() -> T) -> T {
        self.beside_within(what, [self.busy, WORST], begin)
    }

    /// The same where that goes on to the end.
    #[track_caller]
    pub fn beside_busy_throughout<T>(&mut self, what: &str, begin: impl FnOnce() -> T) -> T {
        self.beside_within(what, [self.busy, self.busy], begin)
    }

    #[track_caller]
    fn beside_within<T>(&mut self, what: &str, limits: [Duration; 2], begin: impl FnOnce() -> T) -> T {
        let pinger = Pinger::start(self.ping);
        let culprits = begin();
        let starting = pinger.finish();
        let pings = Pinger::start(self.ping).finish_after(PINGING);
        let mut rounds = 0;
        while rounds < ROUNDS && self.best < SHARE * self.alone {
            self.best = self.best.max(self.stream.measure());
            rounds += 1;
        }
        eprintln!(
            "isolation: {what}: as they begin: {starting}; beside: {pings}; {:.0} MiB/s = {:.1} % in {rounds} rounds, \
             wanted {:.1} %",
            self.best,
            100.0 * self.best / self.alone,
            100.0 * SHARE
        );
        let begun = judge_within(&format!("{what}: as they began"), &starting, limits[0]);
        self.verdict = begun.and(judge_within(what, &pings, limits[1]));
        culprits
    }

    /// Judges all that was measured, with the culprits gone. Where the throughput has not been enough, what the visitor
    /// has alone is measured once more: a machine that does other work now is slower for everybody.
    pub fn judge(mut self, what: &str) -> Verdict {
        if self.best < SHARE * self.alone {
            let again = self.stream.measure().max(self.stream.measure());
            eprintln!("isolation: {what}: alone again: {again:.0} MiB/s, {:.1} % beside", 100.0 * self.best / again);
            self.alone = self.alone.min(again);
        }
        let (best, alone) = (self.best, self.alone);
        self.verdict?;
        if best >= SHARE * alone { Ok(()) } else { Err(format!("{what}: {best:.1} of {alone:.1} MiB/s are left")) }
    }

    /// Checks what the daemon has grown by, at its peak, since it was measured alone.
    #[track_caller]
    pub fn check_memory(&self, what: &str, stalled: u64) {
        let (grown, allowed) = (self.grown(), OWN_MEMORY + stalled * VISITOR_MEMORY);
        eprintln!("isolation: {what}: memory: grown by {} KiB of {} allowed", grown >> 10, allowed >> 10);
        assert!(grown <= allowed, "{what}: the daemon has grown by {grown} bytes, allowed are {allowed}");
    }

    /// What the daemon has grown by, at its peak, since it was measured alone; bytes.
    pub fn grown(&self) -> u64 {
        self.memory.grown()
    }
}

/// Lets time go by that is part of what is measured.
fn pass(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

/// The memory of a process, seen from one moment on.
pub struct Memory {
    pid: u32,
    before: u64,
}

impl Memory {
    /// From now on.
    #[track_caller]
    pub fn of(pid: u32) -> Self {
        // 5: the peak is counted anew (proc_pid_clear_refs(5)).
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        Self { pid, before: status(pid, "VmRSS:") }
    }
    /// The peak since then, less what there was.
    #[track_caller]
    pub fn grown(&self) -> u64 {
        status(self.pid, "VmHWM:").saturating_sub(self.before)
    }
}

fn status(pid: u32, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Open files of a process.
pub fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}
