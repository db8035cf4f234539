//! The label sheet of a sealed parcel: what goes with a medium, for the one who hands it over and the one who takes it.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse as _;
use exchange::{Export, ExportStatus, SealedFacts};
use parcel::document::{Block, Document};

use crate::app::{Answer, Shared};
use crate::pages::looking;
use crate::pages::partners::partner_name;
use crate::pages::parts::{bytes_words, id, sharing};
use crate::problem::Problem;
use crate::session::SignedIn;

/// `GET /exports/{export}/label`: a PDF of one page.
///
/// # Errors
/// A [`Problem`] when there is no such export, or it is not sealed or was taken back.
pub async fn label(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(export): Path<String>,
) -> Answer {
    let export = id(&export)?;
    let permit = looking::at_exports(&agency, &signed_in, &export.to_string()).await?;
    let export = sharing(&agency)?.exchange.export(export).await?;
    let line = |export: &Export| vec![format!("{} {} label", export.id, export.status)];
    let export = looking::show(&agency, permit, "export", export, line).await?;
    let over = [ExportStatus::Recalled, ExportStatus::Expired, ExportStatus::Rejected];
    let sealed = export.details.sealed.as_ref().filter(|_| !over.contains(&export.status));
    let sealed = sealed.ok_or_else(Problem::not_found)?;
    let from = &agency.config.agency;
    let names = Names {
        from: format!("{} ({})", from.name, from.ori),
        to: format!("{} ({})", partner_name(&agency, &export.partner), export.partner),
        ledger: agency.config.ledger.origin.clone(),
    };
    let document = sheet(&export, sealed, &names).ok_or_else(Problem::not_found)?;
    let pdf = document.write().map_err(|error| Problem::internal(&error))?;
    let name = format!("attachment; filename=\"label-{}.pdf\"", export.id);
    let headers =
        [(header::CONTENT_TYPE, "application/pdf".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, pdf).into_response())
}

struct Names {
    from: String,
    to: String,
    ledger: String,
}

/// None where the export has no parcel or its digest is none.
fn sheet(export: &Export, sealed: &SealedFacts, names: &Names) -> Option<Document> {
    let parcel = export.parcel?;
    let details = &export.details;
    let digest: [u8; 32] = hex::decode(&sealed.digest).ok()?.try_into().ok()?;
    let marks: std::collections::BTreeSet<String> = details
        .items
        .iter()
        .flat_map(|item| {
            let caveats = item.caveats.iter().map(ToString::to_string);
            std::iter::once(item.record_class.to_string()).chain(caveats)
        })
        .collect();
    let case = details.why.case_number.as_ref().map(ToString::to_string);
    let sent = details.delivery.sent_entry.map(|entry| entry.to_string());
    let facts = [
        ("From", Some(names.from.clone())),
        ("To", Some(names.to.clone())),
        ("Agreement", Some(export.agreement.clone())),
        ("Case number", case),
        ("Sealed at", Some(sealed.at.strftime("%Y-%m-%d %H:%M UTC").to_string())),
        ("Parcel", Some(parcel.to_string())),
        ("Number to this partner", export.number.map(|number| number.to_string())),
        ("Size", Some(format!("{} parts, {}", sealed.parts, bytes_words(sealed.bytes)))),
        ("Entry of the sealing", Some(sealed.entry.to_string())),
        ("Entry of the sending", sent),
    ];
    let facts = facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let groups = exchange::aloud(&digest).into_iter().enumerate();
    let words = groups.map(|(at, words)| ((at + 1).to_string(), words)).collect();
    let code = format!("parcel {parcel} sha256 {}", sealed.digest);
    Some(Document {
        title: "Sealed parcel".to_owned(),
        author: names.from.clone(),
        program: concat!("Bailiwick ", env!("CARGO_PKG_VERSION")).to_owned(),
        created: sealed.at,
        marks: marks.into_iter().collect(),
        reference: format!("Sealed by entry {} of {}", sealed.entry, names.ledger),
        blocks: vec![
            Block::Facts(facts.collect()),
            Block::Heading("Its hash, to read aloud".to_owned()),
            Block::Facts(words),
            Block::Heading("The same for machines".to_owned()),
            Block::Paragraph(format!("SHA-256 {}", sealed.digest)),
            Block::Code { said: format!("QR code of: {code}"), text: code },
            Block::Paragraph(
                "It is the SHA-256 of the file tagmanifest-sha256.txt in the parcel: sha256sum shows it, and so does open.html. \
                 Call the sender at a number that you have from elsewhere and read the words to one another before you open the \
                 parcel. Only the addressee's key opens it. Whoever finds it, please return it to the sender."
                    .to_owned(),
            ),
        ],
        attached: Vec::new(),
    })
}
