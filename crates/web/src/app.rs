//! Every route of the pages, one line each, and the layers around them.

use std::sync::Arc;

use ::ledger::watched::WitnessState;
use ::ledger::{Capacity, Health};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use maud::Markup;

use crate::agency::Agency;
use crate::layout::{self, Frame, Group, Link, Person};
use crate::live::Leash;
use crate::pages::exports::{passing, returned};
use crate::pages::incoming::{brought, deciding, parcels, receipts, scanned};
use crate::pages::parts::moment;
use crate::pages::{
    audit, certificates, custody, documents, emergency, exports, guests, home, incoming, joint,
    ledger, log_out, mine, oidc, partners, people, providers, redacting, refusals, retention,
    sign_in, ssf, tools,
};
use crate::problem::Problem;
use crate::reading::carry_through;
use crate::session::{self, FORM_BYTES_MAX, PersonSlot, SignedIn};
use crate::{assets, door, front, headers, scim};

/// What every handler gets.
pub type Shared = Arc<Agency>;
/// What a page handler gives.
pub type Answer = Result<Response, Problem>;

/// The pages of one agency.
pub fn router(agency: Shared) -> Router {
    Router::new()
        .route("/", get(home::home))
        .route("/sign-in", get(sign_in::choose))
        .route("/sign-in/{provider}", get(sign_in::start))
        .route("/saml/metadata", get(sign_in::metadata))
        .route("/saml/certificate.pem", get(providers::certificate))
        .route("/saml/acs", post(sign_in::consume))
        .route("/saml/slo", get(log_out::receive).layer(middleware::from_fn(carry)))
        .route("/refusals", get(refusals::ask))
        .route("/oidc/callback", get(oidc::callback))
        .route("/oidc/jwks", get(oidc::jwks))
        .route("/oidc/logout/{provider}", post(oidc::back_channel))
        .route("/certificate", get(certificates::ask).post(certificates::consume))
        .route("/ssf/events/{stream}", post(ssf::push))
        .route("/notice", get(sign_in::notice).post(sign_in::accept))
        .route("/step-up", get(sign_in::step_up))
        .route("/emergency", get(emergency::form).post(emergency::open))
        .route("/emergency/key", post(emergency::key))
        .route("/emergency/uses", get(emergency::list).merge(carried(emergency::review)))
        .route("/sign-out", carried(sign_in::sign_out))
        .route("/me", get(home::me))
        .route("/me/sessions", get(mine::sessions).merge(carried(mine::end)))
        .route("/me/accesses", get(mine::accesses).post(mine::older))
        .route("/tools/{tool}", get(tools::open))
        .route("/tools/{tool}/runs", post(tools::run))
        .route("/tools/{tool}/rows", post(tools::row))
        .route("/tools/{tool}/actions/{action}", post(tools::action))
        .route("/tools/{tool}/evidence/{part}/{handle}", get(documents::viewer_page))
        .route("/tools/{tool}/documents/{part}/{handle}", get(documents::document))
        .route(
            "/tools/{tool}/redact/{part}/{handle}",
            get(redacting::of_document).merge(carried(redacting::add_to_document)),
        )
        .route("/audit", get(audit::timeline).post(audit::search))
        .route("/audit/entries/{entry}", get(audit::entry))
        .route("/audit/entries/{entry}/proof", get(audit::proof::sealed))
        .route("/audit/entries/{entry}/proof/disclosed", get(audit::proof::disclosed))
        .route("/audit/dissemination", get(audit::dissemination::page))
        .route("/audit/dissemination.csv", get(audit::dissemination::file))
        .route("/audit/ledger", get(ledger::state))
        .route("/audit/joint", get(joint::start).post(joint::reconcile))
        .route("/audit/joint/extract", post(joint::extract))
        .route("/audit/retention", get(retention::overview))
        .route("/audit/retention/dispose", carried(retention::dispose))
        .route("/audit/retention/hold", carried(retention::hold))
        .route("/audit/retention/release", carried(retention::release))
        .route("/csp-reports", post(home::csp_report))
        .route("/health", get(home::health))
        .route("/ready", get(home::ready))
        .nest("/scim/v2", scim::router(&agency))
        .merge(people_pages())
        .merge(sharing_pages())
        .merge(door::pages())
        .merge(assets::router())
        .fallback(home::not_found)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX * 8))
        .layer(middleware::from_fn_with_state(agency.clone(), frame_problems))
        .layer(middleware::from_fn(headers::protect))
        .layer(middleware::from_fn_with_state(agency.clone(), front::receive))
        .with_state(agency)
}

