//! Templates for exports that are asked for again and again.
//!
//! Invariants: a template lets nothing out. It fills in a form, and what is asked for with it is judged, previewed
//! and approved like any other. It is kept only of an export that its keeper may ask for, and it is in the ledger
//! before it is kept or removed.

use gate::Plan;
use ledger::Event;
use policy::{Action, ActorId, ResourceKind, Why};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::record::About;
use crate::{Caller, Exchange, ExchangeError};

const TITLE_CHARS_MAX: usize = 200;
/// Templates that are kept at most.
const TEMPLATES_MAX: u64 = 200;

/// What a template fills in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filled {
    pub title: String,
    pub agreement: String,
    pub requestor: Option<String>,
    /// How the form is filled in. Its shape belongs to the caller.
    pub form: serde_json::Value,
    pub kept_by: ActorId,
    pub keeper: String,
}

/// A kept template.
pub type Template = state::templates::Template<Filled>;

impl Exchange {
    /// Keeps a template of an export that this person may ask for.
    ///
    /// # Errors
    /// [`ExchangeError::Denied`], [`ExchangeError::Clause`]; [`ExchangeError::Input`];
    /// [`ExchangeError::Unrecorded`], and then there is no template.
    pub async fn keep_template(
        &self,
        caller: &Caller,
        export: Uuid,
        title: &str,
        form: serde_json::Value,
    ) -> Result<Template, ExchangeError> {
        let title = title.trim();
        if title.is_empty() || title.chars().count() > TITLE_CHARS_MAX {
            return Err(ExchangeError::Input { field: "title", expected: "1 to 200 characters" });
        }
        if self.templates().await?.len() as u64 >= TEMPLATES_MAX {
            return Err(ExchangeError::Input { field: "title", expected: "at most 200 templates" });
        }
        let row = self.export_row(export).await?;
        let agreement = self.agreement(&row.agreement).await?;
        let (items, why) = ((export, row.details.items.as_slice()), &row.details.why);
        let permits =
            self.ask_each(caller, Action::RequestExport, items, &agreement, None, why).await?;
        let id = self.new_id()?;
        let event = Event::ExportTemplate {
            template: id.to_string(),
            title: title.to_owned(),
            what: "kept".to_owned(),
        };
        let receipt = self.record(Some(caller), &Why::default(), event).await?;
        let new = Template {
            id,
            kept_at: receipt.at,
            details: Filled {
                title: title.to_owned(),
                agreement: row.agreement,
                requestor: row.details.requestor,
                form,
                kept_by: caller.actor.id.clone(),
                keeper: caller.actor.name.clone(),
            },
        };
        state::templates::keep(&self.0.setup.state, &new).await?;
        self.close(permits).await?;
        Ok(new)
    }

    /// Removes a template: whoever may take exports back, as the policy says.
    ///
    /// # Errors
    /// [`ExchangeError::NoSuch`]; [`ExchangeError::Denied`], [`ExchangeError::Unrecorded`], and then it stays.
    pub async fn remove_template(&self, caller: &Caller, id: Uuid) -> Result<(), ExchangeError> {
        let template = self.template(id).await?;
        let about = About {
            kind: ResourceKind::Export,
            id: format!("template {id}"),
            record_class: crate::record::cji()?,
            caveats: std::collections::BTreeSet::new(),
            requested_by: Some(template.details.kept_by),
            agreement: None,
        };
        let plan = Plan::Export(format!("remove the template {id}"));
        let permit = self.ask(caller, Action::RecallExport, about, &Why::default(), plan).await?;
        let event = Event::ExportTemplate {
            template: id.to_string(),
            title: template.details.title,
            what: "removed".to_owned(),
        };
        self.record(Some(caller), &Why::default(), event).await?;
        // Somebody else may have removed it in the same moment: it is gone, as was wanted.
        state::templates::remove(&self.0.setup.state, id).await?;
        self.close(vec![permit]).await
    }

    /// The kept templates, the newest first.
    ///
    /// # Errors
    /// [`ExchangeError::State`].
    pub async fn templates(&self) -> Result<Vec<Template>, ExchangeError> {
        Ok(state::templates::list(&self.0.setup.state, TEMPLATES_MAX).await?)
    }

    /// One template.
    ///
    /// # Errors
    /// [`ExchangeError::NoSuch`], [`ExchangeError::State`].
    pub async fn template(&self, id: Uuid) -> Result<Template, ExchangeError> {
        let found = state::templates::find(&self.0.setup.state, id).await?;
        found.ok_or(ExchangeError::NoSuch { what: "template" })
    }
}
