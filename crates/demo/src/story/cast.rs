//! The people of the story, what they have found so far, and how a step fails.

use std::error::Error;
use std::path::Path;

use crate::runner::World;
use crate::story::StoryError;
use crate::story::client::{Browser, Page};

/// What the detective writes as the reason of the flag. It must stand nowhere in the clear.
pub(crate) const FLAG_REASON: &str = "Seen behind the hardware shop, see the door camera";
/// The most characters of a page that a failure repeats.
const SEEN_CHARS_MAX: usize = 1_500;

/// What became of a step: a sentence, or why it does not hold.
pub(crate) type Step = Result<String, Failed>;

/// Why a step does not hold.
#[derive(Debug)]
pub struct Failed {
    what: String,
    seen: String,
}

impl Failed {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), seen: String::new() }
    }

    /// Of a page that is not as it should be.
    pub(crate) fn on(page: &Page, what: impl Into<String>) -> Self {
        let text: String = page.text().chars().take(SEEN_CHARS_MAX).collect();
        let seen = format!("{} gave {}: {text}", page.address, page.status);
        Self { what: what.into(), seen }
    }

    /// As it is printed.
    pub(crate) fn lines(&self) -> String {
        if self.seen.is_empty() {
            self.what.clone()
        } else {
            format!("{}\n       {}", self.what, self.seen)
        }
    }
}

/// An error with its causes.
impl<E: Error> From<E> for Failed {
    fn from(error: E) -> Self {
        let causes = std::iter::successors(error.source(), |cause: &&dyn Error| (*cause).source());
        let causes: String = causes.map(|cause| format!(": {cause}")).collect();
        Self::new(format!("{error}{causes}"))
    }
}

/// An identity provider's answer, just before it was handed over.
pub struct Answered {
    /// The browser as it was then, with the cookie that the answer is bound to.
    pub(crate) browser: Browser,
    /// Where it went.
    pub(crate) address: String,
    pub(crate) fields: Vec<(String, String)>,
}

/// A person at a browser, and the agency whose pages they use.
pub struct Seat {
    /// Their browser.
    pub browser: Browser,
    /// `http://127.0.0.1:8080`
    pub base: String,
    pub(crate) id: &'static str,
    /// The identity provider's last answer.
    pub(crate) answer: Option<Answered>,
}

impl Seat {
    /// A person with a fresh browser, at the pages under `base`.
    #[must_use]
    pub fn new(id: &'static str, base: &str) -> Self {
        let browser = Browser::new(&format!("Bailiwick demo check ({id})"));
        Self { browser, base: base.to_owned(), id, answer: None }
    }

    /// Opens a page of the agency.
    ///
    /// # Errors
    /// [`Failed`] tells what came instead of a page.
    pub async fn open(&mut self, path: &str) -> Result<Page, Failed> {
        let page = self.browser.open(&format!("{}{path}", self.base)).await?;
        ok(&page)?;
        Ok(page)
    }

    /// Signs in and accepts the notice.
    ///
    /// # Errors
    /// [`Failed`] tells on which page it went wrong.
    pub async fn sign_in(&mut self) -> Result<Page, Failed> {
        let page = self.open("/sign-in/demo").await?;
        let page = self.prove(&page).await?;
        reads(&page, "System-use notice")?;
        let page = self.browser.submit(&page, &page.form("/notice")?).await?;
        ok(&page)?;
        Ok(page)
    }

    /// From the identity provider's question who it is, back to the agency.
    ///
    /// # Errors
    /// [`Failed`] tells on which page it went wrong.
    pub async fn prove(&mut self, page: &Page) -> Result<Page, Failed> {
        let form = page.form("/persona")?.press(self.id)?;
        let page = self.browser.submit(page, &form).await?;
        let form = page.form("/approve")?.press("Approve")?;
        let page = self.browser.submit(&page, &form).await?;
        let action = page.document.elements("form").next();
        let action = action.and_then(|form| form.attribute("action")).unwrap_or_default();
        let form = page.form(action)?;
        let (address, fields) = (form.action.clone(), form.fields());
        self.answer = Some(Answered { browser: self.browser.clone(), address, fields });
        let page = self.browser.submit(&page, &form).await?;
        ok(&page)?;
        Ok(page)
    }