/// The pages of what leaves and what comes, and of what is agreed with partners.
fn sharing_pages() -> Router<Shared> {
    Router::new()
        .route("/exports", get(exports::list))
        .route("/exports/opener", get(exports::opener))
        .route(
            "/exports/templates/{template}",
            get(exports::templates::one).merge(carried(exports::templates::remove)),
        )
        .route("/exports/{export}/template", carried(exports::templates::keep))
        .route("/exports/{export}", get(exports::one))
        .route("/exports/{export}/progress", get(exports::progress))
        .route("/exports/{export}/approve", carried(exports::approve))
        .route("/exports/{export}/reject", carried(exports::reject))
        .route("/exports/{export}/again", carried(exports::again))
        .route("/exports/{export}/recall", carried(exports::recall))
        .route("/exports/{export}/recall-answer", carried(returned::answer_recall))
        .route("/exports/{export}/receipt", carried(returned::add_receipt))
        .route("/exports/{export}/parcel", post(exports::download))
        .route("/exports/{export}/custody", post(custody::export))
        .route("/exports/{export}/label", get(exports::label))
        .route("/guests", get(guests::list).post(guests::invite))
        .route("/guests/{export}/end", carried(guests::end))
        .route("/partners", get(partners::list))
        .route("/partners/rules", get(partners::rules).merge(carried(partners::review_rules)))
        .route("/partners/{ori}", get(partners::one).merge(carried(partners::review_partner)))
        .route("/agreements/{id}", get(partners::agreement).merge(carried(partners::review)))
        .route("/agreements/{id}/document", get(partners::document))
        .route("/incoming", get(incoming::list))
        .route("/take-in/parcel", carried(parcels::take_in))
        .route("/take-in", get(brought::form).merge(carried(brought::take_in)))
        .route("/incoming/{parcel}/pass-on/{handle}", carried(passing::pass_on))
        .route(
            "/incoming/{parcel}/redact/{handle}",
            get(redacting::of_received).merge(carried(redacting::add_to_received)),
        )
        .route("/incoming/{parcel}", get(incoming::one).post(incoming::open))
        .route("/incoming/{parcel}/receipt.json", get(receipts::json))
        .route("/incoming/{parcel}/receipt.json.p7s", get(receipts::signature))
        .route("/incoming/{parcel}/custody", post(custody::incoming))
        .route("/incoming/{parcel}/accept", carried(deciding::accept))
        .route("/incoming/{parcel}/reject", carried(deciding::reject))
        .route("/incoming/{parcel}/keep", carried(deciding::keep))
        .route("/incoming/{parcel}/destroy", carried(deciding::destroy))
        .route("/incoming/{parcel}/release/{handle}", carried(scanned::release))
        .route("/incoming/{parcel}/files/{handle}", get(incoming::file))
}

