//! Ten thousand tunnels, held for some minutes with the console open on them: none may be lost, and visitors get through.

use super::common::measure::{Cpu, pss};
use super::common::ours::Ours;
use super::common::screen::Screen;
use super::common::swarm::{Swarm, hosts};
use super::common::{Res, SOON, Server, Size, at, eventually};
use super::rows::{LIMIT, THREADS};
use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

/// Between two lines of the report.
const STEP: Duration = Duration::from_secs(10);
/// Visitors sent to tunnels all over the range in each step.
const VISITS: usize = 20;

#[derive(clap::Args)]
pub struct Args {
    /// For how long
    minutes: f64,
    /// Tunnels in all
    #[arg(long, default_value_t = 10_000)]
    tunnels: usize,
    /// Tunnels of each host
    #[arg(long, default_value_t = 3)]
    each: u16,
    /// With a health check of each, once a minute
    #[arg(long)]
    checks: bool,
}

pub fn hold(args: &Args) -> Res<()> {
    let size = Size { hosts: args.tunnels.div_ceil(usize::from(args.each)), ports_each: args.each };
    let tunnels = size.hosts * usize::from(args.each);
    let check = if args.checks { "check = \"ssh\"" } else { "check = \"none\"" };
    let ours =
        Ours::start(size, &[super::rows::KEEPALIVE, super::rows::CROWD, super::rows::CHECKED, ("hosts", check)])?;
    let swarm = Swarm::start(ours.address(), hosts(&ours, size.hosts, size.ports_each, "127.0.0.1")?, THREADS);
    let began = Instant::now();
    swarm.wait_all(LIMIT)?;
    println!("{tunnels} tunnels of {} hosts are up after {:.1} s", size.hosts, began.elapsed().as_secs_f64());
    let screen = Screen::attach(&ours.socket())?;
    eventually("the console draws", SOON, || screen.drawn() > 2_000)?;
    let (lost, mut bad, mut visited, mut least) = (swarm.tally().lost, 0, 0, tunnels);
    let end = Instant::now() + Duration::from_secs_f64(args.minutes * 60.0);
    let mut last = (Instant::now(), Cpu::now(&[ours.pid()]), Cpu::now(&[screen.pid()]), screen.drawn());
    while Instant::now() < end {
        std::thread::sleep(STEP.min(end.saturating_duration_since(Instant::now())));
        let now = (Instant::now(), Cpu::now(&[ours.pid()]), Cpu::now(&[screen.pid()]), screen.drawn());
        let seconds = (now.0 - last.0).as_secs_f64();
        let up = swarm.tally().up * usize::from(args.each);
        least = least.min(up);
        for i in 0..VISITS {
            visited += 1;
            let host = (visited * 7919 + i) % size.hosts;
            if let Err(why) = visit(ours.port(host, u16::try_from(visited % usize::from(args.each)).unwrap_or(0))) {
                bad += 1;
                println!("a visitor of host {host}: {why}");
            }
        }
        println!(
            "{:>5.0} s  tunnels up {up:>6}  sessions lost {:>3}  visitors {visited:>5} ({bad} in vain)  daemon {:>6.1} MiB \
             {:>5.2} % CPU  console {:>7.0} B/s drawn {:>5.2} % CPU",
            began.elapsed().as_secs_f64(),
            swarm.tally().lost - lost,
            pss(ours.pid()).unwrap_or(0) as f64 / f64::from(1 << 20),
            now.1.since(&last.1) / seconds * 100.0,
            (now.3 - last.3) as f64 / seconds,
            now.2.since(&last.2) / seconds * 100.0,
        );
        last = now;
    }
    let shown = screen.contents();
    println!("{shown}");
    let gone = swarm.tally().lost - lost;
    let verdict = format!(
        "{} minutes: at least {least} of {tunnels} up, {gone} sessions lost, {bad} visitors in vain",
        args.minutes
    );
    if least == tunnels && gone == 0 && bad == 0 && !shown.trim().is_empty() {
        println!("PASS  {verdict}");
        Ok(())
    } else {
        println!("FAIL  {verdict}");
        Err(verdict)
    }
}

/// Connects, and is greeted by the service behind the tunnel.
fn visit(port: u16) -> Res<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(at("connect"))?;
    stream.set_read_timeout(Some(SOON)).map_err(at("timeout"))?;
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting).map_err(at("greeting"))?;
    if &greeting == b"SSH-" { Ok(()) } else { Err(format!("greeted with {greeting:?}")) }
}
