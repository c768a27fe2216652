//! The text that Prometheus and its relatives read (exposition format 0.0.4), made of [`Metrics`].

use crate::model::{Metrics, StateCounts, TeamMetrics, Traffic, TunnelMetrics, Verdict};
use std::fmt::{Display, Write as _};

/// What a family of samples is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only rises, until the thing it counts begins anew.
    Counter,
}

/// The page in the making. Writing to a `String` does not fail.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    /// Begins a family: its samples must follow, and those of no other.
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let _ = writeln!(self.0, "# HELP {name} {}\n# TYPE {name} {kind}", escape(help, false));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (n, (label, text)) in labels.iter().enumerate() {
            let open = if n == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{}\"", escape(text, true));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A family with one sample for each of these things.
    fn each<T, V: Display>(&mut self, of: &Each<'_, T>, name: &str, kind: Kind, help: &str, value: impl Fn(&T) -> V) {
        if of.things.is_empty() {
            return;
        }
        let name = format!("portreeve_{}_{name}", of.what);
        self.family(&name, kind, help);
        for (labels, thing) in &of.things {
            self.sample(&name, &pairs(labels), value(thing));
        }
    }

    /// The same, with a sample for each direction.
    fn bytes<T>(&mut self, of: &Each<'_, T>, help: &str, traffic: impl Fn(&T) -> Traffic) {
        if of.things.is_empty() {
            return;
        }
        let name = format!("portreeve_{}_transferred_bytes_total", of.what);
        self.family(&name, Kind::Counter, help);
        for (labels, thing) in &of.things {
            let t = traffic(thing);
            for (direction, n) in [("to_host", t.bytes_to_host), ("to_visitors", t.bytes_to_visitors)] {
                let mut labels = pairs(labels);
                labels.push(("direction", direction));
                self.sample(&name, &labels, n);
            }
        }
    }
}

/// Things with their labels.
struct Each<'a, T> {
    what: &'static str,
    things: Vec<(Vec<(&'static str, String)>, &'a T)>,
}

fn pairs<'a>(labels: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    labels.iter().map(|(k, v)| (*k, v.as_str())).collect()
}

/// In a label's value a backslash, a quote and a line break are escaped; in a help text the quote is not.
fn escape(text: &str, label: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if label => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    out
}

/// The whole page.
#[must_use]
pub fn text(m: &Metrics) -> String {
    let mut p = Page::default();
    daemon(&mut p, m);
    totals(&mut p, m);
    teams(&mut p, m);
    tunnels(&mut p, m);
    p.0
}

