//! Too much at once: sign-ins that come faster than people make them, signatures that do not hold one after the other,
//! and refusals that would fill the ledger.
//!
//! Invariants: nobody gets in by it, for what is not judged is refused; of refusals beyond a number the ledger has how
//! many there were, in one entry, and until it has it they stay counted; an episode is told of once. What comes by
//! the guests' name is counted apart and may be less: strangers there take nothing from the agency's own people.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use ledger::{Event, Record};

use crate::agency::Agency;
use crate::door::Door;
use crate::problem::{Problem, chain};
use crate::rate::{Rate, Rates};

/// What is looked at by one door.
struct Allowed {
    /// What one address may begin and answer.
    address: Rate,
    /// What may come of one provider.
    provider: Rate,
    /// Sign-ins that may be begun at one provider. Apart from what comes of it: whoever begins too many keeps nobody
    /// from finishing.
    begun: Rate,
    /// Refusals of one provider, or of requests, that are recorded one by one within [`WINDOW`].
    recorded_max: u32,
}

/// A shift of five hundred may stand behind one address.
const OF_PAGES: Allowed = Allowed {
    address: Rate { burst_max: 1_000, per_second_max: 10 },
    provider: Rate { burst_max: 1_000, per_second_max: 50 },
    begun: Rate { burst_max: 1_000, per_second_max: 50 },
    recorded_max: 500,
};
/// Guests are few, and the whole world may knock.
const OF_GUESTS: Allowed = Allowed {
    address: Rate { burst_max: 100, per_second_max: 2 },
    provider: Rate { burst_max: 200, per_second_max: 5 },
    begun: Rate { burst_max: 100, per_second_max: 2 },
    recorded_max: 200,
};
/// Reports of browsers that get a line in the log.
const REPORTS: Rate = Rate { burst_max: 20, per_second_max: 1 };

/// Signatures of one provider that do not hold, within [`WINDOW`], from which on somebody is told.
const FAILURES: usize = 20;
const WINDOW: SignedDuration = SignedDuration::from_mins(5);
/// Providers that are told apart; there are fewer in any configuration.
const NAMES_MAX: usize = 256;
/// Codes that are told apart in a sum.
const CODES_MAX: usize = 64;

/// What is counted, by each door for itself.
pub struct Floods {
    pages: Flood,
    guests: Flood,
}

impl Default for Floods {
    fn default() -> Self {
        Self { pages: Flood::new(&OF_PAGES), guests: Flood::new(&OF_GUESTS) }
    }
}

impl Floods {
    fn at(&self, door: Door) -> &Flood {
        match door {
            Door::Pages => &self.pages,
            Door::Guests => &self.guests,
        }
    }
}

/// What is counted by one door.
struct Flood {
    addresses: Rates,
    providers: Rates,
    begun: Rates,
    reports: Rates,
    recorded_max: u32,
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    failures: HashMap<String, Failures>,
    refusals: BTreeMap<String, Refusals>,
}

/// Signatures of a provider that did not hold.
#[derive(Default)]
struct Failures {
    /// The newest, as many as matter.
    at: VecDeque<Timestamp>,
    /// Whether this episode was told of.
    told: bool,
}

/// Refusals under one name, since a time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusals {
    since: Timestamp,
    recorded: u32,
    summed: BTreeMap<String, u64>,
}

/// Refusals that were not recorded one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sum {
    of: String,
    since: Timestamp,
    counts: BTreeMap<String, u64>,
}

impl Flood {
    fn new(allowed: &Allowed) -> Self {
        let (addresses, providers) = (Rates::new(allowed.address), Rates::new(allowed.provider));
        let (begun, reports) = (Rates::new(allowed.begun), Rates::new(REPORTS));
        let recorded_max = allowed.recorded_max;
        Self { addresses, providers, begun, reports, recorded_max, counted: Mutex::default() }
    }

