//! What is not let in: forged forms, names of tools that aren't there, SQL as text, other people's
//! handles, an old answer of the identity provider.

use crate::seed::story::{CASE, PLATE};
use crate::story::cast::{Cast, Failed, Step, refused, status};
use crate::story::client::{Page, Raw};
use crate::story::steps::look_up;

const RUNS: &str = "/tools/vehicle-lookup/runs";

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A search of the detective, with these in addition or instead.
async fn post(
    cast: &mut Cast,
    path: &str,
    csrf: &str,
    headers: &[(&'static str, &str)],
) -> Result<Page, Failed> {
    let seat = &cast.ruiz;
    let typed = [("csrf", csrf), ("plate", PLATE), ("purpose", "C"), ("case_number", CASE)];
    let mut raw = Raw::post(&format!("{}{path}", seat.base), &fields(&typed))?;
    for (name, value) in headers {
        raw.headers.retain(|(known, _)| known != name);
        raw.headers.push((name, (*value).to_owned()));
    }
    Ok(seat.browser.raw(raw).await?)
}

/// No record of the story can be read there.
fn silent(page: &Page) -> Result<(), Failed> {
    if page.says("Honda") { Err(Failed::on(page, "it shows a record")) } else { Ok(()) }
}

pub(crate) async fn forged_form(cast: &mut Cast) -> Step {
    let page = post(cast, RUNS, "AAAAAAAAAAAAAAAAAAAAAA", &[]).await?;
    let number = refused(&page, 403)?;
    silent(&page)?;
    Ok(format!("a form with a wrong token is refused (entry {number})"))
}

pub(crate) async fn other_site(cast: &mut Cast) -> Step {
    let csrf = cast.ruiz.csrf().await?;
    let foreign = [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")];
    let page = post(cast, RUNS, &csrf, &foreign).await?;
    let number = refused(&page, 403)?;
    silent(&page)?;
    Ok(format!("a form of another site is refused, right token or not (entry {number})"))
}

pub(crate) async fn unknown_tool(cast: &mut Cast) -> Step {
    let csrf = cast.ruiz.csrf().await?;
    let page = post(cast, "/tools/no-such-tool/runs", &csrf, &[]).await?;
    let number = refused(&page, 404)?;
    Ok(format!("a tool that is not there is not found, on record (entry {number})"))
}

pub(crate) async fn sql_as_text(cast: &mut Cast) -> Step {
    let page = look_up(&mut cast.ruiz, "' or 1=1 --").await?;
    status(&page, 400)?;
    silent(&page)?;
    let wrong = page.document.all().find(|one| one.attribute("aria-invalid") == Some("true"));
    if wrong.and_then(|one| one.attribute("name")) != Some("plate") {
        return Err(Failed::on(&page, "the field should be marked"));
    }
    let number = refused(&page, 400)?;
    Ok(format!("SQL in the plate is refused, and the field is named (entry {number})"))
}

pub(crate) async fn other_persons_handle(cast: &mut Cast) -> Step {
    let csrf = cast.hale.csrf().await?;
    let typed = [
        ("csrf", csrf.as_str()),
        ("plate", PLATE),
        ("purpose", "C"),
        ("case_number", CASE),
        ("row", cast.handle.as_str()),
    ];
    let address = format!("{}/tools/vehicle-lookup/rows", cast.hale.base);
    let page = cast.hale.browser.raw(Raw::post(&address, &fields(&typed))?).await?;
    let number = refused(&page, 403)?;
    silent(&page)?;
    Ok(format!("ofc.hale can't use det.ruiz's handle of a row (entry {number})"))
}

pub(crate) async fn old_answer(cast: &mut Cast) -> Step {
    let Some(answer) = &cast.ruiz.answer else {
        return Err(Failed::new("the identity provider's answer was not kept"));
    };
    let page = answer.browser.raw(Raw::post(&answer.address, &answer.fields)?).await?;
    let number = refused(&page, 403)?;
    if page.header("set-cookie").is_some() {
        return Err(Failed::on(&page, "it sets a cookie"));
    }
    Ok(format!(
        "the identity provider's answer counts once; sent again it is refused (entry {number})"
    ))
}