fn daemon(p: &mut Page, m: &Metrics) {
    use Kind::{Counter, Gauge};
    let build = [("name", m.name.as_str()), ("version", m.version.as_str())];
    p.family("portreeve_build_info", Gauge, "The bastion's name and portreeve's version; always 1.");
    p.sample("portreeve_build_info", &build, 1);
    let x = &m.process;
    p.one("portreeve_start_time_seconds", Gauge, "When the daemon started, Unix time.", unix(x.started));
    p.one("portreeve_process_cpu_seconds_total", Counter, "Processor time, user and system.", x.cpu_seconds);
    p.one("portreeve_process_resident_memory_bytes", Gauge, "Resident memory of the daemon.", x.resident_bytes);
    p.one("portreeve_process_open_fds", Gauge, "Open file descriptors of the daemon.", x.open_fds);
    p.one("portreeve_process_max_fds", Gauge, "File descriptors the daemon may open.", x.max_fds);
    p.one("portreeve_process_threads", Gauge, "Threads of the daemon.", x.threads);
    p.family("portreeve_sessions", Gauge, "SSH sessions now.");
    p.sample("portreeve_sessions", &[("kind", "host")], m.sessions.hosts);
    p.sample("portreeve_sessions", &[("kind", "operator")], m.sessions.operators);
    let help = "Hosts' sessions that a slow visitor slows at this moment.";
    p.one("portreeve_sessions_held", Gauge, help, m.sessions.held);
    let help = "Connections that have not signed in.";
    p.one("portreeve_unauthenticated_connections", Gauge, help, m.unauthenticated);
    let g = &m.gate;
    p.one(
        "portreeve_known_networks",
        Gauge,
        "Networks that somebody has signed in from within a month.",
        g.known_networks,
    );
    p.one("portreeve_penalised_networks", Gauge, "Networks under a penalty (sources.penalties).", g.penalised);
    let name = "portreeve_connections_refused_total";
    p.family(name, Counter, "Connections refused before the handshake, by reason.");
    for (reason, n) in &g.refused {
        p.sample(name, &[("reason", reason.as_str())], n);
    }
    p.one("portreeve_spill_used_bytes", Gauge, "Data on disk that waits for slow visitors.", m.spill.used);
    p.one("portreeve_spill_limit_bytes", Gauge, "What may wait on disk in all (relay.total_spill).", m.spill.limit);
    p.one("portreeve_audit_last_seq", Gauge, "Number of the last event of the journal.", m.audit.seq);
    let help = "Whether the journal can be written; while it cannot, nobody new signs in.";
    p.one("portreeve_audit_writable", Gauge, help, u8::from(m.audit.failure.is_none()));
    let help = "Whether the ledger was saved at its last change.";
    p.one("portreeve_ledger_writable", Gauge, help, u8::from(m.ledger_writable));
    p.one("portreeve_ledger_unsaved_blocks", Gauge, "Blocks that a restart would forget.", m.unsaved_blocks);
    p.one("portreeve_blocks", Gauge, "Blocks in force (revoke).", m.blocks);
}

fn totals(p: &mut Page, m: &Metrics) {
    use Kind::{Counter, Gauge};
    let sum = |f: fn(&TeamMetrics) -> u64| m.teams.iter().map(f).sum::<u64>();
    let mut traffic = Traffic::default();
    m.teams.iter().for_each(|t| traffic.add(&t.traffic));
    p.family("portreeve_tunnels", Gauge, "Tunnels and leases by state.");
    for (n, (state, _)) in StateCounts::default().each().iter().enumerate() {
        let all = m.teams.iter().filter_map(|t| t.tunnels.each().get(n).map(|(_, k)| *k)).sum::<u64>();
        p.sample("portreeve_tunnels", &[("state", &state.to_string())], all);
    }
    p.one("portreeve_visitors_connected", Gauge, "Visitors now.", sum(|t| t.visitors_now));
    p.one("portreeve_visitors_behind", Gauge, "Visitors for whom 1 MiB or more waits.", sum(|t| t.visitors_behind));
    p.one("portreeve_visitors_total", Counter, "Visitors since the daemon started.", traffic.visitors);
    p.one("portreeve_visitors_refused_total", Counter, "Visitors cut or refused.", traffic.refused);
    let name = "portreeve_transferred_bytes_total";
    p.family(name, Counter, "Bytes carried since the daemon started.");
    p.sample(name, &[("direction", "to_host")], traffic.bytes_to_host);
    p.sample(name, &[("direction", "to_visitors")], traffic.bytes_to_visitors);
    p.one(
        "portreeve_buffered_bytes",
        Gauge,
        "Bytes that wait for visitors, in memory and on disk.",
        sum(|t| t.buffered),
    );
    let help = "Time for which slow visitors slowed hosts' sessions, summed over visitors.";
    p.one("portreeve_session_held_seconds_total", Counter, help, seconds(traffic.held_ms));
}

