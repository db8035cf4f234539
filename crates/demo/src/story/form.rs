//! A form as a person fills it in: only fields that are there can be set, only choices that are
//! offered can be chosen, and only buttons that are shown can be pressed.

use crate::story::StoryError;
use crate::story::html::{Document, Element};

/// A form of a page with what it would send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Where it goes, as written; empty for the page itself.
    pub action: String,
    /// Whether it is sent by POST.
    pub post: bool,
    controls: Vec<Control>,
    pressed: Option<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Control {
    name: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Text that can be typed.
    Typed(String),
    /// A hidden field.
    Hidden(String),
    /// A list: the value chosen and those offered.
    List { chosen: Option<String>, offered: Vec<String> },
    /// A box or a radio button with its value.
    Tick { value: String, ticked: bool, radio: bool },
    /// A button with its value, its label, and where it sends the form if elsewhere.
    Button { value: String, label: String, action: Option<String> },
}

impl Form {
    /// The form whose `id` or `action` is `wanted`.
    pub(crate) fn find(page: &Document, wanted: &str) -> Result<Self, StoryError> {
        let known = |form: &Element<'_>| {
            let label = form.attribute("id").or(form.attribute("action")).unwrap_or_default();
            label.to_owned()
        };
        page.elements("form")
            .find(|form| {
                form.attribute("id") == Some(wanted)
                    || form.attribute("action").is_some_and(|action| {
                        action == wanted || action.split('?').next() == Some(wanted)
                    })
            })
            .map(|form| Self::read(page, &form))
            .ok_or_else(|| StoryError::NoForm {
                wanted: wanted.to_owned(),
                there: page.elements("form").map(|form| known(&form)).collect(),
            })
    }

    /// All forms of a page, in order.
    pub(crate) fn all(page: &Document) -> Vec<Self> {
        page.elements("form").map(|form| Self::read(page, &form)).collect()
    }

    fn read(page: &Document, form: &Element<'_>) -> Self {
        let id = form.attribute("id");
        let owned = |element: &Element<'_>| match element.attribute("form") {
            Some(owner) => Some(owner) == id,
            None => form.contains(element),
        };
        let controls = page.all().filter(owned).filter_map(|element| control(&element)).collect();
        Self {
            action: form.attribute("action").unwrap_or_default().to_owned(),
            post: form.attribute("method").is_some_and(|way| way.eq_ignore_ascii_case("post")),
            controls,
            pressed: None,
        }
    }

    /// The value that a field would be sent with.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<String> {
        self.fields().into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// What a list or a set of radio buttons or boxes offers.
    #[must_use]
    pub fn offered(&self, name: &str) -> Vec<String> {
        let named = self.controls.iter().filter(|control| control.name == name);
        named
            .flat_map(|control| match &control.kind {
                Kind::List { offered, .. } => offered.clone(),
                Kind::Tick { value, .. } => vec![value.clone()],
                Kind::Typed(_) | Kind::Hidden(_) | Kind::Button { .. } => Vec::new(),
            })
            .collect()
    }

    /// Types into a field, chooses from a list, or ticks the box or button of that value.
    pub fn set(mut self, name: &str, value: &str) -> Result<Self, StoryError> {
        let mut set = false;
        for control in self.controls.iter_mut().filter(|control| control.name == name) {
            match &mut control.kind {
                Kind::Typed(text) => {
                    value.clone_into(text);
                    set = true;
                }
                Kind::List { chosen, offered } if offered.iter().any(|one| one == value) => {
                    *chosen = Some(value.to_owned());
                    set = true;
                }
                Kind::Tick { value: own, ticked, radio } => {
                    if own == value {
                        *ticked = true;
                        set = true;
                    } else if *radio {
                        *ticked = false;
                    }
                }
                Kind::List { .. } | Kind::Hidden(_) | Kind::Button { .. } => {}
            }
        }
        if set { Ok(self) } else { Err(self.no_field(name, value)) }
    }

    /// Takes the tick out of a box.
    pub fn clear(mut self, name: &str) -> Result<Self, StoryError> {
        let mut cleared = false;
        for control in self.controls.iter_mut().filter(|control| control.name == name) {
            if let Kind::Tick { ticked, radio: false, .. } = &mut control.kind {
                *ticked = false;
                cleared = true;
            }
        }
        if cleared { Ok(self) } else { Err(self.no_field(name, "")) }
    }

    /// Puts any value into any field, as only somebody with ill intent can.
    #[must_use]
    pub fn forge(mut self, name: &str, value: &str) -> Self {
        self.controls.retain(|control| control.name != name);
        let kind = Kind::Hidden(value.to_owned());
        self.controls.push(Control { name: name.to_owned(), kind });
        self
    }

    /// Leaves a field out, hidden or not.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.controls.retain(|control| control.name != name);
        self
    }

    /// Presses the button with this label, or with this name or value.
    pub fn press(mut self, wanted: &str) -> Result<Self, StoryError> {
        let found = self.controls.iter().find_map(|control| match &control.kind {
            Kind::Button { value, label, action }
                if label == wanted || control.name == wanted || value == wanted =>
            {
                Some((control.name.clone(), value.clone(), action.clone()))
            }
            _ => None,
        });
        let Some((name, value, action)) = found else {
            return Err(StoryError::NoButton { wanted: wanted.to_owned(), there: self.buttons() });
        };
        if let Some(action) = action {
            self.action = action;
        }
        self.pressed = (!name.is_empty()).then_some((name, value));
        Ok(self)
    }

    /// The labels of its buttons.
    #[must_use]
    pub fn buttons(&self) -> Vec<String> {
        let label = |control: &Control| match &control.kind {
            Kind::Button { label, .. } => Some(label.clone()),
            _ => None,
        };
        self.controls.iter().filter_map(label).collect()
    }

    /// What is sent, in the order of the page.
    #[must_use]
    pub fn fields(&self) -> Vec<(String, String)> {
        let value = |control: &Control| match &control.kind {
            Kind::Typed(text) | Kind::Hidden(text) => Some(text.clone()),
            Kind::List { chosen, .. } => chosen.clone(),
            Kind::Tick { value, ticked, .. } => ticked.then(|| value.clone()),
            Kind::Button { .. } => None,
        };
        let named = self.controls.iter().filter(|control| !control.name.is_empty());
        named
            .filter_map(|control| Some((control.name.clone(), value(control)?)))
            .chain(self.pressed.clone())
            .collect()
    }

    fn no_field(&self, name: &str, value: &str) -> StoryError {
        let mut there: Vec<String> =
            self.controls.iter().map(|control| control.name.clone()).collect();
        let offered = self.offered(name);
        if !offered.is_empty() {
            there = offered;
        }
        StoryError::NoField { name: name.to_owned(), value: value.to_owned(), there }
    }
}