/// The pages of accounts, and of who keeps and vouches for them.
fn people_pages() -> Router<Shared> {
    Router::new()
        .route("/people", get(people::list).post(people::search))
        .route("/people/bulk", carried(people::bulk))
        .route("/people/new", get(people::new).merge(carried(people::make)))
        .route("/people/review", get(people::due).merge(carried(people::review)))
        .route("/people/training", get(people::overview).merge(carried(people::take_in)))
        .route(
            "/people/directories",
            get(people::directories).merge(carried(people::change_tokens)),
        )
        .route("/people/providers", get(providers::moved))
        .route("/identity/providers", get(providers::list).merge(carried(providers::upload)))
        .route("/identity/oidc/{provider}", get(providers::oidc_page))
        .route("/identity/oidc/{provider}/try", get(providers::start_oidc))
        .route("/identity/trust", get(providers::moved).merge(carried(providers::trust)))
        .route("/identity/guides/{guide}", get(providers::guide))
        .route("/identity/providers/{draft}", get(providers::one).merge(carried(providers::change)))
        .route("/identity/providers/{draft}/try", get(providers::start))
        .route("/identity/providers/{draft}/metadata", get(providers::metadata))
        .route("/people/{account}", get(people::one).merge(carried(people::change)))
        .route("/people/{account}/facts", carried(people::edit))
        .route("/people/{account}/qualifications", carried(people::qualify))
}

/// A form that changes something. Its request is a task of its own: a person who closes the page, or whose
/// session is cut, lets go of the answer, and must not cut the act off from the record of it.
pub(crate) fn carried<H, T>(handler: H) -> MethodRouter<Shared>
where
    H: Handler<T, Shared>,
    T: 'static,
{
    post(handler).layer(middleware::from_fn(carry))
}

pub(crate) async fn carry(request: Request, next: Next) -> Response {
    let answered = carry_through(async move { Ok(next.run(request).await) }).await;
    answered.unwrap_or_else(IntoResponse::into_response)
}

/// Cuts what runs in a session that ends. Puts the frame of the page around a [`Problem`], with the
/// person's navigation when a session was found on the way.
pub async fn frame_problems(
    State(agency): State<Shared>,
    mut request: Request,
    next: Next,
) -> Response {
    let slot = PersonSlot::default();
    request.extensions_mut().insert(slot.clone());
    let leash = Leash::new(&agency.live);
    request.extensions_mut().insert(leash.clone());
    let fragment = headers::wants_fragment(request.headers());
    let Some(response) = leash.unless_cut(next.run(request)).await else {
        let problem = session::ended();
        let framed = agency.framed(None, problem.title, "", &problem.content());
        return (problem.status, framed).into_response();
    };
    let response = response.map(|body| leash.body(body));
    let Some(problem) = response.extensions().get::<Problem>().cloned() else { return response };
    if fragment {
        return response;
    }
    let framed = agency.framed(slot.0.get(), problem.title, "", &problem.content());
    (problem.status, framed).into_response()
}

impl Agency {
    /// A page for a signed-in person.
    pub fn page(
        &self,
        signed_in: &SignedIn,
        title: &str,
        path: &str,
        content: &Markup,
    ) -> Response {
        self.framed(Some(signed_in), title, path, content).into_response()
    }

    /// A page for somebody who is not signed in.
    pub fn public_page(&self, title: &str, content: &Markup) -> Response {
        self.framed(None, title, "", content).into_response()
    }

    fn framed(&self, who: Option<&SignedIn>, title: &str, path: &str, content: &Markup) -> Markup {
        let person = who.map(|signed_in| Person {
            name: &signed_in.actor.name,
            functions: words(signed_in),
            until: signed_in.session.deadline().strftime("%H:%M UTC").to_string(),
            csrf: &signed_in.csrf,
            own_page: self.config.guests().is_none() || signed_in.actor.agency == self.ori,
            navigation: if signed_in.accepted_notice { self.navigation(signed_in) } else { vec![] },
        });
        let notice = who.map(|signed_in| self.notice(signed_in)).unwrap_or_default();
        let frame = Frame {
            notice: &notice,
            agency: &self.config.agency.name,
            handling: &self.config.agency.handling,
            demonstration: &self.config.agency.demonstration,
            title,
            lede: self.lede(path),
            person,
            alarms: who.map(|signed_in| self.alarms(signed_in)).unwrap_or_default(),
            path,
            version: &self.version,
        };
        layout::page(&frame, content)
    }