fn teams(p: &mut Page, m: &Metrics) {
    use Kind::{Counter, Gauge};
    let things = m.teams.iter().map(|t| (vec![("team", t.team.to_string())], t)).collect();
    let all = Each { what: "team", things };
    p.each(&all, "ports", Gauge, "Ports of the team's ranges.", |t| t.ports);
    p.each(&all, "ports_leased", Gauge, "Of them leased.", |t| t.leased);
    if !m.teams.is_empty() {
        p.family("portreeve_team_tunnels", Gauge, "The team's tunnels and leases by state.");
        for t in &m.teams {
            for (state, n) in t.tunnels.each() {
                let labels = [("team", t.team.as_str()), ("state", &state.to_string())];
                p.sample("portreeve_team_tunnels", &labels, n);
            }
        }
    }
    p.each(&all, "visitors_connected", Gauge, "Visitors now.", |t| t.visitors_now);
    p.each(&all, "visitors_behind", Gauge, "Visitors for whom 1 MiB or more waits.", |t| t.visitors_behind);
    p.each(&all, "visitors_total", Counter, "Visitors since the daemon started.", |t| t.traffic.visitors);
    p.each(&all, "visitors_refused_total", Counter, "Visitors cut or refused.", |t| t.traffic.refused);
    p.bytes(&all, "Bytes carried since the daemon started.", |t| t.traffic);
    p.each(&all, "buffered_bytes", Gauge, "Bytes that wait for visitors.", |t| t.buffered);
    let help = "Time for which slow visitors slowed sessions.";
    p.each(&all, "session_held_seconds_total", Counter, help, |t| seconds(t.traffic.held_ms));
}

fn tunnels(p: &mut Page, m: &Metrics) {
    use Kind::{Counter, Gauge};
    let labels = |t: &TunnelMetrics| {
        vec![("port", t.port.to_string()), ("host", t.host.to_string()), ("team", t.team.to_string())]
    };
    let all = Each { what: "tunnel", things: m.tunnels.iter().map(|t| (labels(t), t)).collect() };
    if !m.tunnels.is_empty() {
        let name = "portreeve_tunnel_state";
        p.family(name, Gauge, "The tunnel's or lease's state now is the one of the label; always 1.");
        for (labels, t) in &all.things {
            let (mut labels, state) = (pairs(labels), t.state.to_string());
            labels.push(("state", &state));
            p.sample(name, &labels, 1);
        }
    }
    let help = "Since when it has been in its state, Unix time.";
    p.each(&all, "state_start_time_seconds", Gauge, help, |t| unix(t.state_since));
    p.each(&all, "visitors_connected", Gauge, "Visitors now.", |t| t.visitors_now);
    p.each(&all, "visitors_behind", Gauge, "Visitors for whom 1 MiB or more waits.", |t| t.behind.visitors);
    let help = "Visitors that slow the host's session at this moment.";
    p.each(&all, "visitors_holding", Gauge, help, |t| t.behind.holding);
    p.each(&all, "visitors_total", Counter, "Visitors since the tunnel came up.", |t| t.traffic.visitors);
    p.each(&all, "visitors_refused_total", Counter, "Visitors cut or refused.", |t| t.traffic.refused);
    p.bytes(&all, "Bytes carried since the tunnel came up.", |t| t.traffic);
    p.each(&all, "buffered_bytes", Gauge, "Bytes that wait for visitors.", |t| t.behind.buffered);
    let help = "Time for which slow visitors slowed the session.";
    p.each(&all, "session_held_seconds_total", Counter, help, |t| seconds(t.traffic.held_ms));
    let live = |checked: &dyn Fn(&TunnelMetrics) -> bool| Each {
        what: "tunnel",
        things: m.tunnels.iter().filter(|t| t.state.is_live() && checked(t)).map(|t| (labels(t), t)).collect(),
    };
    let judged = live(&|t| t.health != Verdict::Unknown);
    let help = "Whether the service passes its checks; absent while there is no verdict.";
    p.each(&judged, "check_passing", Gauge, help, |t| u8::from(t.health == Verdict::Passing));
    let timed = live(&|t| t.latency_ms.is_some());
    let help = "How long the last good check took.";
    p.each(&timed, "check_latency_seconds", Gauge, help, |t| t.latency_ms.unwrap_or(0.0) / 1000.0);
}

fn unix(t: crate::model::Time) -> f64 {
    #[allow(clippy::cast_precision_loss)] // exact until the year 287396
    let ms = t.timestamp_millis() as f64;
    ms / 1000.0
}

fn seconds(ms: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)] // exact for 285,000 years
    let ms = ms as f64;
    ms / 1000.0
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
