//! Which cryptographic module runs, and whether it is in FIPS mode.
//!
//! Says what runs, never what is validated: that depends on certificate, version and machine.

use crate::KeysError;

/// The module that this program is linked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// For example `AWS-LC FIPS 4.0.0`.
    pub name: String,
    /// Whether the module says of itself that it is in FIPS mode.
    pub fips: bool,
}

/// Names the module and asks it for its mode. Cheap.
pub fn describe() -> Module {
    let fips = aws_lc_rs::try_fips_mode().is_ok();
    let library = aws_lc_rs::awslc_version();
    let name = if fips { format!("AWS-LC FIPS {library}") } else { format!("AWS-LC {library}") };
    Module { name, fips }
}

/// Refuses unless the module is in FIPS mode and passes its known-answer tests now.
///
/// `serve` calls this before it opens anything. The module's integrity test ran when the program
/// was loaded; a failure there ends the process before any of our code.
pub fn require_fips() -> Result<Module, KeysError> {
    let module = describe();
    if !module.fips {
        return Err(KeysError::NotFips { why: "the module says that FIPS mode is off" });
    }
    aws_lc_rs::try_fips_self_test()
        .map_err(|_| KeysError::NotFips { why: "a known-answer self-test failed" })?;
    Ok(module)
}
