//! SSH clients that people start: OpenSSH's, Dropbear's, PuTTY's.

use super::{Client, bastion, carries_64_mib, is_any_port_of_the_team, is_cancelled, run, session};
use crate::common::SOON;
use crate::common::bastion::Bastion;
use crate::common::services::{echo, serve, visit};
use crate::common::stream;
use crate::transfer::MIB;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::mpsc;

#[track_caller]
fn converts(command: Command, package: &str) {
    let out = run(command, package);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[track_caller]
fn is(b: &Bastion, software: &str) {
    let session = session(b);
    assert!(session["client"].as_str().unwrap().starts_with(software), "{session}");
}

#[test]
fn openssh() {
    let b = bastion();
    let (port, service) = (b.port("pay", 0), echo());
    let control = b.dir().join("master");
    let ask = |what: &str, forward: &str| {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-S", control.to_str().unwrap(), "-O", what, "-R", forward, "x"]);
        let out = run(ssh, "openssh-client");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let master = b.ssh("pay-01").args(&["-M", "-S", control.to_str().unwrap()]).option("RekeyLimit=4M");
    let mut master = master.forward(port, service).start().wait_forward();
    carries_64_mib(port);
    let exchanges = master.log.all().iter().filter(|l| l.contains("SSH2_MSG_NEWKEYS received")).count();
    assert!(exchanges > 8, "only {exchanges} key exchanges");
    ask("cancel", &format!("{port}:{service}"));
    is_cancelled(&b, port);
    let any = ask("forward", &format!("0:{service}"));
    is_any_port_of_the_team(&b, any.trim().parse().unwrap_or_else(|_| master.allocated()));
    master.term();
    master.wait_exit();
    super::ended_by_itself(&b);
}

/// Dropbear's client with that host's key; its service on these ports.
#[track_caller]
pub(super) fn dbclient(b: &Bastion, host: &str, ports: &[u16], service: SocketAddr) -> Client {
    let key = b.dir().join(format!("{host}.dropbear"));
    let mut convert = Command::new("dropbearconvert");
    convert.args(["openssh", "dropbear"]).arg(b.key(host)).arg(&key);
    converts(convert, "dropbear-bin");
    let mut dbclient = Command::new("dbclient");
    // -y twice: whatever the bastion's key is. A home of its own, so that nobody's known hosts are asked.
    dbclient.env("HOME", b.dir()).args(["-y", "-y", "-N", "-T", "-i"]).arg(&key);
    for port in ports {
        dbclient.args(["-R", &format!("{port}:{service}")]);
    }
    dbclient.args(["-p", &b.address().port().to_string(), &format!("{host}@127.0.0.1")]);
    Client::start(dbclient, "dropbear-bin")
}

/// PuTTY's client with that host's key; its service on these ports.
#[track_caller]
pub(super) fn plink(b: &Bastion, host: &str, ports: &[u16], service: SocketAddr) -> Client {
    let key = b.dir().join(format!("{host}.ppk"));
    let mut convert = Command::new("puttygen");
    convert.arg(b.key(host)).args(["-O", "private", "-o"]).arg(&key);
    converts(convert, "putty-tools");
    // What plink has no option for is in a saved session: new keys after so many bytes.
    let sessions = b.dir().join(".putty/sessions");
    std::fs::create_dir_all(&sessions).unwrap();
    std::fs::write(sessions.join("bastion"), "Protocol=ssh\nRekeyBytes=4M\n").unwrap();
    let mut plink = Command::new("plink");
    plink.env("HOME", b.dir()).args(["-v", "-batch", "-load", "bastion", "-ssh", "-N", "-i"]).arg(&key);
    plink.args(["-hostkey", &b.fingerprint("ssh_host_ed25519_key"), "-P", &b.address().port().to_string()]);
    for port in ports {
        plink.args(["-R", &format!("{port}:{service}")]);
    }
    plink.arg(format!("{host}@127.0.0.1"));
    Client::start(plink, "putty-tools")
}

/// It cancels nothing while it runs.
#[test]
fn dropbear() {
    let b = bastion();
    let port = b.port("pay", 0);
    let client = dbclient(&b, "pay-01", &[port, 0], echo());
    let given = client.log.wait("Allocated port ", SOON);
    let any = given.split("Allocated port ").nth(1).and_then(|l| l.split(' ').next()).unwrap();
    is_any_port_of_the_team(&b, any.parse().unwrap());
    b.wait_tunnel(port, "is up", |t| t["state"] == "up");
    is(&b, "dropbear_");
    carries_64_mib(port);
    client.leaves(&b);
}

/// Which it does by itself, and guesses while it does: its first packet follows before ours has come (RFC 4253 §7.1).
#[test]
#[ignore = "a gibibyte takes minutes on a busy machine: cargo nextest run --run-ignored only -E 'test(gibibyte)'"]
fn dropbear_exchanges_keys_after_a_gibibyte() {
    let b = bastion();
    let port = b.port("pay", 0);
    let (tx, sent) = mpsc::channel();
    let service = serve(move |mut conn| tx.send(stream::write(&mut conn, 9, 1100 * MIB).unwrap()).unwrap());
    let client = dbclient(&b, "pay-01", &[port], service);
    b.wait_tunnel(port, "is up", |t| t["state"] == "up");
    assert_eq!(stream::read(&mut visit(port)).unwrap(), sent.recv().unwrap());
    b.log().wait("Client has initiated re-key", SOON);
    client.leaves(&b);
}

/// It cannot ask for any port (it looks 0 up among the names of services), and cancels nothing while it runs.
#[test]
fn putty() {
    let b = bastion();
    let port = b.port("pay", 0);
    let client = plink(&b, "pay-01", &[port, 0], echo());
    client.log.wait(&format!("Remote port forwarding from {port} enabled"), SOON);
    assert!(client.log.contains("Service lookup failed for source port \"0\""), "it has learnt -R 0: test it");
    is(&b, "PuTTY_");
    carries_64_mib(port);
    let begun = client.log.all().iter().filter(|l| l.contains("Initiating key re-exchange (too much data")).count();
    assert!(begun > 4, "only {begun} key exchanges");
    client.leaves(&b);
}
