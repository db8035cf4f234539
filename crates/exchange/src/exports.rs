//! Asking for an export, and other people's yes or no.
//!
//! Invariant: the ledger has the act before the state has; a failed record leaves the state as it was.

use std::collections::BTreeSet;

use gate::{Permit, Plan};
use jiff::Timestamp;
use ledger::Event;
use policy::{Action, ResourceKind, Why};
use state::exports::Which;
use uuid::Uuid;

use crate::book::Agreement;
use crate::custody::ReceivedFrom;
use crate::listed::Listed;
use crate::model::{
    DeliveryFacts, Export, ExportDetails, ExportRow, ExportStatus, Incoming, IncomingStatus, Item,
    Voice,
};
use crate::passing::PassOn;
use crate::record::About;
use crate::settling::asked;
use crate::{Caller, Exchange, ExchangeError};

/// Items in one export, and characters in a title or reason.
const ITEMS_MAX: usize = 100_000;
const TITLE_CHARS_MAX: usize = 200;
const REASON_CHARS_MAX: usize = 1_000;
/// Letters of an exhibit's number.
const EXHIBIT_CHARS_MAX: usize = 100;
/// Rows that one listing gives.
const LIST_MAX: u64 = 500;
/// Rows that are read at once where all are gone through. Few in tests, so that they go through several pages.
const PAGE_ROWS: u64 = if cfg!(test) { 3 } else { LIST_MAX };
/// How often one change is tried while others change the same export.
const CHANGES_MAX: usize = 20;

/// What somebody asks to send.
#[derive(Debug, Clone)]
pub struct NewExport {
    pub title: String,
    /// The agreement under which it goes; it names the partner.
    pub agreement: String,
    pub items: Vec<Item>,
    pub why: Why,
    /// Who at the partner asked for it: a must where it is secondary dissemination.
    pub requestor: Option<String>,
    /// The exhibit's number in the case; that of the parcel is used where it has none.
    pub exhibit: Option<String>,
    /// How the sender of what is passed on consented to that, in words.
    pub consent: Option<String>,
    /// What of the records stays here, in words.
    pub left_out: Vec<String>,
    /// The way that it takes; none is the push to the partner's server.
    pub route: Option<String>,
    /// The rows of each query as they were shown. What is sealed later is held to them.
    pub listed: Vec<Listed>,
}

impl Exchange {
    /// Asks for an export. Recorded as permitted and as requested before it is stored.
    ///
    /// # Errors
    /// [`ExchangeError::Denied`] and [`ExchangeError::Clause`] name ledger entry and clause;
    /// [`ExchangeError::Input`]; [`ExchangeError::Unrecorded`], and then there is no export.
    pub async fn request(&self, caller: &Caller, new: NewExport) -> Result<Export, ExchangeError> {
        check_new(&new)?;
        let agreement = &self.agreement(&new.agreement).await?;
        // What somebody brought. A redacted copy of something of our own is taken in like it, and is ours all the same.
        let brought = |from: &ReceivedFrom| from.from.is_none() && from.originals.is_empty();
        let passes_on = new.items.iter().filter_map(|item| item.received.as_ref()).any(brought);
        if (passes_on || is_secondary(agreement, &new.items)) && new.requestor.is_none() {
            let expected = "who at the partner asks for it, for this goes to the log of secondary dissemination";
            return Err(ExchangeError::Input { field: "requestor", expected });
        }
        let place = self.check_route(agreement, new.route.as_deref(), caller, &new.why).await?;
        let id = self.new_id()?;
        let why = &new.why;
        let permits = self
            .ask_each(caller, Action::RequestExport, (id, &new.items), agreement, None, why)
            .await?;
        let (items, consent) = (new.items.as_slice(), new.consent.as_deref());
        let passed = PassOn { agreement, items, why, consent };
        let permits = self.refuse_passing(passed, permits).await?;
        let partner = agreement.facts.partner.to_string();
        let event = Event::ExportRequested {
            export: id.to_string(),
            agreement: new.agreement.clone(),
            partner: partner.clone(),
        };
        let receipt = self.record(Some(caller), &new.why, event).await?;
        let mut row = ExportRow {
            id,
            status: ExportStatus::Requested.as_str().to_owned(),
            partner,
            agreement: new.agreement,
            requested_at: receipt.at,
            updated_at: receipt.at,
            version: 0,
            exchange: None,
            parcel: None,
            number: None,
            details: ExportDetails {
                title: new.title,
                requester: caller.actor.clone(),
                request_entry: receipt.entry.0,
                why: new.why,
                items: new.items,
                requestor: new.requestor,
                exhibit: new.exhibit,
                consent: new.consent,
                left_out: new.left_out,
                listed: new.listed,
                changed: None,
                settled: Vec::new(),
                approvals: Vec::new(),
                rejection: None,
                sealed: None,
                stamp: None,
                unstamped: None,
                delivery: DeliveryFacts { route: new.route, place, ..DeliveryFacts::default() },
                receipt: None,
                refusal: None,
                recall: None,
                told: Vec::new(),
                guests: Vec::new(),
            },
        };
        state::exports::insert(&self.0.setup.state, &mut row).await?;
        self.close(permits).await?;
        Export::of(row)
    }

