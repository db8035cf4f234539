//! Numbers of a partner's parcels and notices that never came, although later ones did.
//!
//! Invariants: what is missing, since when, and that somebody was told outlives a restart, and nobody is told twice; a number
//! of which its sender said that it goes by hand is waited for as long as such things take.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use state::gaps::{Gap, Of};

use crate::error::FirstError;
use crate::model::{Export, ExportRow, ExportStatus};
use crate::protocol::Offer;
use crate::{Exchange, ExchangeError, is_delivery_name};

/// A number may be overtaken for so long before somebody is told.
const GAP_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// And so long where its sender said that it goes another way than the push.
const CARRIED_AFTER: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Missing numbers of one partner that are told of.
const GAPS_MAX: usize = 100;
/// Numbers that one offer tells of.
pub(crate) const CARRIED_MAX: usize = 1_000;

/// In an offer: that a number before it goes another way than the push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CarriedNumber {
    pub(crate) number: u64,
    /// What its sender calls the way.
    pub(crate) way: String,
}

/// A number of a partner's parcels that is not here, for pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingNumber {
    pub number: u64,
    /// How it comes, where its sender said that it does not come by the push.
    pub way: Option<String>,
}

impl Offer {
    /// Whether what it tells of other numbers can be.
    pub(crate) fn tells_soundly(&self) -> bool {
        self.carried.len() <= CARRIED_MAX
            && self.carried.iter().all(|told| told.number >= 1 && is_delivery_name(&told.way))
    }
}

impl Exchange {
    /// The numbers of a partner's parcels that are not here although later ones are.
    ///
    /// # Errors
    /// [`ExchangeError::State`].
    pub async fn missing_numbers(
        &self,
        partner: &str,
    ) -> Result<Vec<MissingNumber>, ExchangeError> {
        let known = state::gaps::list(&self.0.setup.state, Of::Parcel, partner).await?;
        let way = |number| known.iter().find(|gap| gap.number == number)?.way.clone();
        let numbers = self.gaps(partner).await?;
        Ok(numbers.into_iter().map(|number| MissingNumber { number, way: way(number) }).collect())
    }

    /// At the sender: the numbers before an export's own that go to the same partner by other ways, and of which no offer
    /// that the partner has acknowledged has told. The highest, where there are too many.
    pub(crate) async fn carried_numbers(
        &self,
        row: &ExportRow,
    ) -> Result<Vec<CarriedNumber>, ExchangeError> {
        let own = row.number.unwrap_or_default();
        let before = |export: &Export| export.number.is_some_and(|number| number < own);
        let all = self.every_export(&[], Some(&row.partner), before).await?;
        let pushed = |export: &&Export| {
            export.status == ExportStatus::Acknowledged && export.details.delivery.route.is_none()
        };
        let told_until = all.iter().filter(pushed).filter_map(|export| export.number).max();
        let mut carried: Vec<CarriedNumber> = all
            .iter()
            .filter_map(|export| {
                let (number, way) = (export.number?, export.details.delivery.route.clone()?);
                let open = match export.status {
                    // A notice tells of these.
                    ExportStatus::Recalled | ExportStatus::Expired => false,
                    ExportStatus::Acknowledged => told_until.is_none_or(|told| number > told),
                    _ => true,
                };
                open.then_some(CarriedNumber { number, way })
            })
            .collect();
        carried.sort_by_key(|one| std::cmp::Reverse(one.number));
        carried.truncate(CARRIED_MAX);
        carried.reverse();
        Ok(carried)
    }

    /// At the receiver: keeps what an offer tells of numbers that go another way.
    pub(crate) async fn note_carried(
        &self,
        partner: &str,
        offer: &Offer,
    ) -> Result<(), ExchangeError> {
        if offer.carried.is_empty() {
            return Ok(());
        }
        let missing: BTreeSet<u64> = self.gaps(partner).await?.into_iter().collect();
        for told in offer.carried.iter().filter(|told| missing.contains(&told.number)) {
            let (state, way) = (&self.0.setup.state, Some(told.way.as_str()));
            state::gaps::note(state, (Of::Parcel, partner), told.number, self.now(), way).await?;
        }
        Ok(())
    }

    /// A number of a partner's parcels or notices that others have overtaken for long is told of, once.
    pub(crate) async fn tell_gaps(&self) -> Result<(), ExchangeError> {
        let mut first = FirstError::default();
        let partners: Vec<String> =
            self.book().partners().map(|partner| partner.ori.to_string()).collect();
        for partner in partners {
            for of in [Of::Parcel, Of::Notice] {
                first.note(
                    "missing numbers were not told of",
                    self.tell_gaps_of(of, &partner).await,
                );
            }
        }
        first.end()
    }

    async fn tell_gaps_of(&self, of: Of, partner: &str) -> Result<(), ExchangeError> {
        let (state, now) = (&self.0.setup.state, self.now());
        let missing: BTreeSet<u64> = match of {
            Of::Parcel => self.gaps(partner).await?.into_iter().take(GAPS_MAX).collect(),
            Of::Notice => {
                state::notices::gaps(state, partner, GAPS_MAX).await?.into_iter().collect()
            }
        };
        let known = state::gaps::list(state, of, partner).await?;
        let highest = missing.last().copied().unwrap_or_default();
        for came in known.iter().filter(|gap| !missing.contains(&gap.number)) {
            // Beyond the last that is looked at nothing is known.
            if missing.len() < GAPS_MAX || came.number < highest {
                state::gaps::forget(state, of, partner, came.number).await?;
            }
        }
        for number in missing {
            match known.iter().find(|gap| gap.number == number) {
                None => state::gaps::note(state, (of, partner), number, now, None).await?,
                Some(gap) if is_overdue(gap, now) => {
                    self.alert(partner, None, words(of, gap)).await?;
                    state::gaps::told(state, of, partner, number).await?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn is_overdue(gap: &Gap, now: jiff::Timestamp) -> bool {
    let after = if gap.way.is_some() { CARRIED_AFTER } else { GAP_AFTER };
    !gap.told && now.duration_since(gap.since) >= after
}

fn words(of: Of, gap: &Gap) -> String {
    let (what, number) = (of.as_str(), gap.number);
    match &gap.way {
        Some(way) => format!(
            "{what} no. {number}, which its sender sends by {way} and not over the line, was not taken in here for 30 days"
        ),
        None => format!("{what} no. {number} never came, and later ones did"),
    }
}
