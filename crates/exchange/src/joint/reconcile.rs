//! Holding the two sides against each other, exchange by exchange.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use parcel::Party;
use serde::{Deserialize, Serialize};

use super::{Fact, Side};

/// The version of a report's form.
pub const REPORT_PROFILE: &str = "bailiwick-joint-audit/1.0";

/// What the two ledgers say of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Both have it, and agree.
    Matched,
    /// Only the first side's ledger has it.
    OnlyOurs,
    /// Only the second side's ledger has it.
    OnlyTheirs,
    /// Both have it, of different bytes.
    DigestDiffers,
    /// Both have it and agree, and by their clocks the effect came before its cause.
    TimeSkew,
}

impl Finding {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::OnlyOurs => "only ours",
            Self::OnlyTheirs => "only theirs",
            Self::DigestDiffers => "digest differs",
            Self::TimeSkew => "time skew",
        }
    }
}

/// One thing that both ledgers should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub exchange: String,
    /// `delivery`, `receipt` or `notice`.
    pub what: String,
    pub finding: Finding,
    /// In words, where there is more to say.
    pub note: Option<String>,
    pub ours: Option<Fact>,
    pub theirs: Option<Fact>,
    /// From the cause to its effect, by the two clocks.
    pub milliseconds: Option<i64>,
}

/// Whose extract it is, and how much it covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub agency: Party,
    /// SHA-256 of the signer's certificate, hex.
    pub signer: String,
    pub from: Timestamp,
    pub to: Timestamp,
    pub made_at: Timestamp,
    pub entries: usize,
    /// The size of the ledger that the entries were proved in.
    pub ledger_size: u64,
}

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub matched: usize,
    pub only_ours: usize,
    pub only_theirs: usize,
    pub digest_differs: usize,
    pub time_skew: usize,
}

/// The joint report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub profile: String,
    pub ours: Head,
    pub theirs: Head,
    /// How far an effect may come before its cause.
    pub skew_seconds_max: i64,
    pub counts: Counts,
    /// What does not match first, then in the order of the exchanges.
    pub lines: Vec<Line>,
    /// What the extracts don't cover alike, in words.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether the two ledgers agree in everything.
    pub fn agrees(&self) -> bool {
        self.lines.iter().all(|line| line.finding == Finding::Matched)
    }
}

/// Holds our side against theirs.
pub fn reconcile(ours: &Side, theirs: &Side, skew_max: SignedDuration) -> Report {
    let (mine, other) = (by_exchange(ours), by_exchange(theirs));
    let none = Told::default();
    let mut lines = Vec::new();
    for exchange in mine.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
        let (a, b) = (mine.get(exchange).unwrap_or(&none), other.get(exchange).unwrap_or(&none));
        let pairs = Pairs { exchange, ours: a, theirs: b, skew_max };
        lines.extend(pairs.lines());
    }
    lines.sort_by_key(|line| (line.finding == Finding::Matched, line.exchange.clone()));
    let mut counts = Counts::default();
    for line in &lines {
        match line.finding {
            Finding::Matched => counts.matched += 1,
            Finding::OnlyOurs => counts.only_ours += 1,
            Finding::OnlyTheirs => counts.only_theirs += 1,
            Finding::DigestDiffers => counts.digest_differs += 1,
            Finding::TimeSkew => counts.time_skew += 1,
        }
    }
    Report {
        profile: REPORT_PROFILE.to_owned(),
        ours: head(ours),
        theirs: head(theirs),
        skew_seconds_max: skew_max.as_secs(),
        counts,
        lines,
        notes: notes(ours, theirs),
    }
}

fn head(side: &Side) -> Head {
    Head {
        agency: side.agency.clone(),
        signer: side.signer.fingerprint_text(),
        from: side.from,
        to: side.to,
        made_at: side.made_at,
        entries: side.facts.len(),
        ledger_size: side.size,
    }
}

fn notes(ours: &Side, theirs: &Side) -> Vec<String> {
    let mut notes = Vec::new();
    if ours.partner != theirs.agency.ori || theirs.partner != ours.agency.ori {
        notes.push("the extracts are not about each other's agencies".to_owned());
    }
    if (ours.from, ours.to) != (theirs.from, theirs.to) {
        notes.push(
            "the extracts cover different times: what lies outside one of them is shown as only the \
             other's"
                .to_owned(),
        );
    }
    notes
}

/// What one side says of one exchange.
#[derive(Default)]
struct Told<'a> {
    facts: Vec<&'a Fact>,
}

impl<'a> Told<'a> {
    fn one(&self, kind: &str) -> Option<&'a Fact> {
        self.facts.iter().find(|fact| fact.kind == kind).copied()
    }

    fn any(&self, kinds: &[&str]) -> Option<&'a Fact> {
        kinds.iter().find_map(|kind| self.one(kind))
    }
}

fn by_exchange(side: &Side) -> BTreeMap<String, Told<'_>> {
    let mut all: BTreeMap<String, Told<'_>> = BTreeMap::new();
    for fact in &side.facts {
        all.entry(fact.exchange.clone()).or_default().facts.push(fact);
    }
    all
}

