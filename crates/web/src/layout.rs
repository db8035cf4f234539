//! The frame of every page: handling strip, top bar, side navigation, content, live region, footer.
//!
//! Pages hand over their content as [`Markup`]; text in it is escaped by `maud`.

use maud::{DOCTYPE, Markup, html};

use crate::assets;

/// What the frame needs to know besides the content.
pub struct Frame<'a> {
    /// The agency's name.
    pub agency: &'a str,
    /// The handling line of the strip.
    pub handling: &'a str,
    /// A line that says this is a demonstration; empty otherwise.
    pub demonstration: &'a str,
    /// Title of the page, also its only `h1`.
    pub title: &'a str,
    /// A sentence under the title; may be empty.
    pub lede: &'a str,
    /// Who is signed in, if anybody is.
    pub person: Option<Person<'a>>,
    /// What concerns everybody on every page just now, such as that nothing is released; may be empty.
    pub notice: &'a str,
    /// What must be seen to, for those who see to it.
    pub alarms: Vec<String>,
    /// The path of the current page, to mark it in the navigation.
    pub path: &'a str,
    /// The program's version and its cryptographic module.
    pub version: &'a str,
}

/// The signed-in person, as the frame shows them.
pub struct Person<'a> {
    /// Name.
    pub name: &'a str,
    /// Job functions, in words.
    pub functions: String,
    /// Until when the session lasts if nothing more is done.
    pub until: String,
    /// The session's CSRF token.
    pub csrf: &'a str,
    /// Whether they have a page about their session.
    pub own_page: bool,
    /// The navigation that this person has a use for, in groups.
    pub navigation: Vec<Group>,
}

/// A titled group of links.
pub struct Group {
    /// Its title.
    pub title: &'static str,
    /// Its links.
    pub links: Vec<Link>,
}

/// One entry of the side navigation.
pub struct Link {
    /// Where it goes.
    pub href: String,
    /// What it says.
    pub text: String,
}

impl Link {
    /// A link to `href` that says `text`.
    pub fn new(href: &str, text: &str) -> Self {
        Self { href: href.to_owned(), text: text.to_owned() }
    }
}

/// A whole page.
pub fn page(frame: &Frame<'_>, content: &Markup) -> Markup {
    let plain = frame.person.as_ref().is_none_or(|person| person.navigation.is_empty());
    html! {
        (DOCTYPE)
        html lang="en" translate="no" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="google" content="notranslate";
                title { (frame.title) " · " (frame.agency) }
                link rel="icon" type="image/svg+xml" href=(assets::path("favicon.svg"));
                link rel="stylesheet" href=(assets::path("uswds.css"));
                link rel="stylesheet" href=(assets::path("app.css"));
                script src=(assets::path("ui.js")) defer {}
            }
            body {
                a class="usa-skipnav" href="#main" { "Skip to main content" }
                section class="strip" aria-label="Handling notice" {
                    b class="strip__mark" { "CJI" }
                    p {
                        (frame.handling)
                        @if !frame.demonstration.is_empty() { " " strong { (frame.demonstration) } }
                    }
                }
                (top_bar(frame))
                div class=(if plain { "shell shell--plain" } else { "shell" }) {
                    @if let Some(person) = &frame.person {
                        @if !plain { (side_navigation(person, frame.path)) }
                    }
                    main class="content" id="main" tabindex="-1" {
                        p id="live" class="usa-sr-only" role="status" aria-live="polite" {}
                        @for alarm in &frame.alarms { (alert(alarm)) }
                        (head(frame, plain))
                        @if !frame.notice.is_empty() {
                            section class="usa-alert usa-alert--warning" aria-label="Notice" {
                                div class="usa-alert__body" {
                                    p class="usa-alert__text" { (frame.notice) }
                                }
                            }
                        }
                        @if plain { div class="front" { div class="card" { h1 { (frame.title) } (content) } } }
                        @else { (content) }
                    }
                }
                footer class="footer" { span { (frame.version) } }
            }
        }
    }
}

fn alert(alarm: &str) -> Markup {
    html! {
        div class="usa-alert usa-alert--error" data-alarm {
            div class="usa-alert__body" { p class="usa-alert__text" { (alarm) } }
        }
    }
}

fn head(frame: &Frame<'_>, plain: bool) -> Markup {
    html! {
        @if !plain {
            div class="pagehead" {
                div {
                    h1 { (frame.title) }
                    @if !frame.lede.is_empty() { p class="lede" { (frame.lede) } }
                }
            }
        }
    }
}

fn top_bar(frame: &Frame<'_>) -> Markup {
    html! {
        header class="topbar" {
            a class="topbar__brand" href="/" {
                img src=(assets::path("logo.svg")) alt="";
                span {
                    span class="topbar__agency" { (frame.agency) }
                    span class="topbar__product" { "Bailiwick" }
                }
            }
            @if let Some(person) = &frame.person {
                div class="topbar__end" {
                    details class="menu" {
                        summary { span { (person.name) " " small { (person.functions) } } }
                        div class="menu__panel" {
                            dl class="kv kv--tight" {
                                div { dt { "Session ends" } dd { (person.until) } }
                            }
                            @if person.own_page { p { a href="/me" { "My session" } } }
                            form method="post" action="/sign-out" {
                                input type="hidden" name="csrf" value=(person.csrf);
                                button class="usa-button usa-button--outline usa-button--small" type="submit" {
                                    "Sign out"
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn side_navigation(person: &Person<'_>, path: &str) -> Markup {
    html! {
        nav class="sidenav" aria-label="Main" {
            @for group in &person.navigation {
                @if !group.title.is_empty() { p class="sidenav__title" { (group.title) } }
                ul {
                    @for link in &group.links {
                        li {
                            a href=(link.href) aria-current=[(link.href == path).then_some("page")] {
                                (link.text)
                            }
                        }
                    }
                }
            }
        }
    }
}