    fn counted(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this refusal has a place of its own in the ledger; if not, it is counted.
    fn has_place(&self, of: &str, code: &str, now: Timestamp) -> bool {
        let refusals = &mut self.counted().refusals;
        let of =
            if refusals.len() < NAMES_MAX || refusals.contains_key(of) { of } else { "others" };
        let one = refusals.entry(of.to_owned()).or_insert_with(|| Refusals::since(now));
        if one.is_over(now) && one.summed.is_empty() {
            *one = Refusals::since(now);
        }
        if one.recorded < self.recorded_max {
            one.recorded += 1;
            return true;
        }
        one.count(code, 1);
        false
    }

    /// Counts a refusal that is not even judged.
    fn count(&self, of: &str, code: &str, now: Timestamp) {
        let refusals = &mut self.counted().refusals;
        let of =
            if refusals.len() < NAMES_MAX || refusals.contains_key(of) { of } else { "others" };
        refusals.entry(of.to_owned()).or_insert_with(|| Refusals::since(now)).count(code, 1);
    }

    /// The sums whose time is over. They are gone from here: what can't be recorded is given back.
    fn take_sums(&self, now: Timestamp) -> Vec<Sum> {
        let refusals = &mut self.counted().refusals;
        let over = refusals.iter().filter(|(_, one)| one.is_over(now));
        let over: Vec<String> = over.map(|(of, _)| of.clone()).collect();
        let taken = over.into_iter().filter_map(|of| refusals.remove_entry(&of));
        let sums = taken.map(|(of, one)| Sum { of, since: one.since, counts: one.summed });
        sums.filter(|sum| !sum.counts.is_empty()).collect()
    }

    fn give_back(&self, sum: Sum) {
        let refusals = &mut self.counted().refusals;
        let one = refusals.entry(sum.of).or_insert_with(|| Refusals::since(sum.since));
        one.since = one.since.min(sum.since);
        sum.counts.into_iter().for_each(|(code, count)| one.count(&code, count));
    }

    /// Notes a signature that did not hold. Whether that is to be told: it is the one that makes an episode.
    fn failed(&self, idp: &str, now: Timestamp) -> bool {
        let failures = &mut self.counted().failures;
        if failures.len() >= NAMES_MAX && !failures.contains_key(idp) {
            return false;
        }
        let one = failures.entry(idp.to_owned()).or_default();
        let recent = |at: &Timestamp| now.duration_since(*at) < WINDOW;
        if !one.at.back().is_some_and(recent) {
            // For so long there was none that the next are an episode of their own.
            one.told = false;
        }
        one.at.retain(recent);
        one.at.push_back(now);
        if one.at.len() > FAILURES {
            one.at.pop_front();
        }
        let tell = one.at.len() >= FAILURES && !one.told;
        one.told |= tell;
        tell
    }

    fn untold(&self, idp: &str) {
        if let Some(one) = self.counted().failures.get_mut(idp) {
            one.told = false;
        }
    }
}

impl Refusals {
    fn since(now: Timestamp) -> Self {
        Self { since: now, recorded: 0, summed: BTreeMap::new() }
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now.duration_since(self.since) >= WINDOW
    }

    fn count(&mut self, code: &str, more: u64) {
        let code = if self.summed.len() < CODES_MAX || self.summed.contains_key(code) {
            code
        } else {
            "others"
        };
        let count = self.summed.entry(code.to_owned()).or_default();
        *count = count.saturating_add(more);
    }
}

/// What a sum of refusals by the guests' name is told from the pages' own by.
const BY_GUESTS_NAME: &str = ", by the guests’ name";

/// What somebody is told who comes too often, or whose refusal has no entry of its own.
fn too_often() -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "Too many at once",
        "Too many requests of this kind came from your network or through your identity provider, so this one was not \
         looked at. Nothing was opened. Wait a minute and try again.",
    )
    .with_next("/sign-in", "Sign in")
}

