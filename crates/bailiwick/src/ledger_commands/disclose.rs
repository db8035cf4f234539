//! `--disclose`: what entries say, given out only after the ledger has recorded that it is.

use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ledger::Reason;
use ledger::evidence::Disclose;
use web::agency::Outside;
use web::disclosure::{Disclosing, Disclosure, record};

/// Whether and under what name what entries say is disclosed.
#[derive(Args)]
pub(crate) struct DiscloseArguments {
    /// Disclose what the entries say. Needs the ledger itself, its server stopped, and the master key, and
    /// is recorded in the ledger first. The evidence then holds criminal justice information in the clear.
    #[arg(long, requires_all = ["config", "by", "reason"])]
    disclose: Option<Halves>,
    /// The agency's configuration, for --disclose.
    #[arg(long, requires = "disclose")]
    config: Option<PathBuf>,
    /// Who takes the evidence, for the record.
    #[arg(long, requires = "disclose")]
    by: Option<String>,
    /// Why, for the record.
    #[arg(long, requires = "disclose")]
    reason: Option<String>,
    /// The case number, for the record.
    #[arg(long, requires = "disclose")]
    case: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Halves {
    /// The half that a partner may be shown.
    Shared,
    /// Everything.
    All,
}

impl DiscloseArguments {
    /// How much is to be disclosed, if anything.
    pub(super) fn halves(&self) -> Option<Disclose> {
        Some(match self.disclose? {
            Halves::Shared => Disclose::Shared,
            Halves::All => Disclose::All,
        })
    }

    /// Records the disclosure, and gives the key.
    pub(super) fn record(
        &self,
        folder: &Path,
        entries: Range<u64>,
        halves: Disclose,
    ) -> anyhow::Result<Disclosing> {
        let text = |given: &Option<String>| given.clone().unwrap_or_default();
        let by = text(&self.by);
        let config = self.config.clone().unwrap_or_default();
        let reason = Some(text(&self.reason));
        let why = Reason { purpose: None, case_number: self.case.clone(), reason };
        let asked = Disclosure { config: &config, folder, entries, halves, by: &by, why };
        Ok(record(&asked, &Outside::system())?)
    }
}