fn control(element: &Element<'_>) -> Option<Control> {
    if element.attribute("disabled").is_some() {
        return None;
    }
    let name = element.attribute("name").unwrap_or_default().to_owned();
    let value = || element.attribute("value").unwrap_or_default().to_owned();
    let action = || element.attribute("formaction").map(str::to_owned);
    let kind = match (element.name(), element.attribute("type").unwrap_or_default()) {
        ("input", "hidden") => Kind::Hidden(value()),
        ("input", kind @ ("checkbox" | "radio")) => Kind::Tick {
            value: element.attribute("value").unwrap_or("on").to_owned(),
            ticked: element.attribute("checked").is_some(),
            radio: kind == "radio",
        },
        ("input", "submit") => Kind::Button { value: value(), label: value(), action: action() },
        ("input", "button" | "reset" | "image" | "file") => return None,
        ("input", _) => Kind::Typed(value()),
        ("textarea", _) => {
            let text = element.raw_text();
            Kind::Typed(text.strip_prefix('\n').unwrap_or(&text).to_owned())
        }
        ("select", _) => list(element),
        ("button", "button" | "reset") => return None,
        ("button", _) => Kind::Button { value: value(), label: element.text(), action: action() },
        _ => return None,
    };
    Some(Control { name, kind })
}

fn list(select: &Element<'_>) -> Kind {
    let options: Vec<Element<'_>> = select
        .inside()
        .filter(|option| option.name() == "option" && option.attribute("disabled").is_none())
        .collect();
    let value = |option: &Element<'_>| {
        option.attribute("value").map_or_else(|| option.text(), str::to_owned)
    };
    let chosen = options.iter().find(|option| option.attribute("selected").is_some());
    Kind::List {
        chosen: chosen.or(options.first()).map(value),
        offered: options.iter().map(value).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Document, Form};

    const PAGE: &str = "<form id=find action='/tools/vehicle-lookup/runs' method=post>
        <input type=hidden name=csrf value=abc><label>Plate <input name=plate value=''></label>
        <select name=state><option value=''>Any<option value=NB selected>Nebula</option>
        <option>IA</option></select>
        <textarea name=reason>\nfirst</textarea><input type=checkbox name=notice>
        <input type=radio name=purpose value=C checked><input type=radio name=purpose value=A>
        <input name=dead disabled value=1><button name=do value=run>Search</button>
        <button formaction=/other>Clear <b>all</b></button></form>
        <input form=find name=outside value=2><form action=/sign-out?x method=POST></form>";

    fn pairs(form: &Form) -> String {
        let fields = form.fields();
        fields.iter().map(|(name, value)| format!("{name}={value} ")).collect()
    }

    #[test]
    fn a_form_sends_what_a_browser_would() {
        let form = Form::find(&Document::parse(PAGE), "find").unwrap();
        assert!(form.post);
        assert_eq!(pairs(&form), "csrf=abc plate= state=NB reason=first purpose=C outside=2 ");
        let form = form.set("plate", "7KDR419").unwrap().set("purpose", "A").unwrap();
        let form = form.set("notice", "on").unwrap().set("state", "IA").unwrap();
        let form = form.press("Search").unwrap();
        assert_eq!(
            pairs(&form),
            "csrf=abc plate=7KDR419 state=IA reason=first notice=on purpose=A outside=2 do=run "
        );
        assert_eq!(form.action, "/tools/vehicle-lookup/runs");
        assert_eq!(form.clear("notice").unwrap().press("Clear all").unwrap().action, "/other");
    }

    #[test]
    fn what_is_not_on_the_page_cannot_be_used() {
        let page = Document::parse(PAGE);
        let form = || Form::find(&page, "/tools/vehicle-lookup/runs").unwrap();
        assert_eq!(
            form().set("state", "ZZ").unwrap_err().to_string(),
            "no field `state` that takes `ZZ`; there is: , NB, IA"
        );
        assert!(form().set("csrf", "forged").is_err(), "hidden fields are not typed into");
        assert!(form().set("dead", "2").is_err());
        assert_eq!(
            form().press("Delete").unwrap_err().to_string(),
            "no button `Delete`; there is: Search, Clear all"
        );
        assert_eq!(
            Form::find(&page, "export").unwrap_err().to_string(),
            "no form `export`; there is: find, /sign-out?x"
        );
        assert!(Form::find(&page, "/sign-out").is_ok());
    }

    #[test]
    fn ill_intent_can_send_anything() {
        let form = Form::find(&Document::parse(PAGE), "find").unwrap();
        let form = form.forge("csrf", "wrong").without("plate").forge("extra", "1");
        assert_eq!(pairs(&form), "state=NB reason=first purpose=C outside=2 csrf=wrong extra=1 ");
    }
}
