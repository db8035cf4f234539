//! Lists and states of what is shared with partners, on their way to a page: asked of the policy before they are read,
//! and on record before they are shown. What is in an export or a parcel is a question of its own.

use std::collections::BTreeSet;

use gate::{Permit, Plan, Shown};
use policy::{Action, Resource, ResourceKind, Why};

use crate::app::Shared;
use crate::problem::Problem;
use crate::session::SignedIn;

/// Leave to see exports, or one of them by its id.
pub(super) async fn at_exports(
    agency: &Shared,
    signed_in: &SignedIn,
    which: &str,
) -> Result<Permit, Problem> {
    let plan = Plan::Export(format!("see {which}"));
    permit(agency, signed_in, (Action::ViewExports, ResourceKind::Export), which, plan).await
}

/// Leave to see parcels that partners sent, or one of them by its exchange.
pub(super) async fn at_parcels(
    agency: &Shared,
    signed_in: &SignedIn,
    which: &str,
) -> Result<Permit, Problem> {
    let plan = Plan::Parcel(format!("see {which}"));
    permit(agency, signed_in, (Action::ViewParcels, ResourceKind::Parcel), which, plan).await
}

async fn permit(
    agency: &Shared,
    signed_in: &SignedIn,
    (action, kind): (Action, ResourceKind),
    which: &str,
    plan: Plan,
) -> Result<Permit, Problem> {
    let class = "PLATFORM".parse().map_err(|error: policy::Malformed| Problem::internal(&error))?;
    let resource = Resource {
        kind,
        id: which.to_owned(),
        tool: None,
        source: None,
        record_class: class,
        caveats: BTreeSet::new(),
        agency: agency.ori.clone(),
        requested_by: None,
        agreement: None,
    };
    let question = agency.question(signed_in, action, resource, Why::default());
    Ok(agency.authorise(signed_in, question, plan).await?)
}

/// Gives what may be shown, once it is on record. `lines` name what it is, one line for each part.
pub(super) async fn show<T>(
    agency: &Shared,
    permit: Permit,
    what: &'static str,
    data: T,
    lines: impl FnOnce(&T) -> Vec<String>,
) -> Result<T, Problem> {
    let seen = Shown { what, lines: lines(&data), data };
    let (seen, _) = agency.gate.release(permit.hold(seen)).await?.into_parts();
    Ok(seen.data)
}
