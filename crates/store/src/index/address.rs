//! Internet addresses as terms whose order is theirs

use std::net::{IpAddr, Ipv6Addr};

/// The term of an address: 32 hexadecimal digits. One of version 4 is the version 6 one that it maps to.
pub fn address_key(address: IpAddr) -> String {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    format!("{:032x}", address.to_bits())
}

/// The address of a term, as it is written.
pub fn address_of(key: &str) -> Option<IpAddr> {
    let bits = u128::from_str_radix(key, 16).ok()?;
    let address = Ipv6Addr::from_bits(bits);
    Some(
        address
            .to_ipv4_mapped()
            .map_or(IpAddr::V6(address), IpAddr::V4),
    )
}

/// The first and the last term of a network: `10.0.0.0/8`.
pub fn network_keys(cidr: &str) -> Option<(String, String)> {
    let (address, length) = cidr.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length: u32 = length.parse().ok()?;
    let (bits, fixed) = match address {
        IpAddr::V4(address) if length <= 32 => (address.to_ipv6_mapped().to_bits(), 96 + length),
        IpAddr::V6(address) if length <= 128 => (address.to_bits(), length),
        _ => return None,
    };
    let free = u128::MAX.checked_shr(fixed).unwrap_or(0);
    Some((
        format!("{:032x}", bits & !free),
        format!("{:032x}", bits | free),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ordered_and_come_back() {
        let texts = [
            "::",
            "0.0.0.0",
            "10.0.0.9",
            "10.0.0.10",
            "255.255.255.255",
            "2001:db8::1",
            "ff02::1",
        ];
        let keys: Vec<_> = texts
            .iter()
            .map(|a| address_key(a.parse().unwrap()))
            .collect();
        assert!(keys.is_sorted());
        let back: Vec<_> = keys
            .iter()
            .map(|key| address_of(key).unwrap().to_string())
            .collect();
        assert_eq!(back, texts);
    }

    #[test]
    fn networks() {
        let (first, last) = network_keys("10.1.2.3/8").unwrap();
        assert_eq!(address_of(&first).unwrap().to_string(), "10.0.0.0");
        assert_eq!(address_of(&last).unwrap().to_string(), "10.255.255.255");
        let (first, last) = network_keys("2001:db8::/127").unwrap();
        assert_eq!(address_of(&first).unwrap().to_string(), "2001:db8::");
        assert_eq!(address_of(&last).unwrap().to_string(), "2001:db8::1");
        assert!(network_keys("::/0").is_some());
        assert!(network_keys("10.0.0.0/33").is_none());
    }
}
