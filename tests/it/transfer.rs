//! Bytes: many visitors, many bytes, key exchanges on the way, and connections closed on one side.

use crate::common::bastion::Bastion;
use crate::common::services::{echo, speaks_first, summing, visit};
use crate::common::stream::{self, Sum};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

pub(crate) const MIB: u64 = 1024 * 1024;

/// Sends a stream to an echo and reads it back at the same time.
#[track_caller]
pub(crate) fn there_and_back(port: u16, seed: u64, len: u64) -> (Sum, Sum) {
    let mut reader = visit(port);
    let mut writer = reader.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        let sum = stream::write(&mut writer, seed, len).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
        sum
    });
    let received = stream::read(&mut reader).unwrap();
    (sending.join().unwrap(), received)
}

fn with_tunnel(service: SocketAddr, options: &[&str], test: impl FnOnce(&Bastion, u16, &crate::common::ssh::Ssh)) {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    let port = b.port("pay", 0);
    let command = options.iter().fold(b.ssh("pay-01"), |c, o| c.option(o));
    let host = command.forward(port, service).start().wait_forward();
    test(&b, port, &host);
}

#[test]
fn sixty_four_visitors_at_once_each_get_their_own_bytes() {
    with_tunnel(echo(), &[], |b, port, _| {
        let visitors: Vec<_> =
            (0..64).map(|seed| std::thread::spawn(move || (seed, there_and_back(port, seed, MIB)))).collect();
        for v in visitors {
            let (seed, (sent, received)) = v.join().unwrap();
            assert_eq!(received, sent, "visitor {seed}");
        }
        let row = b.wait_tunnel(port, "has all visitors gone", |t| t["visitors_now"] == 0);
        let bytes = serde_json::Value::from(64 * MIB);
        assert_eq!((&row["visitors_total"], &row["bytes_to_host"]), (&64.into(), &bytes));
        assert_eq!((&row["bytes_to_visitors"], &row["visitors_refused"]), (&bytes, &0.into()));
    });
}

#[test]
fn a_quarter_gibibyte_both_ways() {
    with_tunnel(echo(), &[], |_, port, _| {
        let (sent, received) = there_and_back(port, 1, 256 * MIB);
        assert_eq!((sent.len, &received), (256 * MIB, &sent));
    });
}

#[test]
fn key_exchanges_during_a_transfer_lose_nothing() {
    with_tunnel(echo(), &["RekeyLimit=1M"], |b, port, host| {
        let (sent, received) = there_and_back(port, 2, 64 * MIB);
        assert_eq!(received, sent);
        let exchanges = host.log.all().iter().filter(|l| l.contains("SSH2_MSG_NEWKEYS received")).count();
        assert!(exchanges > 10, "only {exchanges} key exchanges");
        assert_eq!(b.tunnel(port).unwrap()["state"], "up");
    });
}

#[test]
fn a_visitor_that_has_sent_all_still_gets_the_answer() {
    with_tunnel(summing(), &[], |_, port, _| {
        let mut conn = visit(port);
        let sent = stream::write(&mut conn, 3, 5 * MIB).unwrap();
        conn.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        conn.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, sent.to_string());
    });
}

#[test]
fn a_service_that_has_said_all_still_gets_the_bytes() {
    let (service, sums) = speaks_first("that is all from me");
    with_tunnel(service, &[], |_, port, _| {
        let mut conn = visit(port);
        let mut said = String::new();
        conn.read_to_string(&mut said).unwrap();
        assert_eq!(said, "that is all from me");
        let sent = stream::write(&mut conn, 4, 5 * MIB).unwrap();
        conn.shutdown(Shutdown::Write).unwrap();
        drop(conn);
        // Health checks visit too, and send nothing.
        let received = std::iter::repeat_with(|| sums.recv_timeout(Duration::from_secs(20)).unwrap())
            .find(|sum| sum.len > 0)
            .unwrap();
        assert_eq!(received, sent);
    });
}

/// Head of line (RFC 4254 windows are per channel, russh's queue is not): its neighbours must not notice.
#[test]
fn a_visitor_that_does_not_read_holds_up_nobody() {
    with_tunnel(echo(), &[], |_, port, _| {
        let lazy = visit(port);
        let mut feeding = lazy.try_clone().unwrap();
        let feeder = std::thread::spawn(move || stream::write(&mut feeding, 5, 64 * MIB));
        // Its buffers fill on the way while others come and go.
        for seed in 0..4 {
            let (sent, received) = there_and_back(port, seed, 4 * MIB);
            assert_eq!(received, sent, "visitor {seed} beside the lazy one");
        }
        let mut lazy = lazy;
        // And when it reads after all, nothing is missing.
        let reader = std::thread::spawn(move || {
            let mut summer = stream::Summer::default();
            let mut buf = vec![0; 65_536];
            let mut left = 64 * MIB;
            while left > 0 {
                let n = lazy.read(&mut buf).unwrap();
                assert_ne!(n, 0, "{left} bytes are missing");
                summer.update(&buf[..n]);
                left -= n as u64;
            }
            lazy.write_all(b"").unwrap();
            summer.sum()
        });
        let sent = feeder.join().unwrap().unwrap();
        assert_eq!(reader.join().unwrap(), sent);
    });
}
