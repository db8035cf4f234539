//! Seals row handles under the agency's key, as text that may stand in an address.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use gate::Value;
use keys::seal::SealingKey;
use policy::Why;
use tools::Tool;
use tools::handle::{self, Binding, Handle, HandleError, Sealer};

use crate::agency::Agency;
use crate::problem::Problem;
use crate::session::SignedIn;

/// The key of row handles, as `tools` takes it.
pub(crate) struct Handles<'a>(pub(crate) &'a SealingKey);

impl Sealer for Handles<'_> {
    fn seal(&self, bound: &[u8], plain: &[u8]) -> Option<String> {
        self.0.seal(bound, plain).ok().map(|sealed| BASE64.encode(sealed))
    }

    fn open(&self, bound: &[u8], sealed: &str) -> Option<Vec<u8>> {
        self.0.open(bound, &BASE64.decode(sealed).ok()?).ok()
    }
}

impl Agency {
    /// Seals a row for this person, this session, this version of the tool.
    pub(crate) fn seal_handle(
        &self,
        who: &SignedIn,
        tool: &Tool,
        query: &str,
        values: BTreeMap<String, Value>,
        why: &Why,
    ) -> Option<String> {
        let (user, session) = (who.actor.id.to_string(), who.session.prefix());
        let binding = binding(tool, query, &user, &session);
        let handle = Handle { values, why: why.clone(), expires: who.session.absolute_deadline };
        handle::seal(&Handles(&self.handles), &binding, &handle).ok()
    }

    /// Opens a handle that came back.
    pub(crate) fn open_handle(
        &self,
        who: &SignedIn,
        tool: &Tool,
        query: &str,
        sealed: &str,
    ) -> Result<Handle, HandleError> {
        let (user, session) = (who.actor.id.to_string(), who.session.prefix());
        let binding = binding(tool, query, &user, &session);
        handle::open(&Handles(&self.handles), &binding, sealed, self.now())
    }

    /// Seals a file of a received parcel for this person and this session, with the purpose that the parcel
    /// was opened for.
    pub(crate) fn seal_file_handle(
        &self,
        who: &SignedIn,
        exchange: &str,
        values: BTreeMap<String, Value>,
        why: &Why,
    ) -> Option<String> {
        let (user, session) = (who.actor.id.to_string(), who.session.prefix());
        let handle = Handle { values, why: why.clone(), expires: who.session.absolute_deadline };
        let binding = file_binding(exchange, &user, &session);
        handle::seal(&Handles(&self.handles), &binding, &handle).ok()
    }

    /// Opens such a handle.
    pub(crate) fn open_file_handle(
        &self,
        who: &SignedIn,
        exchange: &str,
        sealed: &str,
    ) -> Result<Handle, HandleError> {
        let (user, session) = (who.actor.id.to_string(), who.session.prefix());
        let binding = file_binding(exchange, &user, &session);
        handle::open(&Handles(&self.handles), &binding, sealed, self.now())
    }

    /// Records that a row handle was not one that this person has, and says so.
    pub(crate) async fn foreign_handle(&self, who: &SignedIn, route: &str) -> Problem {
        match self.refuse(Some(who), who.origin.clone(), route, "foreign-handle").await {
            Ok(entry) => Problem::new(
                StatusCode::FORBIDDEN,
                "This row is not open to you",
                "The row was not found by your own search in this session, or too long ago. Search again.",
            )
            .with_entry(entry),
            Err(unrecorded) => unrecorded,
        }
    }
}

/// A parcel is no tool: in the place of a tool's id stands what no tool can be called.
fn file_binding<'a>(exchange: &'a str, user: &'a str, session: &'a str) -> Binding<'a> {
    Binding { tool: "/incoming", version: &[0; 32], query: exchange, user, session }
}

fn binding<'a>(tool: &'a Tool, query: &'a str, user: &'a str, session: &'a str) -> Binding<'a> {
    Binding { tool: &tool.id, version: &tool.version, query, user, session }
}
