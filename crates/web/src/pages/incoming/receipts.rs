//! Our receipt for a parcel as two files, to be carried back where the sender has no server.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use exchange::Incoming;
use maud::{Markup, html};

use super::line;
use crate::app::{Answer, Shared};
use crate::pages::looking;
use crate::pages::parts::{id, sharing};
use crate::problem::Problem;
use crate::session::SignedIn;

/// The two links; nothing where there is no receipt.
pub(super) fn card(parcel: &Incoming) -> Markup {
    let path = format!("/incoming/{}", parcel.exchange);
    html! {
        @if parcel.receipt.is_some() {
            div class="card" id="receipt" {
                h2 { "Our signed receipt" }
                p { "The sender gets it over the line where the parcel came that way. Where it did not, save both files and send them back." }
                p class="cluster" {
                    a href={ (path) "/receipt.json" } download { "receipt.json" }
                    a href={ (path) "/receipt.json.p7s" } download { "receipt.json.p7s" }
                }
            }
        }
    }
}

/// `GET /incoming/{exchange}/receipt.json`.
///
/// # Errors
/// A [`Problem`] where there is no such parcel or it has no receipt.
pub async fn json(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(exchange): Path<String>,
) -> Answer {
    let (json, _) = receipt(&agency, &signed_in, &exchange).await?;
    Ok(saved(parcel::receipt::RECEIPT_FILE, "application/json", json))
}

/// `GET /incoming/{exchange}/receipt.json.p7s`.
///
/// # Errors
/// As [`json`].
pub async fn signature(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(exchange): Path<String>,
) -> Answer {
    let (_, signature) = receipt(&agency, &signed_in, &exchange).await?;
    let name = parcel::receipt::RECEIPT_SIGNATURE_FILE;
    Ok(saved(name, "application/pkcs7-signature", signature))
}

async fn receipt(
    agency: &Shared,
    signed_in: &SignedIn,
    exchange: &str,
) -> Result<(Vec<u8>, Vec<u8>), Problem> {
    let exchange = id(exchange)?;
    let permit = looking::at_parcels(agency, signed_in, &exchange.to_string()).await?;
    let found = sharing(agency)?.exchange.incoming(exchange).await?;
    let found = looking::show(agency, permit, "receipt", found, |found| vec![line(found)]).await?;
    let receipt = found.receipt.ok_or_else(Problem::not_found)?;
    let signature = BASE64.decode(&receipt.signature).map_err(|_| Problem::not_found())?;
    Ok((receipt.json.into_bytes(), signature))
}

fn saved(name: &str, media_type: &'static str, bytes: Vec<u8>) -> axum::response::Response {
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, bytes).into_response()
}