    /// What the ledger's witnesses mean for this person: nothing is released, which concerns everybody;
    /// one of them is silent, which concerns those who watch over the ledger.
    fn notice(&self, signed_in: &SignedIn) -> String {
        let witnessed = self.ledger.witnessed();
        if let Err(why) = witnessed.releases {
            let ours = signed_in.actor.agency == self.ori;
            return nothing_leaves(ours, &self.config.agency.name, &why.to_string());
        }
        if !oversees(signed_in) {
            return String::new();
        }
        let silent = witnessed.witnesses.iter().filter_map(|one| match one.state {
            WitnessState::Stale { minutes } => Some(format!("{} for {minutes} minutes", one.name)),
            WitnessState::Waiting | WitnessState::Fresh => None,
        });
        let silent: Vec<String> = silent.collect();
        match silent.is_empty() {
            true => String::new(),
            false => format!(
                "The ledger has not been confirmed by its witness: {}. See the ledger's page.",
                silent.join(", ")
            ),
        }
    }

    /// What must be seen to, for those who are to see to it.
    fn alarms(&self, signed_in: &SignedIn) -> Vec<String> {
        self.alarm(signed_in).into_iter().chain(self.emergencies(signed_in)).collect()
    }

    /// What is wrong with the audit log, for those who are to see to it (AU-5).
    fn alarm(&self, signed_in: &SignedIn) -> Option<String> {
        const TOLD: [&str; 2] = ["security-officer", "administrator"];
        let mut functions = signed_in.actor.functions.iter();
        functions.find(|function| TOLD.contains(&function.as_str()))?;
        if let Health::Stalled { since, why } = self.ledger.health() {
            let since = moment(since);
            return Some(format!(
                "The audit ledger has refused records since {since}, so nothing is released: {why}."
            ));
        }
        let rooms = [self.ledger.capacity(), self.ledger.database_capacity()];
        let capacity = rooms.into_iter().flatten().find(Capacity::is_low)?;
        Some(format!("Make room for the audit ledger: {}.", capacity.words()))
    }

    /// The sentence under the title of the pages that have one.
    pub(crate) fn lede(&self, path: &str) -> &str {
        match path {
            "/" => "Everything that you open here is put on record, with its purpose.",
            "/audit" => "Who saw what, when and why. Reading this is on record too.",
            "/audit/dissemination" => {
                "Criminal history that went to agencies outside the primary agreements."
            }
            "/audit/ledger" => {
                "The log itself: its tree, its signatures, and how to verify it elsewhere."
            }
            "/audit/joint" => "A partner's ledger and ours, held against each other.",
            "/audit/retention" => {
                "How long records are kept, what holds keep longer, and what was disposed of."
            }
            "/exports" => "Records and evidence that leave for a partner agency.",
            "/guest" => "Sealed for your agency. What you see and fetch here is on record.",
            "/guests" => "Named persons at partner agencies who may fetch a parcel, until a day.",
            "/partners" => "With whom the agency shares, and under which agreement.",
            "/incoming" => "Evidence that partner agencies sent, verified on arrival.",
            "/people" => {
                "Who may sign in, as what, and until when. What you change here takes effect at once."
            }
            "/people/review" => "Whether people still need what they may do, once a year.",
            "/people/training" => {
                "What comes before criminal justice information, and who has not got it."
            }
            "/identity/providers" => {
                "Who vouches for people, and what to do when that can't be trusted any more. Setting one up here lets nobody in."
            }
            "/emergency/uses" => {
                "Sealed accounts for when no identity provider answers, and every use of one."
            }
            "/people/directories" => "Who keeps accounts current by SCIM, and what lets them in.",
            "/refusals" => "What stood in somebody's way, by the number that they quote.",
            "/me/sessions" => "Where you are signed in. End what you do not need.",
            "/me/accesses" => "What the ledger says that you did.",
            _ => path
                .strip_prefix("/tools/")
                .and_then(|id| self.tools.get(id))
                .map_or("", |tool| &tool.summary),
        }
    }

