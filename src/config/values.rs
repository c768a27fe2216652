//! The texts of single values: durations, sizes, networks, addresses. Each says what is wrong with it and what to write.

use super::problem::Complaint;
use super::schema::Reach;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Longest time any setting may have. More is surely a slip, and would overflow clocks far beyond.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// `15s`, `1m 30s`, `500ms`. More than nothing, at most a day.
pub(super) fn duration(text: &str) -> Result<Duration, Complaint> {
    let units = "write a number and a unit, such as \"15s\", \"1m 30s\" or \"500ms\"";
    let d = humantime::parse_duration(text)
        .map_err(|e| Complaint::new(format!("{text:?} is not a duration: {e}"), units))?;
    if d.is_zero() {
        return Err(Complaint::new("a duration of zero would mean at once, always", "write at least \"1ms\""));
    }
    if d > LONGEST {
        return Err(Complaint::new(format!("{text:?} is longer than a day"), "write at most \"24h\""));
    }
    Ok(d)
}

/// As [`duration`], or `off`: nothing.
pub(super) fn duration_or_off(text: &str) -> Result<Duration, Complaint> {
    if text.trim() == "off" { Ok(Duration::ZERO) } else { duration(text) }
}

/// `256KiB`, `1GiB`: powers of 1024 only, so that a number means one thing. More than nothing.
pub(super) fn size(text: &str) -> Result<u64, Complaint> {
    let remedy = "write a whole number and one of B, KiB, MiB, GiB, TiB, such as \"256KiB\"";
    let bad = |why: &str| Complaint::new(format!("{text:?} is not a size: {why}"), remedy);
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (digits, unit) = trimmed.split_at(split);
    let number: u64 = digits.parse().map_err(|_| bad("it does not begin with a whole number"))?;
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "b" => 0,
        "kib" => 10,
        "mib" => 20,
        "gib" => 30,
        "tib" => 40,
        "" => return Err(bad("the unit is missing")),
        other => return Err(bad(&format!("{other:?} is not a unit"))),
    };
    match number.checked_mul(1 << shift) {
        None => Err(bad("it is too large")),
        // Files and their offsets are signed 64-bit numbers.
        Some(n) if n > i64::MAX.unsigned_abs() => Err(bad("it is too large")),
        Some(0) => Err(Complaint::new("a size of zero would hold nothing", remedy)),
        Some(n) => Ok(n),
    }
}

/// `10.1.0.0/16`, `2001:db8::/32`, with no bit set beyond the prefix.
pub(super) fn network(text: &str) -> Result<IpNet, Complaint> {
    let trimmed = text.trim();
    if let Ok(address) = trimmed.parse::<IpAddr>() {
        let single = IpNet::from(address);
        return Err(Complaint::new(
            format!("{text:?} is an address, not a network"),
            format!("write \"{single}\" for this one address"),
        ));
    }
    let net: IpNet = trimmed.parse().map_err(|_| {
        Complaint::new(
            format!("{text:?} is not a network"),
            "write an address and a prefix length, such as \"10.1.0.0/16\"",
        )
    })?;
    if net.trunc() != net {
        return Err(Complaint::new(
            format!("{text:?} has bits set beyond its prefix"),
            format!(
                "write \"{}\" for the network, or \"{}\" for the one address",
                net.trunc(),
                IpNet::from(net.addr())
            ),
        ));
    }
    Ok(net)
}

/// `127.0.0.1:2222`, `[::]:22`.
pub(super) fn listen(text: &str) -> Result<SocketAddr, Complaint> {
    let trimmed = text.trim();
    if let Ok(address) = trimmed.parse() {
        return Ok(address);
    }
    if let Ok(ip) = trimmed.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Err(Complaint::new(
            format!("{text:?} has no port"),
            format!("write \"{}\"", SocketAddr::new(ip, 2222)),
        ));
    }
    let wrong = format!("{text:?} is not an address to listen on");
    let (host, port) = trimmed.rsplit_once(':').unwrap_or((trimmed, ""));
    let Ok(port) = port.parse::<u16>() else {
        return Err(Complaint::new(wrong, "write an IP address and a port up to 65535, such as \"127.0.0.1:2222\""));
    };
    if host.is_empty() || host == "*" {
        return Err(Complaint::new(wrong, format!("for all addresses write [\"0.0.0.0:{port}\", \"[::]:{port}\"]")));
    }
    if let Ok(IpAddr::V6(ip)) = host.parse::<IpAddr>() {
        return Err(Complaint::new(wrong, format!("an IPv6 address stands in brackets: write \"[{ip}]:{port}\"")));
    }
    Err(Complaint::new(
        format!("{wrong}: host names are not looked up"),
        format!("write the IP address itself, such as \"127.0.0.1:{port}\""),
    ))
}