    /// The token that this person's forms carry.
    pub(crate) async fn csrf(&mut self) -> Result<String, Failed> {
        let page = self.open("/").await?;
        let token = page.form("/sign-out")?.value("csrf");
        token.ok_or_else(|| Failed::on(&page, "no form token"))
    }
}

/// Everybody.
pub(crate) struct Cast {
    pub(crate) ruiz: Seat,
    pub(crate) hale: Seat,
    pub(crate) okafor: Seat,
    pub(crate) lindqvist: Seat,
    pub(crate) pell: Seat,
    pub(crate) grant: Seat,
    /// The handle of the car's row, as the detective's page has it.
    pub(crate) handle: String,
    /// The path of the export's page.
    pub(crate) export: String,
    /// What both agencies call the exchange.
    pub(crate) exchange: String,
}

impl Cast {
    pub(crate) fn new(world: &World) -> Self {
        let riverton = format!("http://{}", world.riverton.pages);
        let lakeside = format!("http://{}", world.lakeside.pages);
        Self {
            ruiz: Seat::new("det.ruiz", &riverton),
            hale: Seat::new("ofc.hale", &riverton),
            okafor: Seat::new("sgt.okafor", &riverton),
            lindqvist: Seat::new("so.lindqvist", &riverton),
            pell: Seat::new("inv.pell", &lakeside),
            grant: Seat::new("so.grant", &lakeside),
            handle: String::new(),
            export: String::new(),
            exchange: String::new(),
        }
    }
}

/// The page came.
pub(crate) fn ok(page: &Page) -> Result<(), Failed> {
    status(page, 200)
}

/// The page has this status.
pub(crate) fn status(page: &Page, wanted: u16) -> Result<(), Failed> {
    if page.status == wanted {
        return Ok(());
    }
    Err(Failed::on(page, format!("the status should be {wanted}")))
}

/// The page can be read so.
pub(crate) fn reads(page: &Page, text: &str) -> Result<(), Failed> {
    if page.says(text) {
        Ok(())
    } else {
        Err(Failed::on(page, format!("it should say “{text}”")))
    }
}

/// The first ledger entry that the page names.
pub(crate) fn entry(page: &Page) -> Result<String, Failed> {
    let named = page.document.with_attribute("data-entry");
    let named = named.and_then(|element| element.attribute("data-entry")).map(str::to_owned);
    named.ok_or_else(|| Failed::on(page, "it should name a ledger entry"))
}

/// A refusal with this status that names its ledger entry.
pub(crate) fn refused(page: &Page, wanted: u16) -> Result<String, Failed> {
    status(page, wanted)?;
    entry(page)
}

/// The address of the first link whose text and address pass.
pub(crate) fn link(page: &Page, passes: impl Fn(&str, &str) -> bool) -> Result<String, Failed> {
    let found = page.links().find(|(text, href)| passes(text, href));
    found.map(|(_, href)| href).ok_or_else(|| Failed::on(page, "the link is missing"))
}

/// The bytes are a PDF.
pub(crate) fn is_pdf(page: &Page) -> Result<(), Failed> {
    if page.status == 200 && page.body.starts_with(b"%PDF") {
        return Ok(());
    }
    Err(Failed::on(page, "it should be a PDF"))
}

/// Reads a file, naming it when that fails.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failed> {
    std::fs::read(path).map_err(|error| Failed::new(format!("{}: {error}", path.display())))
}

impl Page {
    /// The first form with a button of this name, label or value, pressed.
    ///
    /// # Errors
    /// [`StoryError::NoButton`] says which there are.
    pub fn pressed(&self, button: &str) -> Result<crate::story::form::Form, StoryError> {
        let forms = crate::story::form::Form::all(&self.document);
        let mut there = Vec::new();
        for form in forms {
            there.extend(form.buttons());
            if let Ok(form) = form.press(button) {
                return Ok(form);
            }
        }
        Err(StoryError::NoButton { wanted: button.to_owned(), there })
    }
}