    /// Says yes to somebody else's export. With the last yes that the agreement asks for it is
    /// approved.
    ///
    /// # Errors
    /// [`ExchangeError::SamePerson`] or [`ExchangeError::Denied`] for the requester's own yes;
    /// otherwise as [`Exchange::request`].
    pub async fn approve(&self, caller: &Caller, export: Uuid) -> Result<Export, ExchangeError> {
        self.approve_settling(caller, export, None).await
    }

    /// As [`Exchange::approve`]; where rules of jurisdictions can't all be kept, with the decision which is.
    ///
    /// # Errors
    /// As [`Exchange::approve`]; [`ExchangeError::Input`] where there is such a conflict and no decision.
    pub async fn approve_settling(
        &self,
        caller: &Caller,
        export: Uuid,
        decision: Option<&str>,
    ) -> Result<Export, ExchangeError> {
        let mut row = self.export_row(export).await?;
        let permits = self.judge(caller, &row).await?;
        needs(&row, ExportStatus::Requested, "requested")?;
        let agreement = self.agreement(&row.agreement).await?;
        let permits = self.refuse_passing(PassOn::of(&row.details, &agreement), permits).await?;
        let details = &mut row.details;
        if details.approvals.iter().any(|voice| voice.actor.id == caller.actor.id) {
            return Err(ExchangeError::ApprovedBefore);
        }
        self.settle_conflicts(caller, &mut row, &agreement, decision).await?;
        let details = &mut row.details;
        let requested_by = details.requester.id.to_string();
        let event = Event::ExportApproved { export: export.to_string(), requested_by };
        let receipt = self.record(Some(caller), &details.why, event).await?;
        let actor = caller.actor.clone();
        details.approvals.push(Voice {
            actor,
            at: receipt.at,
            entry: receipt.entry.0,
            reason: None,
        });
        let needed = self.stricter_for(&row.details, &agreement).approvals;
        if row.details.approvals.len() >= usize::from(needed) {
            row.status = ExportStatus::Approved.as_str().to_owned();
        }
        self.store_export(&mut row, receipt.at).await?;
        self.close(permits).await?;
        self.0.bell.notify_one();
        Export::of(row)
    }