/// `bastion.example.net`, `bastion.example.net:22`, `[2001:db8::1]:22`: a name or an address, and perhaps a port.
pub(super) fn reach(text: &str) -> Result<Reach, Complaint> {
    let remedy =
        "write a name or an address, with a port where it is another one, such as \"bastion.example.net:2222\"";
    let bad = || Complaint::new(format!("{text:?} is not how a host could reach the bastion"), remedy);
    let trimmed = text.trim();
    if let Ok(ip) = trimmed.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(Reach { host: ip.to_string(), port: None });
    }
    if let Ok(a) = trimmed.parse::<SocketAddr>() {
        return if a.port() == 0 { Err(bad()) } else { Ok(Reach { host: a.ip().to_string(), port: Some(a.port()) }) };
    }
    let (host, port) = match trimmed.split_once(':') {
        Some((host, port)) => (host, Some(port.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(bad)?)),
        None => (trimmed, None),
    };
    // What stands in other people's shells and files.
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.len() > 253 || !host.starts_with(char::is_alphanumeric) || !host.chars().all(plain) {
        return Err(bad());
    }
    Ok(Reach { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024_and_never_wrap() {
        assert_eq!(size("256KiB"), Ok(262_144));
        assert_eq!(size(" 1 GiB "), Ok(1 << 30));
        assert_eq!(size("512B"), Ok(512));
        for bad in ["", "KiB", "10", "10GB", "0KiB", "-1KiB", "1.5GiB", "99999999TiB", "8388608TiB"] {
            assert!(size(bad).is_err(), "{bad:?}");
        }
        assert!(size("0KiB").unwrap_err().what.contains("zero"));
    }

    #[test]
    fn durations_are_more_than_nothing_and_at_most_a_day() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("24h"), Ok(LONGEST));
        for bad in ["", "15", "0s", "25h", "500 years", "-1s"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn networks_come_with_the_network_that_was_meant() {
        assert!(network("2001:db8::/32").is_ok());
        assert!(network("0.0.0.0/0").is_ok());
        assert!(network("10.1.2.3/16").unwrap_err().remedy.contains("\"10.1.0.0/16\""));
        assert!(network("10.1.2.3").unwrap_err().remedy.contains("\"10.1.2.3/32\""));
        assert!(network("10.1.0.0/33").is_err());
    }

    #[test]
    fn how_hosts_reach_the_bastion_is_a_name_or_an_address_and_perhaps_a_port() {
        for good in ["bastion.example.net", "bastion.example.net:22", "203.0.113.7:2222", "[2001:db8::1]:22", "배스천"]
        {
            assert_eq!(reach(good).unwrap().to_string(), good);
        }
        assert_eq!(reach("[2001:db8::1]").unwrap().to_string(), "2001:db8::1");
        for bad in ["", ":22", "b:", "b:0", "b:65536", "a b", "-oProxyCommand=x", "a;b", "user@b", "203.0.113.7:0"] {
            assert!(reach(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn listen_addresses_say_how_to_write_what_was_meant() {
        assert!(listen("[::]:22").is_ok());
        assert!(listen("127.0.0.1:0").is_ok());
        for (bad, hint) in [
            ("127.0.0.1", "\"127.0.0.1:2222\""),
            ("::1", "\"[::1]:2222\""),
            ("fe80::aaaa:2222", "\"[fe80::aaaa:2222]:2222\""),
            (":22", "\"0.0.0.0:22\", \"[::]:22\""),
            ("*:22", "\"0.0.0.0:22\", \"[::]:22\""),
            ("localhost:22", "\"127.0.0.1:22\""),
            ("127.0.0.1:65558", "65535"),
        ] {
            assert!(listen(bad).unwrap_err().remedy.contains(hint), "{bad}: {:?}", listen(bad));
        }
        assert!(listen("localhost:22").unwrap_err().what.contains("host names are not looked up"));
    }
}