    /// What this person has a use for. It is a convenience: each page asks the policy itself.
    pub(crate) fn navigation(&self, signed_in: &SignedIn) -> Vec<Group> {
        let guest = signed_in.actor.agency != self.ori;
        if self.exchange.is_some() && guest {
            return vec![Group { title: "", links: vec![Link::new("/guest", "Parcels for you")] }];
        }
        let has = |names: &[&str]| {
            signed_in.actor.functions.iter().any(|function| names.contains(&function.as_str()))
        };
        let tools = self.tools_for(&signed_in.actor);
        let tools = tools.map(|tool| Link::new(&format!("/tools/{}", tool.id), &tool.title));
        let mut sharing = Vec::new();
        if self.exchange.is_some() && has(&["detective", "records-clerk", "supervisor"]) {
            sharing.push(Link::new("/exports", "Exports"));
        }
        if self.exchange.is_some() && has(&["investigator", "detective", "supervisor"]) {
            sharing.push(Link::new("/incoming", "Received parcels"));
        }
        if self.exchange.is_some() {
            sharing.push(Link::new("/partners", "Partners and agreements"));
        }
        if self.exchange.is_some() && has(&["security-officer"]) {
            sharing.push(Link::new("/guests", "Guests"));
        }
        let mut oversight = Vec::new();
        if oversees(signed_in) {
            oversight.push(Link::new("/audit", "Audit"));
            if self.exchange.is_some() {
                let log = "/audit/dissemination";
                oversight.push(Link::new(log, "Secondary dissemination"));
            }
            oversight.push(Link::new("/audit/ledger", "Ledger"));
            oversight.push(Link::new("/audit/retention", "Retention"));
            if self.exchange.is_some() {
                oversight.push(Link::new("/audit/joint", "Joint audit"));
            }
        }
        let mut administration = Vec::new();
        if has(&["administrator", "security-officer", "auditor"]) {
            administration.push(Link::new("/people", "People"));
            administration.push(Link::new("/people/training", "Training and screening"));
            administration.push(Link::new("/people/review", "Review of access"));
            administration.push(Link::new("/identity/providers", "Identity providers"));
            administration.push(Link::new("/emergency/uses", "Emergency access"));
            if !self.config.directories.is_empty() {
                administration.push(Link::new("/people/directories", "Directories"));
            }
        }
        if has(&["administrator"]) {
            administration.push(Link::new("/refusals", "Why was I refused?"));
        }
        let groups = [
            Group { title: "", links: vec![Link::new("/", "Start")] },
            Group { title: "Tools", links: tools.collect() },
            Group { title: "Sharing", links: sharing },
            Group { title: "Oversight", links: oversight },
            Group { title: "Administration", links: administration },
        ];
        groups.into_iter().filter(|group| !group.links.is_empty()).collect()
    }
}

/// Whether the person watches over the ledger.
fn oversees(signed_in: &SignedIn) -> bool {
    let functions = &signed_in.actor.functions;
    functions.iter().any(|function| ["security-officer", "auditor"].contains(&function.as_str()))
}

/// The person's functions in words: `records clerk, supervisor`.
fn words(signed_in: &SignedIn) -> String {
    let functions = signed_in.actor.functions.iter();
    functions.map(|function| function.as_str().replace('-', " ")).collect::<Vec<_>>().join(", ")
}

/// That nothing is released. How the agency's log stands is nothing for people of another one.
fn nothing_leaves(ours: bool, agency: &str, why: &str) -> String {
    match ours {
        true => format!("Nothing is released at present: {why}."),
        false => format!("Nothing can be fetched at present. Try again later, or ask {agency}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_told_nothing_of_the_agency_s_ledger() {
        let why = "its witness `lakeside` has not confirmed the ledger";
        assert!(nothing_leaves(true, "Riverton PD", why).contains("lakeside"));
        let told = nothing_leaves(false, "Riverton PD", why);
        assert_eq!(told, "Nothing can be fetched at present. Try again later, or ask Riverton PD.");
    }
}