    /// Says no to somebody's export, for good.
    ///
    /// # Errors
    /// As [`Exchange::approve`].
    pub async fn reject(
        &self,
        caller: &Caller,
        export: Uuid,
        reason: &str,
    ) -> Result<Export, ExchangeError> {
        let reason = reason.trim();
        if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
            return Err(ExchangeError::Input { field: "reason", expected: "1 to 1000 characters" });
        }
        let mut row = self.export_row(export).await?;
        let permits = self.judge(caller, &row).await?;
        if row.status != ExportStatus::Approved.as_str() {
            needs(&row, ExportStatus::Requested, "requested or approved")?;
        }
        let event = Event::ExportRejected {
            export: export.to_string(),
            requested_by: row.details.requester.id.to_string(),
            reason: reason.to_owned(),
        };
        let receipt = self.record(Some(caller), &row.details.why, event).await?;
        row.details.rejection = Some(Voice {
            actor: caller.actor.clone(),
            at: receipt.at,
            entry: receipt.entry.0,
            reason: Some(reason.to_owned()),
        });
        row.status = ExportStatus::Rejected.as_str().to_owned();
        self.store_export(&mut row, receipt.at).await?;
        self.close(permits).await?;
        Export::of(row)
    }

    /// One export.
    ///
    /// # Errors
    /// [`ExchangeError::NoSuch`], [`ExchangeError::State`].
    pub async fn export(&self, export: Uuid) -> Result<Export, ExchangeError> {
        Export::of(self.export_row(export).await?)
    }

    /// Exports, newest first, at most 500; in the given states, or all where none is given; from before
    /// a moment, for the next page.
    ///
    /// # Errors
    /// [`ExchangeError::State`].
    pub async fn exports(
        &self,
        statuses: &[ExportStatus],
        before: Option<Timestamp>,
    ) -> Result<Vec<Export>, ExchangeError> {
        let statuses: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
        let state = &self.0.setup.state;
        let which = Which { statuses: &statuses, before, ..Which::default() };
        let rows = state::exports::list(state, which, LIST_MAX).await?;
        rows.into_iter().map(Export::of).collect()
    }

    /// Every export in the given states that `wanted` takes, newest first; to one partner or to all. One page is held
    /// at a time beside what is taken.
    pub(crate) async fn every_export(
        &self,
        statuses: &[ExportStatus],
        partner: Option<&str>,
        wanted: impl Fn(&Export) -> bool + Send,
    ) -> Result<Vec<Export>, ExchangeError> {
        let statuses: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
        let (mut all, mut behind) = (Vec::new(), None);
        loop {
            let which = Which { statuses: &statuses, partner, behind, ..Which::default() };
            let page = state::exports::list(&self.0.setup.state, which, PAGE_ROWS).await?;
            let Some(last) = page.last() else { return Ok(all) };
            behind = Some((last.requested_at, last.id));
            let page: Vec<Export> = page.into_iter().map(Export::of).collect::<Result<_, _>>()?;
            all.extend(page.into_iter().filter(&wanted));
        }
    }

    /// One partner's parcel, by its exchange.
    ///
    /// # Errors
    /// [`ExchangeError::NoSuch`], [`ExchangeError::State`].
    pub async fn incoming(&self, exchange: Uuid) -> Result<Incoming, ExchangeError> {
        Incoming::of(self.incoming_row(exchange).await?)
    }

    /// Partners' parcels, as [`Exchange::exports`].
    ///
    /// # Errors
    /// [`ExchangeError::State`].
    pub async fn all_incoming(
        &self,
        statuses: &[IncomingStatus],
        before: Option<Timestamp>,
    ) -> Result<Vec<Incoming>, ExchangeError> {
        let statuses: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
        let state = &self.0.setup.state;
        let which = state::parcels::Which { statuses: &statuses, before, behind: None };
        let rows = state::parcels::list(state, which, LIST_MAX).await?;
        rows.into_iter().map(Incoming::of).collect()
    }

    /// Every partner's parcel in the given states that `wanted` takes, as [`Exchange::every_export`].
    pub(crate) async fn every_incoming(
        &self,
        statuses: &[IncomingStatus],
        wanted: impl Fn(&Incoming) -> bool + Send,
    ) -> Result<Vec<Incoming>, ExchangeError> {
        let statuses: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
        let (mut all, mut behind) = (Vec::new(), None);
        loop {
            let which = state::parcels::Which { statuses: &statuses, before: None, behind };
            let page = state::parcels::list(&self.0.setup.state, which, PAGE_ROWS).await?;
            let Some(last) = page.last() else { return Ok(all) };
            behind = Some((last.offered_at, last.exchange));
            let page: Vec<Incoming> =
                page.into_iter().map(Incoming::of).collect::<Result<_, _>>()?;
            all.extend(page.into_iter().filter(&wanted));
        }
    }

    /// Numbers of a partner's sequence that never came, below the highest that did. Each is an exchange
    /// that the partner has to account for.
    ///
    /// # Errors
    /// [`ExchangeError::State`].
    pub async fn gaps(&self, partner: &str) -> Result<Vec<u64>, ExchangeError> {
        Ok(state::parcels::gaps(&self.0.setup.state, partner, 1_000).await?)
    }

    /// Whether somebody may say yes or no to an export: the policy, and once more here.
    async fn judge(&self, caller: &Caller, row: &ExportRow) -> Result<Vec<Permit>, ExchangeError> {
        let agreement = &self.agreement(&row.agreement).await?;
        let details = &row.details;
        let (items, why) = ((row.id, details.items.as_slice()), &details.why);
        let requester = Some(details.requester.id.clone());
        let permits =
            self.ask_each(caller, Action::ApproveExport, items, agreement, requester, why).await?;
        if details.requester.id != caller.actor.id {
            return Ok(permits);
        }
        let entry = self.withhold_each(permits, "nobody approves their own request").await?;
        Err(ExchangeError::SamePerson { entry })
    }

    /// One question for each record class of the items, with all marks of that class.
    pub(crate) async fn ask_each(
        &self,
        caller: &Caller,
        action: Action,
        (export, items): (Uuid, &[Item]),
        agreement: &Agreement,
        requested_by: Option<policy::ActorId>,
        why: &Why,
    ) -> Result<Vec<Permit>, ExchangeError> {
        let classes = asked(items);
        let partner = &agreement.facts.partner;
        let mut permits = Vec::with_capacity(classes.len());
        for (record_class, caveats) in classes {
            let plan = Plan::Export(format!("export {export}: {record_class} to {partner}"));
            let about = About {
                kind: ResourceKind::Export,
                id: export.to_string(),
                record_class,
                caveats,
                requested_by: requested_by.clone(),
                agreement: Some(agreement),
            };
            permits.push(self.ask(caller, action, about, why, plan).await?);
        }
        Ok(permits)
    }

    pub(crate) async fn export_row(&self, export: Uuid) -> Result<ExportRow, ExchangeError> {
        let found = state::exports::find(&self.0.setup.state, export).await?;
        found.ok_or(ExchangeError::NoSuch { what: "export" })
    }

    /// Stores a changed export, unless somebody else was first.
    pub(crate) async fn store_export(
        &self,
        row: &mut ExportRow,
        at: Timestamp,
    ) -> Result<(), ExchangeError> {
        row.updated_at = at;
        if state::exports::replace(&self.0.setup.state, row).await? {
            return Ok(());
        }
        Err(ExchangeError::Changed { what: "export" })
    }

    /// Stores what is on record already: changed by somebody else meanwhile, the export is read and changed anew.
    pub(crate) async fn change_export(
        &self,
        export: Uuid,
        at: Timestamp,
        change: impl Fn(&mut ExportRow),
    ) -> Result<ExportRow, ExchangeError> {
        for _ in 0..CHANGES_MAX {
            let mut row = self.export_row(export).await?;
            change(&mut row);
            match self.store_export(&mut row, at).await {
                Err(ExchangeError::Changed { .. }) => {}
                stored => return stored.map(|()| row),
            }
        }
        Err(ExchangeError::Changed { what: "export" })
    }
}

