//! Lists of networks somebody may come from: `from=` before a key, `source-address` in a certificate.

use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;

/// Addresses and networks, in OpenSSH's way of writing: `10.1.0.0/16,!10.1.9.0/24,2001:db8::7`. One that is excepted
/// (`!`) is out whatever else is said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(Vec<(bool, IpNet)>);

impl Networks {
    /// Reads a list as it stands in `from=`.
    ///
    /// # Errors
    /// What of it is not an address or a network, in a sentence.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut entries = Vec::new();
        for word in list.split(',').map(str::trim) {
            let (except, word) = word.strip_prefix('!').map_or((false, word), |w| (true, w));
            entries.push((except, network(word)?));
        }
        if entries.iter().all(|(except, _)| *except) {
            return Err("it lets nobody in: networks that are excepted (!) need one they are excepted from".to_owned());
        }
        Ok(Self(entries))
    }

    /// Reads the list of a certificate's `source-address`, which knows no exceptions.
    ///
    /// # Errors
    /// What of it cannot be read: a certificate whose limits are not understood is not good.
    pub fn of_certificate(list: &str) -> Result<Self, String> {
        list.split(',').map(|word| network(word).map(|n| (false, n))).collect::<Result<_, _>>().map(Self)
    }

    /// Whether somebody at this address may come in.
    #[must_use]
    pub fn admit(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let of = |wanted: bool| self.0.iter().any(|(except, net)| *except == wanted && net.contains(&address));
        of(false) && !of(true)
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (except, net)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let mark = if *except { "!" } else { "" };
            write!(f, "{comma}{mark}{net}")?;
        }
        Ok(())
    }
}

/// A network, or an address as a network of its own.
///
/// # Errors
/// What it is instead, in a sentence.
pub fn network(word: &str) -> Result<IpNet, String> {
    if let Ok(address) = word.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let net: IpNet = word.parse().map_err(|_| format!("{word:?} is neither an address nor a network"))?;
    if net.trunc() != net {
        return Err(format!("{word:?} has bits set beyond its prefix; the network is {}", net.trunc()));
    }
    Ok(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_wins_wherever_it_stands() {
        for list in ["10.1.0.0/16,!10.1.9.0/24,2001:db8::7", "!10.1.9.0/24,2001:db8::7,10.1.0.0/16"] {
            let nets = Networks::parse(list).unwrap();
            assert_eq!(nets.to_string().split(',').count(), 3);
            for (address, admitted) in [
                ("10.1.2.3", true),
                ("::ffff:10.1.2.3", true),
                ("10.1.9.1", false),
                ("10.2.0.1", false),
                ("2001:db8::7", true),
                ("2001:db8::8", false),
            ] {
                assert_eq!(nets.admit(address.parse().unwrap()), admitted, "{address} in {list}");
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in
            ["", "10.1.2.3/16", "10.0.0.0/33", "*.example.net", "10.0.0.0/8,,", "!10.0.0.0/8", "10.0.0.0/8 1.2.3.4"]
        {
            assert!(Networks::parse(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "!10.0.0.0/8", "10.0.0.1/8", "10.0.0.0/8,"] {
            assert!(Networks::of_certificate(bad).is_err(), "{bad:?}");
        }
        assert!(Networks::of_certificate("10.0.0.0/8,::1").unwrap().admit("::1".parse().unwrap()));
    }
}
