//! A change by a directory: planned, recorded, carried out, cut off.

use axum::body::Bytes;
use futures::StreamExt;
use futures::TryStreamExt;
use identity::AccountNote;
use identity::directory::{DirectoryError, Plan, Resource};
use identity::scim::{Document, Patch, ResourceType};
use keys::digest::sha256;
use ledger::{Event, Record};
use state::accounts::Ended;

use super::Client;
use super::answers::Refused;
use crate::accounts::{changed, created};
use crate::agency::Agency;

/// How often a change is planned anew when others change the same.
const TRIES_MAX: u32 = 4;

/// Records of one change that wait for the ledger at a time.
const RECORDS_MAX: usize = 256;

/// What a directory wants of one resource.
pub(super) enum Change {
    Create(Document),
    Replace(Document),
    Patch(Patch),
    Delete,
}

impl Change {
    fn word(&self) -> &'static str {
        match self {
            Self::Create(_) => "made",
            Self::Replace(_) | Self::Patch(_) => "changed",
            Self::Delete => "deleted",
        }
    }

    /// The document as it is to be; nothing if it is to go.
    fn wanted(&self, old: Option<&Resource>) -> Result<Option<Document>, Refused> {
        Ok(match self {
            Self::Create(document) => Some(document.clone().or_active(Some(true))),
            Self::Replace(document) => {
                let active = old.and_then(|old| old.document.active());
                Some(document.clone().or_active(active))
            }
            Self::Patch(patch) => match old {
                Some(old) => Some(patch.apply(&old.document)?),
                None => None,
            },
            Self::Delete => None,
        })
    }
}

/// Which resource: a new one, or one that is there, perhaps only of the version that `If-Match` names.
pub(super) struct Which<'a> {
    pub(super) kind: ResourceType,
    pub(super) id: Option<&'a str>,
    pub(super) if_match: Option<&'a str>,
}

impl Client {
    /// Makes a change. Gives the resource as it is now; nothing if it is gone.
    pub(super) async fn change(
        &self,
        agency: &Agency,
        which: Which<'_>,
        change: &Change,
    ) -> Result<Option<Resource>, Refused> {
        let new_id = new_id(agency)?;
        let mut tries = 1;
        loop {
            let old = self.old(agency, &which).await?;
            let id = which.id.unwrap_or(&new_id);
            match self.change_once(agency, (which.kind, id), old, change).await {
                Err(Refused::Directory(DirectoryError::Stale)) if tries < TRIES_MAX => tries += 1,
                done => return done,
            }
        }
    }

    async fn old(&self, agency: &Agency, which: &Which<'_>) -> Result<Option<Resource>, Refused> {
        let Some(id) = which.id else { return Ok(None) };
        let old = self.directory(agency).find(which.kind, id).await?.ok_or(Refused::NotFound)?;
        let tag = old.meta("").etag();
        match which.if_match {
            Some(wanted) if !names(wanted, &tag) => Err(Refused::Precondition),
            Some(_) | None => Ok(Some(old)),
        }
    }

    async fn change_once(
        &self,
        agency: &Agency,
        (kind, id): (ResourceType, &str),
        old: Option<Resource>,
        change: &Change,
    ) -> Result<Option<Resource>, Refused> {
        let (directory, now) = (self.directory(agency), agency.now());
        let wanted = change.wanted(old.as_ref())?;
        let unchanged = match (&old, &wanted) {
            (Some(old), Some(wanted)) => old.document == *wanted,
            (_, _) => false,
        };
        if unchanged {
            if let Some(person) = old.as_ref().filter(|_| kind == ResourceType::User) {
                self.keep_trainings(agency, person).await?;
            }
            return Ok(old);
        }
        let plan = match (&wanted, &old) {
            (Some(wanted), old) => directory.plan_put(id, old.as_ref(), wanted, now).await?,
            (None, Some(old)) => directory.plan_delete(old, now).await?,
            (None, None) => return Err(Refused::NotFound),
        };
        let event = Event::DirectoryChanged {
            directory: self.0.id.clone(),
            kind: match kind {
                ResourceType::User => "person".to_owned(),
                ResourceType::Group => "group".to_owned(),
            },
            id: id.to_owned(),
            what: change.word().to_owned(),
            before: old.as_ref().map(|old| digest(&old.document)),
            after: wanted.as_ref().map(digest),
        };
        if let Err(unrecorded) = self.record(agency, &plan, event).await {
            // A ledger that takes no records lets nothing else out either.
            cut_losers(agency, &plan);
            return Err(unrecorded);
        }
        let done = directory.carry_out(&plan, now).await?;
        agency.live.cut(&Ended { accounts: Vec::new(), sessions: done.ended });
        cut_losers(agency, &plan);
        let now = match wanted {
            Some(_) => directory.find(kind, id).await?,
            None => None,
        };
        if let Some(person) = now.as_ref().filter(|_| kind == ResourceType::User) {
            self.keep_trainings(agency, person).await?;
        }
        Ok(now)
    }

    /// Puts on record what is about to be done: the entry, and each account.
    async fn record(&self, agency: &Agency, plan: &Plan, event: Event) -> Result<(), Refused> {
        let (by, reason) =
            (format!("directory {}", self.0.id), format!("what directory {} says", self.0.id));
        let accounts = plan.notes.iter().map(|note| match note {
            AccountNote::Made(new) => created(new, &by),
            AccountNote::Changed { before, after } => changed(before, after, &reason),
        });
        let events: Vec<Event> = std::iter::once(event).chain(accounts).collect();
        let records = events.into_iter().map(|event| agency.ledger.append(Record::platform(event)));
        let records = futures::stream::iter(records).buffered(RECORDS_MAX);
        records.try_for_each(|_| std::future::ready(Ok(()))).await?;
        Ok(())
    }
}

/// Cuts what runs for whoever loses their account.
fn cut_losers(agency: &Agency, plan: &Plan) {
    for note in &plan.notes {
        if let AccountNote::Changed { after, .. } = note
            && (!after.active || after.removed_at.is_some())
        {
            agency.live.cut_account(after.id);
        }
    }
}

/// Hex SHA-256 of what a directory says of a resource.
fn digest(document: &Document) -> String {
    let text = serde_json::to_vec(document).unwrap_or_default();
    hex::encode(sha256(&text))
}

/// Whether `If-Match` names this tag; weak and strong ones are the same here.
pub(super) fn names(wanted: &str, tag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    wanted.split(',').any(|one| one.trim() == "*" || bare(one) == bare(tag))
}

/// A name for a new resource: 128 random bits.
fn new_id(agency: &Agency) -> Result<String, Refused> {
    let mut bytes = [0; 16];
    let filled = agency.random.fill(&mut bytes);
    filled.map_err(|_| Refused::Directory(DirectoryError::Damaged))?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
}

/// A body that was read whole, or why not.
pub(super) fn whole(
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Bytes, Refused> {
    body.map_err(|_| Refused::TooLarge)
}