impl Agency {
    /// Whether a step of a sign-in may be taken from this address.
    ///
    /// # Errors
    /// The [`Problem`] to answer with, counted.
    pub(crate) fn check_rate(
        &self,
        address: Option<&str>,
        provider: Option<&str>,
    ) -> Result<(), Problem> {
        let (now, flood) = (self.now(), self.floods.at(Door::here()));
        if !flood.addresses.allows(address.unwrap_or("unknown"), now) {
            flood.count(provider.unwrap_or("unknown"), "flood.address", now);
            return Err(too_often());
        }
        match provider {
            Some(provider) if !flood.providers.allows(provider, now) => {
                flood.count(provider, "flood.provider", now);
                Err(too_often())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether another sign-in may be begun at this provider, which is one of ours, from this address.
    ///
    /// # Errors
    /// The [`Problem`] to answer with, counted.
    pub(crate) fn check_begin(&self, address: Option<&str>, provider: &str) -> Result<(), Problem> {
        self.check_rate(address, None)?;
        let (now, flood) = (self.now(), self.floods.at(Door::here()));
        if flood.begun.allows(provider, now) {
            return Ok(());
        }
        flood.count(provider, "flood.begun", now);
        Err(too_often())
    }

    /// Whether another report of a browser gets a line in the log.
    pub(crate) fn logs_report(&self) -> bool {
        self.floods.at(Door::here()).reports.allows("reports", self.now())
    }

    /// Whether a refusal is recorded by itself.
    ///
    /// # Errors
    /// The [`Problem`] to answer with when it is counted instead.
    pub(crate) fn check_place(&self, of: &str, code: &str) -> Result<(), Problem> {
        match self.floods.at(Door::here()).has_place(of, code, self.now()) {
            true => Ok(()),
            false => Err(too_often()),
        }
    }

    /// Tells of a provider, once an episode, whose answers bear signatures that do not hold. Nothing changes by it:
    /// whose key is trusted is for a person to decide.
    pub(crate) async fn watch_signatures(&self, idp: &str, code: &str) {
        let flood = self.floods.at(Door::here());
        if !code.contains(".signature") || !flood.failed(idp, self.now()) {
            return;
        }
        let what = "saml.flood: twenty signatures within five minutes did not hold";
        if !self.provider_alert(idp, what, None).await {
            flood.untold(idp);
        }
    }

    /// Records the sums of refusals whose time is over.
    pub async fn record_sums(&self) {
        self.record_sums_at(self.now()).await;
    }

    /// Records every sum, before the server stops.
    pub(crate) async fn record_all_sums(&self) {
        self.record_sums_at(Timestamp::MAX).await;
    }

    async fn record_sums_at(&self, now: Timestamp) {
        for (flood, by) in [(&self.floods.pages, ""), (&self.floods.guests, BY_GUESTS_NAME)] {
            for sum in flood.take_sums(now) {
                let event = Event::RefusalsSummed {
                    of: format!("{}{by}", sum.of),
                    since: sum.since,
                    counts: sum.counts.clone(),
                };
                if let Err(error) = self.ledger.append(Record::platform(event)).await {
                    tracing::error!(error = %chain(&error), "a sum of refusals waits until it can be recorded");
                    flood.give_back(sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Timestamp {
        "2026-11-30T09:00:00Z".parse().unwrap()
    }

    #[test]
    fn twenty_failures_within_five_minutes_are_told_of_once_an_episode() {
        let flood = Flood::new(&OF_PAGES);
        let mut now = start();
        let mut told = |count: usize, apart: i64| {
            let mut one = || {
                now += SignedDuration::from_secs(apart);
                flood.failed("a", now)
            };
            (0..count).filter(|_| one()).count()
        };
        assert_eq!(told(19, 1), 0);
        assert_eq!(told(1, 1), 1);
        assert_eq!(told(500, 1), 0, "the same episode");
        assert_eq!(told(1, 300), 0, "a quiet time ends it");
        assert_eq!(told(19, 1), 1, "and the next is told of");
        assert_eq!(told(100, 20), 0, "slower ones never make twenty in five minutes");
        assert!(!flood.failed("b", now));
    }

    #[test]
    fn refusals_beyond_a_number_are_counted_and_given_out_once() {
        let flood = Flood::new(&OF_PAGES);
        let now = start();
        let placed = (0..1_000).filter(|_| flood.has_place("a", "saml.time", now)).count();
        assert_eq!(placed, OF_PAGES.recorded_max as usize);
        flood.count("a", "flood.address", now);
        assert!(flood.take_sums(now).is_empty(), "not yet");
        let sums = flood.take_sums(now + WINDOW);
        let counts =
            BTreeMap::from([("flood.address".to_owned(), 1), ("saml.time".to_owned(), 500)]);
        assert_eq!(sums, [Sum { of: "a".to_owned(), since: now, counts }]);
        assert!(flood.take_sums(now + WINDOW).is_empty());
        assert!(flood.has_place("a", "saml.time", now + WINDOW));
    }

    #[test]
    fn a_sum_that_could_not_be_recorded_is_counted_on() {
        let flood = Flood::new(&OF_PAGES);
        let now = start();
        flood.count("a", "flood.address", now);
        let mut sums = flood.take_sums(now + WINDOW);
        flood.count("a", "flood.address", now + WINDOW);
        flood.give_back(sums.remove(0));
        let sums = flood.take_sums(now + WINDOW);
        assert_eq!(sums.first().unwrap().counts.get("flood.address"), Some(&2));
    }

    #[test]
    fn names_and_codes_that_strangers_make_up_take_no_more_than_so_much_memory() {
        let flood = Flood::new(&OF_PAGES);
        for n in 0..2_000 {
            flood.count(&format!("idp{n}"), &format!("code{n}"), start());
            flood.count("one", &format!("code{n}"), start());
            flood.failed(&format!("idp{n}"), start());
        }
        let counted = flood.counted();
        assert!(counted.refusals.len() <= NAMES_MAX + 1 && counted.failures.len() <= NAMES_MAX);
        assert!(counted.refusals.values().all(|one| one.summed.len() <= CODES_MAX + 1));
    }

    #[test]
    fn what_comes_by_the_guests_name_takes_nothing_from_the_agency_s_own_people() {
        let floods = Floods::default();
        let (guests, now) = (floods.at(Door::Guests), start());
        let placed = (0..1_000).filter(|_| guests.has_place("requests", "stale", now)).count();
        assert_eq!(placed, OF_GUESTS.recorded_max as usize);
        let begun = (0..1_000).filter(|_| guests.begun.allows("millbrook", now)).count();
        assert_eq!(begun, OF_GUESTS.begun.burst_max as usize);
        let answered = (0..1_000).filter(|_| guests.addresses.allows("192.0.2.7", now)).count();
        assert_eq!(answered, OF_GUESTS.address.burst_max as usize);
        let pages = floods.at(Door::Pages);
        assert!(pages.has_place("requests", "stale", now));
        assert!(pages.begun.allows("millbrook", now) && pages.addresses.allows("192.0.2.7", now));
        assert!(pages.take_sums(now + WINDOW).is_empty());
    }
}
