//! The first lines: clients that wait for ours, that send theirs in crumbs, and what who is offered.

use crate::common::SOON;
use crate::common::bastion::Bastion;
use std::io::{Read, Write};
use std::net::TcpStream;

const OURS: &[u8] = b"SSH-2.0-portreeve\r\n";

/// What comes until so many bytes are there.
fn read(conn: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    conn.read_exact(&mut bytes).unwrap();
    bytes
}

/// Connects, says the one before the bastion's line has come and the other after it, and gives the packet that comes.
#[track_caller]
fn first_packet(b: &Bastion, before: &str, after: &str) -> String {
    let mut conn = TcpStream::connect(b.address()).unwrap();
    conn.set_nodelay(true).unwrap();
    conn.set_read_timeout(Some(SOON)).unwrap();
    conn.write_all(before.as_bytes()).unwrap();
    assert_eq!(read(&mut conn, OURS.len()), OURS);
    for crumb in after.split_inclusive('_') {
        conn.write_all(crumb.as_bytes()).unwrap();
    }
    // Our line has come once: what comes now is the packet's length, its padding's length, and KEXINIT.
    let length = read(&mut conn, 4);
    let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
    assert!((100..5_000).contains(&length), "{length}");
    let packet = read(&mut conn, length);
    assert_eq!(packet[1], 20);
    String::from_utf8_lossy(&packet).into_owned()
}

fn has_plain_mac(packet: &str) -> bool {
    packet.contains("hmac-sha2-512-etm@openssh.com,hmac-sha2-256")
}

#[test]
fn only_clients_that_may_have_no_better_are_offered_encrypt_and_mac() {
    let b = Bastion::builder().team("pay", 1).start();
    for line in ["SSH-2.0-dropbear_2022.83\r\n", "SSH-2.0-dropbear\r\n", "SSH-2.0-libssh2_1.10.0\r\n"] {
        assert!(has_plain_mac(&first_packet(&b, "", line)), "{line}");
    }
    for line in
        ["SSH-2.0-OpenSSH_9.2p1 dropbear\r\n", "SSH-2.0-libssh_0.10.6\r\n", "SSH-2.0-x\n", "SSH-1.99-dropbear\r\n"]
    {
        let packet = first_packet(&b, "", line);
        assert!(packet.contains("hmac-sha2-256-etm@openssh.com") && !has_plain_mac(&packet), "{line}");
    }
}

#[test]
fn a_line_that_comes_in_crumbs_is_a_line() {
    let b = Bastion::builder().team("pay", 1).start();
    let packet = first_packet(&b, "S", "SH-2.0-Open_S_S_H_9.2_\r\n");
    assert!(packet.contains("mlkem768x25519-sha256"));
}
