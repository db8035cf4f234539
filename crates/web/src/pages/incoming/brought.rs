//! Taking in files of others on a page: a ZIP file, or a BagIt bag in one, into quarantine.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use exchange::{Brought, ExchangeError};
use maud::{Markup, html};

use super::deciding::csrf;
use super::parcels;
use crate::app::{Answer, Shared};
use crate::pages::parts::sharing;
use crate::problem::Problem;
use crate::reading::carry_through;
use crate::session::{SignedIn, field};
use crate::upload::{LARGE_BYTES_MAX, LargeUpload};

/// `GET /take-in`: the form.
///
/// # Errors
/// A [`Problem`] when sharing is not configured.
pub async fn form(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    let has_scanner = sharing(&agency)?.exchange.has_scanner();
    let content = html! {
        p { a href="/incoming" { "All received parcels" } }
        (parcels::form(&signed_in))
        form class="card" id="take-in" method="post" action="/take-in" enctype="multipart/form-data" data-once {
            h2 { "Take in files of others" }
            p { "A ZIP file, or a BagIt bag in one, of at most " (LARGE_BYTES_MAX >> 20) " MiB. It is checked, sealed for this agency, and waits in quarantine "
                @if has_scanner { "for the malware scanner and " }
                "for a person to accept it. Nobody vouches for it: it has no sender's signature. Larger ones are taken in at the command line, "
                code { "bailiwick parcel take" } "." }
            (csrf(&signed_in))
            (text("from", "Who brought it", "A name, a business, an address"))
            (text("authority", "By what right it is taken in", "A request, a warrant, somebody's consent"))
            label class="usa-label" for="record_class" { "Class of records " span class="must" { "*" } }
            span class="usa-hint" id="record_class-hint" { "EVIDENCE, INCIDENT …; CJI where it is not known. Agreements go by it when it is passed on" }
            input class="usa-input" id="record_class" name="record_class" required maxlength="64" value="CJI" autocomplete="off" aria-describedby="record_class-hint";
            label class="usa-label" for="case_number" { "Case number" }
            input class="usa-input" id="case_number" name="case_number" maxlength="20" autocomplete="off";
            label class="usa-label" for="file" { "The ZIP file " span class="must" { "*" } }
            input class="usa-input" id="file" type="file" name="file" required accept=".zip,application/zip";
            button class="usa-button" type="submit" { "Take it in" }
        }
    };
    Ok(agency.page(&signed_in, "Take in files", "/incoming", &content))
}

fn text(name: &str, label: &str, hint: &str) -> Markup {
    let described = format!("{name}-hint");
    html! {
        label class="usa-label" for=(name) { (label) " " span class="must" { "*" } }
        span class="usa-hint" id=(described) { (hint) }
        input class="usa-input" id=(name) name=(name) required maxlength="500" autocomplete="off" aria-describedby=(described);
    }
}

/// `POST /take-in`.
///
/// # Errors
/// A [`Problem`] which names the file that can't be taken in, or says why nothing was.
pub async fn take_in(
    State(agency): State<Shared>,
    LargeUpload(uploaded, alone): LargeUpload,
) -> Answer {
    let text = |name: &str| field(&uploaded.fields, name).trim().to_owned();
    let case_number = match text("case_number") {
        none if none.is_empty() => None,
        given => Some(given.parse().map_err(|_| {
            Problem::bad_input("`Case number` is two digits, a dash and six digits.")
        })?),
    };
    let brought = Brought {
        zip: uploaded.file,
        from: text("from"),
        authority: text("authority"),
        case_number,
        record_class: text("record_class").parse().map_err(|_| {
            Problem::bad_input(
                "`Class of records` is capital letters, digits and dashes, such as EVIDENCE.",
            )
        })?,
    };
    let caller = uploaded.signed_in.caller();
    // Unpacking and sealing take long, and nothing moves on the line meanwhile: whoever is cut off cuts nothing off.
    let exchange = sharing(&agency)?.exchange.clone();
    let taken = carry_through(async move {
        let _alone = alone;
        Ok(exchange.take_in(&caller, brought).await)
    });
    let parcel = match taken.await? {
        Err(ExchangeError::Refused(refused)) => {
            let words = format!("`{}` can't be taken in: {}.", refused.file, refused.fault);
            return Err(Problem::bad_input(words));
        }
        taken => taken?,
    };
    Ok(Redirect::to(&format!("/incoming/{}", parcel.exchange)).into_response())
}