pub(crate) fn needs(
    row: &ExportRow,
    status: ExportStatus,
    needs: &'static str,
) -> Result<(), ExchangeError> {
    if row.status == status.as_str() {
        return Ok(());
    }
    Err(ExchangeError::WrongState { what: "export", is: row.status.clone(), needs })
}

/// Whether CHRI would leave outside the agency's primary agreements (CA-3 d).
pub(crate) fn is_secondary(agreement: &Agreement, items: &[Item]) -> bool {
    disseminated(agreement, items).next().is_some()
}

/// What of it goes there without the primary agreements' leave: criminal history outside them, and whatever a partner
/// sent to us and somebody else gets.
pub(crate) fn disseminated<'a>(
    agreement: &'a Agreement,
    items: &'a [Item],
) -> impl Iterator<Item = &'a Item> {
    let (primary, partner) = (agreement.terms.primary, agreement.facts.partner.as_str());
    items.iter().filter(move |item| (!primary && is_chri(item)) || item.is_passed_on(partner))
}

/// Whether an item is criminal history record information, by its class or by a mark.
pub(crate) fn is_chri(item: &Item) -> bool {
    item.classes().any(|class| class.as_str() == "CHRI")
        || item.caveats.iter().any(|mark| ["CHRI", "III"].contains(&mark.as_str()))
}

fn check_new(new: &NewExport) -> Result<(), ExchangeError> {
    let title = new.title.chars().count();
    if new.title.trim().is_empty() || title > TITLE_CHARS_MAX {
        return Err(ExchangeError::Input { field: "title", expected: "1 to 200 characters" });
    }
    if new.items.is_empty() || new.items.len() > ITEMS_MAX {
        return Err(ExchangeError::Input { field: "items", expected: "1 to 100000 items" });
    }
    let requestor = new.requestor.as_ref().map_or(1, |name| name.trim().chars().count());
    if requestor == 0 || requestor > TITLE_CHARS_MAX {
        return Err(ExchangeError::Input { field: "requestor", expected: "1 to 200 characters" });
    }
    let sound = |number: &String| {
        (1..=EXHIBIT_CHARS_MAX).contains(&number.trim().chars().count())
            && !number.chars().any(char::is_control)
    };
    if !new.exhibit.as_ref().is_none_or(sound) {
        return Err(ExchangeError::Input { field: "exhibit", expected: "1 to 100 characters" });
    }
    let consent = new.consent.as_ref().map_or(1, |words| words.trim().chars().count());
    if consent == 0 || consent > REASON_CHARS_MAX {
        return Err(ExchangeError::Input { field: "consent", expected: "1 to 1000 characters" });
    }
    let mut paths = BTreeSet::new();
    if new.items.iter().any(|item| item.path.is_empty() || !paths.insert(&item.path)) {
        return Err(ExchangeError::Input { field: "items", expected: "one path for each item" });
    }
    Ok(())
}