/// One exchange as both sides tell it.
struct Pairs<'a> {
    exchange: &'a str,
    ours: &'a Told<'a>,
    theirs: &'a Told<'a>,
    skew_max: SignedDuration,
}

impl Pairs<'_> {
    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for forth in [true, false] {
            lines.extend(self.delivery(forth));
            lines.extend(self.receipt(forth));
            lines.extend(self.notices(forth));
        }
        lines
    }

    /// Sender and receiver of the parcel, where we are the sender (`forth`), or they are.
    fn sides(&self, forth: bool) -> (&Told<'_>, &Told<'_>) {
        if forth { (self.ours, self.theirs) } else { (self.theirs, self.ours) }
    }

    fn delivery(&self, forth: bool) -> Option<Line> {
        let (sender, receiver) = self.sides(forth);
        let (sent, received) = (sender.one("parcel-sent"), receiver.one("parcel-received"));
        let ends = ["parcel-refused"];
        let taken_back = ["export-recalled", "offer-expired"];
        match (sent, received, receiver.any(&ends)) {
            (None, None, _) => None,
            (Some(sent), None, Some(refused)) => {
                Some(self.line("delivery", forth, Some(sent), Some(refused), Some("refused")))
            }
            (Some(sent), None, None) => match sender.any(&taken_back) {
                // The receiver knows: it anchored the notice of it, or ended the offer itself.
                Some(_)
                    if sender.one("receipt-anchored").is_none()
                        && receiver.any(&["notice-anchored", "offer-expired"]).is_some() =>
                {
                    let mut line = self.line("delivery", forth, Some(sent), None, None);
                    line.finding = Finding::Matched;
                    line.note = Some("taken back before it arrived, as both know".to_owned());
                    Some(line)
                }
                _ => Some(self.line("delivery", forth, Some(sent), None, Some("never arrived"))),
            },
            (sent, received, _) => Some(self.line("delivery", forth, sent, received, None)),
        }
    }

    fn receipt(&self, forth: bool) -> Option<Line> {
        let (sender, receiver) = self.sides(forth);
        let issued = receiver.one("receipt-issued");
        let anchored = sender.one("receipt-anchored");
        match (issued, anchored, sender.one("parcel-refused")) {
            (None, None, _) => None,
            (Some(issued), None, Some(refused)) => {
                // A refusal is recorded, and its receipt kept with it.
                let refused = Fact { digest: issued.digest.clone(), ..refused.clone() };
                let refused = Some(&refused);
                Some(self.line("receipt", !forth, Some(issued), refused, Some("of a refusal")))
            }
            (issued, anchored, _) => Some(self.line("receipt", !forth, issued, anchored, None)),
        }
    }

    /// Notices are told apart by their digests: each is signed once.
    fn notices(&self, forth: bool) -> Vec<Line> {
        let (from, to) = self.sides(forth);
        let of = |told: &Told<'_>, kind: &str| -> Vec<Fact> {
            told.facts.iter().filter(|fact| fact.kind == kind).map(|fact| (*fact).clone()).collect()
        };
        let (issued, anchored) = (of(from, "notice-issued"), of(to, "notice-anchored"));
        let mut lines = Vec::new();
        for one in &issued {
            let other = anchored.iter().find(|other| other.digest == one.digest);
            lines.push(self.line("notice", forth, Some(one), other, None));
        }
        for one in &anchored {
            if !issued.iter().any(|other| other.digest == one.digest) {
                lines.push(self.line("notice", forth, None, Some(one), Some("never signed")));
            }
        }
        lines
    }

    /// `cause` is ours where `forth` says so.
    fn line(
        &self,
        what: &str,
        forth: bool,
        cause: Option<&Fact>,
        effect: Option<&Fact>,
        note: Option<&str>,
    ) -> Line {
        let (ours, theirs) = if forth { (cause, effect) } else { (effect, cause) };
        let apart = match (cause, effect) {
            (Some(cause), Some(effect)) => Some(effect.at.duration_since(cause.at)),
            _ => None,
        };
        let differs = |one: Option<&String>, other: Option<&String>| matches!((one, other), (Some(one), Some(other)) if one != other);
        let finding = match (ours, theirs) {
            (Some(_), None) => Finding::OnlyOurs,
            (None, Some(_)) | (None, None) => Finding::OnlyTheirs,
            (Some(one), Some(other)) => {
                if differs(one.digest.as_ref(), other.digest.as_ref())
                    || differs(one.parcel.as_ref(), other.parcel.as_ref())
                {
                    Finding::DigestDiffers
                } else if apart.is_some_and(|apart| apart < -self.skew_max) {
                    Finding::TimeSkew
                } else {
                    Finding::Matched
                }
            }
        };
        Line {
            exchange: self.exchange.to_owned(),
            what: what.to_owned(),
            finding,
            note: note.map(str::to_owned),
            ours: ours.cloned(),
            theirs: theirs.cloned(),
            milliseconds: apart.and_then(|apart| i64::try_from(apart.as_millis()).ok()),
        }
    }
}
