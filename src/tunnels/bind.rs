//! Where a tunnel listens.

use crate::model::BindPolicy;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where the client's wish and the team's policy let a tunnel listen. The spellings are sshd's (RFC 4254 §7.1,
/// OpenSSH `GatewayPorts`): empty and `*` mean everywhere, `localhost` both loopbacks.
///
/// # Errors
/// The rule that forbids it.
pub fn bind_addresses(policy: BindPolicy, asked: &str) -> Result<Vec<IpAddr>, String> {
    let loopback = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    match (policy, asked) {
        (_, "localhost") | (BindPolicy::Loopback, "" | "*" | "0.0.0.0" | "::") => Ok(loopback),
        (BindPolicy::Gateway, "" | "*") => {
            Ok(vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)])
        }
        (policy, literal) => match literal.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(ip) if loopback.contains(&ip) || policy == BindPolicy::Gateway => Ok(vec![ip]),
            // As sshd does without GatewayPorts: the wish is not honoured, the tunnel is.
            Ok(_) => Ok(loopback),
            Err(_) => Err(format!(
                "{:?} is not an address to listen on: use localhost, *, or an IP address",
                crate::model::clean(literal, 60)
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_tunnel_listens_is_the_policys_to_say() {
        let ips = |p, a| bind_addresses(p, a).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        for asked in ["", "*", "0.0.0.0", "::", "localhost", "192.0.2.7"] {
            assert_eq!(ips(BindPolicy::Loopback, asked), ["127.0.0.1", "::1"], "{asked:?}");
        }
        assert_eq!(ips(BindPolicy::Gateway, "localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(ips(BindPolicy::Gateway, "*"), ["0.0.0.0", "::"]);
        assert_eq!(ips(BindPolicy::Gateway, "192.0.2.7"), ["192.0.2.7"]);
        assert_eq!(ips(BindPolicy::Loopback, "127.0.0.1"), ["127.0.0.1"]);
        assert!(bind_addresses(BindPolicy::Gateway, "example.net").is_err());
    }
}
