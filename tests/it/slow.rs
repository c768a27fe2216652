//! What is seen of visitors that read slowly, and what can be done about them.

use crate::common::bastion::Bastion;
use crate::common::services::{echo, source, visit};
use crate::common::{SOON, eventually, stream};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::process::Output;

const MIB: u64 = 1024 * 1024;

fn text(out: &Output) -> String {
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout.clone()).unwrap()
}

fn bastion() -> Bastion {
    Bastion::builder()
        .team("pay", 4)
        .team("web", 4)
        .host("pay-01", "pay")
        .host("web-01", "web")
        .operator("ops", "operator", &["pay"])
        .operator("weber", "operator", &["web"])
        .operator("eyes", "viewer", &[])
        .start()
}

/// Samples by name and labels as they are written. The format itself is held to in the program's own tests.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|l| !l.starts_with('#'));
    lines.map(|l| l.rsplit_once(' ').map(|(k, v)| (k.to_owned(), v.parse().unwrap())).unwrap()).collect()
}

#[test]
fn who_is_behind_is_named_with_how_much_and_can_be_cut() {
    let b = bastion();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, source(1, 64 * MIB)).start().wait_forward();
    let mut stuck = visit(port);
    let from = stuck.local_addr().unwrap().to_string();
    let row = b.wait_tunnel(port, "has a visitor that is behind", |t| {
        t["behind"]["visitors"] == 1 && t["behind"]["buffered"].as_u64() > Some(32 * MIB)
    });
    let warning = row["warning"].as_str().unwrap();
    assert!(warning.starts_with(&format!("visitor {from} is ")) && warning.ends_with(" MiB behind"), "{warning}");
    let of_port = port.to_string();
    let visitors = b.json(&["visitors", &of_port]);
    assert_eq!((&visitors[0]["source"], &visitors[0]["holding"]), (&from.as_str().into(), &false.into()));
    assert!(visitors[0]["buffered"].as_u64() > Some(32 * MIB), "{visitors}");
    let id = visitors[0]["id"].as_str().unwrap().to_owned();

    // The same over SSH, of one's own teams only.
    let table = text(&b.ssh("ops").run(&["visitors", &of_port]));
    assert!(table.contains("WAITING") && table.contains(&id) && table.contains(&from), "{table}");
    assert_eq!(text(&b.ssh("weber").run(&["visitors", &of_port, "--json"])), "[]\n");
    let status = text(&b.cli(&["status"]));
    assert!(status.contains("1 behind: ") && status.contains("on disk for slow visitors"), "{status}");
    assert!(b.json(&["status"])["daemon"]["spill"]["used"].as_u64() > Some(0));
    assert_eq!(b.json(&["tunnels", "behind>0"]).as_array().unwrap().len(), 1);
    let page = samples(&text(&b.ssh("eyes").run(&["metrics"])));
    assert_eq!(page["portreeve_visitors_behind"], 1.0);
    assert!(page["portreeve_spill_used_bytes"] > 1e6 && page["portreeve_buffered_bytes"] > 32e6, "{page:#?}");
    let labels = format!("port=\"{port}\",host=\"pay-01\",team=\"pay\"");
    assert!(page[&format!("portreeve_tunnel_buffered_bytes{{{labels}}}")] > 32e6);
    assert_eq!(page[&format!("portreeve_tunnel_state{{{labels},state=\"up\"}}")], 1.0);

    // Cut by those who may, once.
    for (who, code) in [("eyes", 4), ("weber", 4), ("ops", 0), ("ops", 5)] {
        let out = b.ssh(who).run(&["cut", &id, "--yes"]);
        assert_eq!(out.status.code(), Some(code), "{who}: {}", String::from_utf8_lossy(&out.stderr));
        if code == 5 {
            let why = String::from_utf8_lossy(&out.stderr).into_owned();
            assert!(why.contains(&format!("there is no visitor {id} (any more)")), "{why}");
        }
    }
    assert_eq!(stream::read(&mut stuck).map_err(|e| e.kind()), Err(ErrorKind::ConnectionReset));
    let cut = b.wait_audit("cut", |e| e["event"] == "operator.cut" && e["outcome"] == "success");
    assert_eq!((&cut["actor"]["name"], &cut["visitor"]), (&"ops".into(), &id.as_str().into()));
    let row = b.wait_tunnel(port, "has nothing waiting", |t| t["visitors_now"] == 0);
    assert_eq!((&row["behind"]["buffered"], &row["warning"]), (&0.into(), &serde_json::Value::Null));
    eventually("the disk is given back", SOON, || b.json(&["status"])["daemon"]["spill"]["used"] == 0);
}

#[test]
fn metrics_count_what_was_carried_also_by_tunnels_that_ended() {
    let b = bastion();
    let port = b.port("pay", 0);
    let mut host = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let mut conn = visit(port);
    conn.write_all(b"hello").unwrap();
    conn.read_exact(&mut [0; 5]).unwrap();
    // Nobody watches: the counters are read when they are asked for.
    let page = || samples(&text(&b.cli(&["metrics"])));
    let carried = |p: &BTreeMap<String, f64>| p["portreeve_transferred_bytes_total{direction=\"to_visitors\"}"];
    let live = page();
    assert_eq!((carried(&live), live["portreeve_visitors_connected"]), (5.0, 1.0));
    assert_eq!(live["portreeve_sessions{kind=\"host\"}"], 1.0);
    assert_eq!(live["portreeve_tunnels{state=\"up\"}"], 1.0);
    let rss = live["portreeve_process_resident_memory_bytes"];
    assert!(rss > 1e6 && live["portreeve_process_open_fds"] > 10.0, "{live:#?}");
    assert_eq!((live["portreeve_audit_writable"], live["portreeve_ledger_writable"]), (1.0, 1.0));
    host.kill9();
    b.wait_tunnel(port, "is down", |t| t["state"] == "down");
    let ended = page();
    assert_eq!((carried(&ended), ended["portreeve_visitors_connected"]), (5.0, 0.0));
    assert_eq!(ended["portreeve_team_transferred_bytes_total{team=\"pay\",direction=\"to_host\"}"], 5.0);
    // Another team's operator sees none of it, and the large part can be left out.
    let web = samples(&text(&b.ssh("weber").run(&["metrics"])));
    assert!(carried(&web) == 0.0 && web.keys().all(|k| !k.contains("pay")), "{web:#?}");
    let totals = samples(&text(&b.cli(&["metrics", "--no-tunnels"])));
    assert!(totals.keys().all(|k| !k.starts_with("portreeve_tunnel_")), "{totals:#?}");
    assert!(b.json(&["metrics"])["tunnels"].as_array().is_some_and(|t| t.len() == 1));
}
