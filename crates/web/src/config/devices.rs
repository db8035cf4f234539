//! `[session.device_class.NAME]`: for how long a session on such a device may be idle.

use std::collections::BTreeMap;

use identity::devices::DeviceClass;
use jiff::SignedDuration;
use serde::Deserialize;

/// The most classes.
const CLASSES_MAX: usize = 32;

/// One class of devices. What it names must all be so.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceClassConfig {
    /// Minutes without activity after which a session ends: 1 to 30, and up to 720 for `vehicle` and `dispatch`.
    pub idle_minutes: u32,
    /// Ranges of addresses that its devices connect from.
    #[serde(default)]
    pub networks: Vec<String>,
    /// The id of the `[[certificate_provider]]` whose certificates its devices show.
    pub certificate_provider: Option<String>,
    /// A policy that these certificates must state.
    pub certificate_policy: Option<String>,
}

/// The classes as identity takes them.
pub(crate) fn classes(
    all: &BTreeMap<String, DeviceClassConfig>,
) -> Result<Vec<DeviceClass>, (&'static str, &'static str)> {
    const KEY: &str = "session.device_class";
    if all.len() > CLASSES_MAX {
        return Err((KEY, "has 32 classes at most"));
    }
    let class = |(name, one): (&String, &DeviceClassConfig)| {
        if one.certificate_policy.is_some() && one.certificate_provider.is_none() {
            return Err((KEY, "has a `certificate_policy` only with a `certificate_provider`"));
        }
        let networks: Result<_, &'static str> =
            one.networks.iter().map(|network| network.parse()).collect();
        let provider = one.certificate_provider.clone();
        let class = DeviceClass {
            name: name.clone(),
            idle_max: SignedDuration::from_mins(i64::from(one.idle_minutes)),
            networks: networks.map_err(|what| (KEY, what))?,
            certificate: provider.map(|provider| (provider, one.certificate_policy.clone())),
        };
        class.check().map_err(|what| (KEY, what))?;
        Ok(class)
    };
    all.iter().map(class).collect()
}
