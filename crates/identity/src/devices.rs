//! Device classes: for how long a person at such a device may do nothing.
//!
//! Invariants: a class is told by where the connection comes from or by a certificate that the device shows, never by
//! what a browser says; only vehicles and dispatch positions may wait for longer than half an hour (AC-11's note,
//! SC-10's note), and nobody for longer than the twelve hours after which every session ends.

use std::net::IpAddr;

use jiff::SignedDuration;

use crate::certificates::Held;
use crate::{Identity, IdentityError, SessionLimits};

/// The classes that CJISSECPOL exempts from the half hour.
pub const EXEMPT: [&str; 2] = ["vehicle", "dispatch"];

/// A range of addresses: `10.9.0.0/16`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl std::str::FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "is a range of addresses such as 10.9.0.0/16";
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| WRONG)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => {
                bits.parse().map_err(|_| WRONG)?
            }
            Some(_) => return Err(WRONG),
        };
        let network = Self { address, bits };
        if bits > most || network.masked(address) != number(address) {
            return Err(WRONG);
        }
        Ok(network)
    }
}

impl Network {
    /// Whether an address is in the range. An IPv4 address that came over IPv6 is one of IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.masked(address) == number(self.address)
    }

    fn masked(&self, address: IpAddr) -> u128 {
        let width = if address.is_ipv4() { 32 } else { 128 };
        let rest = width - self.bits.min(width);
        number(address).checked_shr(rest).unwrap_or(0).checked_shl(rest).unwrap_or(0)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// One class. What it names must all be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceClass {
    pub name: String,
    pub idle_max: SignedDuration,
    /// Where its devices are; none: anywhere.
    pub networks: Vec<Network>,
    /// The certificate provider whose certificates its devices show, and the policy that these state, if one is
    /// demanded.
    pub certificate: Option<(String, Option<String>)>,
}

impl DeviceClass {
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), &'static str> {
        let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let most = match EXEMPT.contains(&self.name.as_str()) {
            true => SessionLimits::CJIS.absolute_max,
            false => SessionLimits::CJIS.idle_max,
        };
        if self.name.is_empty() || self.name.len() > 40 || !self.name.bytes().all(letters) {
            Err("has a name of 1 to 40 small letters, digits and dashes")
        } else if self.idle_max <= SignedDuration::ZERO || self.idle_max > most {
            Err("has 1 to 30 idle minutes; `vehicle` and `dispatch` up to 720 (AC-11)")
        } else if self.networks.is_empty() && self.certificate.is_none() {
            Err("is told by `networks`, by `certificate_provider` or by both")
        } else {
            Ok(())
        }
    }

    fn is_at(&self, address: Option<IpAddr>) -> bool {
        let within = |address| self.networks.iter().any(|network| network.contains(address));
        self.networks.is_empty() || address.is_some_and(within)
    }

    fn shows(&self, held: Option<&Held>) -> bool {
        let Some((provider, policy)) = &self.certificate else { return true };
        held.is_some_and(|held| {
            let policy = policy.as_ref();
            held.provider == *provider && policy.is_none_or(|policy| held.policies.contains(policy))
        })
    }

    fn provider(&self) -> Option<&str> {
        self.certificate.as_ref().map(|(provider, _)| provider.as_str())
    }
}

impl Identity {
    /// Gives the room the device classes.
    ///
    /// # Errors
    /// [`IdentityError::DeviceClass`] names the first that can't be.
    pub fn with_device_classes(mut self, classes: Vec<DeviceClass>) -> Result<Self, IdentityError> {
        for one in &classes {
            let wrong = |problem| IdentityError::DeviceClass { class: one.name.clone(), problem };
            one.check().map_err(wrong)?;
            if one.provider().is_some_and(|id| self.certificate_provider(id).is_none()) {
                return Err(wrong("names a certificate provider that there is not"));
            }
        }
        self.devices = classes.into();
        Ok(self)
    }

    /// The certificate providers by which devices at this address are told.
    pub(crate) fn device_providers(&self, address: Option<IpAddr>) -> Vec<&str> {
        let here = self.devices.iter().filter(|class| class.is_at(address));
        let mut providers: Vec<&str> = here.filter_map(DeviceClass::provider).collect();
        providers.sort_unstable();
        providers.dedup();
        providers
    }

    /// The class of a device that shows these certificates; of several the one that may wait for the shortest time.
    pub(crate) fn device_class(
        &self,
        address: Option<IpAddr>,
        held: &[Held],
    ) -> Option<&DeviceClass> {
        let shows = |class: &DeviceClass| {
            class.shows(None) || held.iter().any(|one| class.shows(Some(one)))
        };
        let fits = self.devices.iter().filter(|class| class.is_at(address) && shows(class));
        fits.min_by_key(|class| (class.idle_max, &class.name))
    }

    /// The limits of a session that began in this class: what was so then and what is so now, whichever is shorter.
    pub(crate) fn limits_in(&self, class: Option<&(String, i64)>) -> SessionLimits {
        let usual = self.settings.limits;
        let Some((name, then)) = class else { return usual };
        let now = self.devices.iter().find(|class| class.name == *name).map(|class| class.idle_max);
        let idle_max = now.map_or(usual.idle_max, |now| now.min(SignedDuration::from_secs(*then)));
        SessionLimits { idle_max, ..usual }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn contains(network: &str, address: &str, expected: bool) {
        let network: Network = network.parse().unwrap();
        assert_eq!(network.contains(address.parse().unwrap()), expected, "{network:?} {address}");
    }

    #[test]
    fn a_range_holds_what_is_in_it_and_nothing_else() {
        contains("10.9.0.0/16", "10.9.255.1", true);
        contains("10.9.0.0/16", "10.10.0.1", false);
        contains("10.9.0.0/16", "::ffff:10.9.0.1", true);
        contains("10.9.0.0/16", "::10.9.0.1", false);
        contains("0.0.0.0/0", "203.0.113.9", true);
        contains("0.0.0.0/0", "::1", false);
        contains("127.0.0.1", "127.0.0.1", true);
        contains("127.0.0.1", "127.0.0.2", false);
        contains("2001:db8::/32", "2001:db8:1::9", true);
        contains("2001:db8::/32", "2001:db9::", false);
        contains("::/0", "2001:db9::", true);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "10.9.0.0/33",
            "10.9.0.1/16",
            "10.9/16",
            "::/129",
            "a/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_vehicles_and_dispatch_may_wait_for_longer_than_half_an_hour() {
        let class = |name: &str, minutes| DeviceClass {
            name: name.to_owned(),
            idle_max: SignedDuration::from_mins(minutes),
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            certificate: None,
        };
        for (name, minutes, good) in [
            ("kiosk", 5, true),
            ("kiosk", 30, true),
            ("kiosk", 31, false),
            ("vehicle", 31, true),
            ("dispatch", 720, true),
            ("dispatch", 721, false),
            ("vehicle", 0, false),
            ("Vehicle", 5, false),
            ("", 5, false),
        ] {
            assert_eq!(class(name, minutes).check().is_ok(), good, "{name} {minutes}");
        }
        assert!(DeviceClass { networks: Vec::new(), ..class("kiosk", 5) }.check().is_err());
    }
}
