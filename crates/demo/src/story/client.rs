//! A browser without a screen: cookies, redirects, forms and the headers that a browser adds.
//!
//! It speaks plain HTTP/1.1 to loopback, one connection a request. It follows 302 and 303 with
//! GET, across agencies and the identity provider; it never posts a form twice. One [`Browser`]
//! is one person's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::story::StoryError;
use crate::story::address::Address;
use crate::story::cookies::{Context, Jar};
use crate::story::form::Form;
use crate::story::html::{Document, Element};

/// The largest answer that is taken: a downloaded parcel.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How many redirects one step may take; a sign-in takes four.
const REDIRECTS_MAX: usize = 10;
/// How long one request may take unless told otherwise, parcels included.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A person's browser.
#[derive(Clone, Debug)]
pub struct Browser {
    /// Its cookies; open for checks and for forging.
    pub jar: Jar,
    /// How long one request may take.
    pub wait_max: Duration,
    /// Where requests to an authority (`host:port`) go instead, as if a proxy chose among equal processes.
    pub through: BTreeMap<String, SocketAddr>,
    agent: String,
}

/// A page, or whatever else a server answered.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it was found, after redirects.
    pub address: Address,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The page as it is read; empty when it isn't HTML.
    pub document: Document,
}

/// A request made by hand, for probes that no browser would make.
#[derive(Clone, Debug)]
pub struct Raw {
    pub method: Method,
    pub address: String,
    /// Headers in addition to `Host`, or in place of what a browser would send.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Whether this browser's cookies go along.
    pub cookies: bool,
}

/// What a navigation starts from.
struct From<'a> {
    page: Option<&'a Page>,
}

impl Browser {
    /// A browser with an empty jar that gives this name in `User-Agent`.
    #[must_use]
    pub fn new(agent: &str) -> Self {
        let (jar, through, agent) = (Jar::default(), BTreeMap::new(), agent.to_owned());
        Self { jar, wait_max: WAIT_MAX, through, agent }
    }

    /// Opens an address as if it had been typed.
    pub async fn open(&mut self, address: &str) -> Result<Page, StoryError> {
        let address = Address::parse(address)?;
        self.navigate(Method::GET, address, None, &From { page: None }).await
    }

    /// Follows the link with this text, or with this address.
    pub async fn follow(&mut self, page: &Page, link: &str) -> Result<Page, StoryError> {
        let address = page.link(link)?;
        self.navigate(Method::GET, address, None, &From { page: Some(page) }).await
    }

    /// Goes to an address from a page, as a link there would.
    pub async fn go(&mut self, page: &Page, link: &str) -> Result<Page, StoryError> {
        let address = page.address.join(link)?;
        self.navigate(Method::GET, address, None, &From { page: Some(page) }).await
    }

    /// Sends a form of a page.
    pub async fn submit(&mut self, page: &Page, form: &Form) -> Result<Page, StoryError> {
        let address = page.address.join(&form.action)?;
        let fields = encode(&form.fields());
        let from = From { page: Some(page) };
        if form.post {
            return self.navigate(Method::POST, address, Some(fields), &from).await;
        }
        let target = format!("{}?{fields}", address.path());
        self.navigate(Method::GET, Address { target, ..address }, None, &from).await
    }

    /// Sends exactly this and gives the answer as it comes, redirects included. Cookies that the
    /// answer sets are not kept.
    pub async fn raw(&self, raw: Raw) -> Result<Page, StoryError> {
        let address = Address::parse(&raw.address)?;
        let mut headers = HeaderMap::new();
        let context = Context { cross_site: false, unsafe_method: raw.method != Method::GET };
        if raw.cookies
            && let Some(line) = self.jar.line(&address, context)
        {
            insert(&mut headers, header::COOKIE, &line)?;
        }
        for (name, value) in &raw.headers {
            insert(&mut headers, HeaderName::from_static(name), value)?;
        }
        self.exchange(raw.method, &address, headers, raw.body.into()).await
    }

    /// Makes a request and follows its redirects.
    async fn navigate(
        &mut self,
        method: Method,
        address: Address,
        fields: Option<String>,
        from: &From<'_>,
    ) -> Result<Page, StoryError> {
        let (mut method, mut address, mut fields) = (method, address, fields);
        // Once a redirect has crossed to another site, what follows stays cross-site.
        let mut relation = from.relation(&address);
        for _ in 0..=REDIRECTS_MAX {
            let headers = self.headers(&method, &address, relation, fields.is_some(), from)?;
            let body = fields.take().unwrap_or_default().into();
            let page = self.exchange(method.clone(), &address, headers, body).await?;
            self.keep_cookies(&page)?;
            let Some(location) =
                page.header("location").filter(|_| (300..400).contains(&page.status))
            else {
                return Ok(page);
            };
            if matches!(page.status, 307 | 308) && method != Method::GET {
                return Err(StoryError::WouldPostAgain { address: address.to_string() });
            }
            let next = address.join(location)?;
            relation = wider(relation, address.relation(&next));
            (method, address) = (Method::GET, next);
        }
        Err(StoryError::TooManyRedirects { address: address.to_string() })
    }

    fn headers(
        &self,
        method: &Method,
        address: &Address,
        relation: &'static str,
        form: bool,
        from: &From<'_>,
    ) -> Result<HeaderMap, StoryError> {
        let mut headers = HeaderMap::new();
        insert(&mut headers, header::USER_AGENT, &self.agent)?;
        insert(&mut headers, header::ACCEPT, "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")?;
        insert(&mut headers, header::ACCEPT_LANGUAGE, "en-US,en;q=0.8")?;
        for (name, value) in [
            ("sec-fetch-site", relation),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("sec-fetch-user", "?1"),
            ("upgrade-insecure-requests", "1"),
        ] {
            insert(&mut headers, HeaderName::from_static(name), value)?;
        }
        if form {
            insert(&mut headers, header::CONTENT_TYPE, "application/x-www-form-urlencoded")?;
        }
        if method != Method::GET {
            insert(&mut headers, header::ORIGIN, &from.origin(address))?;
        }
        let context =
            Context { cross_site: relation == "cross-site", unsafe_method: method != Method::GET };
        if let Some(line) = self.jar.line(address, context) {
            insert(&mut headers, header::COOKIE, &line)?;
        }
        Ok(headers)
    }

    fn keep_cookies(&mut self, page: &Page) -> Result<(), StoryError> {
        for line in page.headers.get_all(header::SET_COOKIE) {
            let line = line.to_str().unwrap_or_default();
            self.jar.take(&page.address, line).map_err(|reason| StoryError::BadCookie {
                name: line.split('=').next().unwrap_or_default().to_owned(),
                reason,
            })?;
        }
        Ok(())
    }

    async fn exchange(
        &self,
        method: Method,
        address: &Address,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Page, StoryError> {
        insert(&mut headers, header::HOST, &address.authority())?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = address
            .target
            .parse()
            .map_err(|_| StoryError::BadAddress { address: address.to_string() })?;
        *request.headers_mut() = headers;
        let instead = self.through.get(&address.authority()).copied();
        let answer = tokio::time::timeout(self.wait_max, send(address, instead, request)).await;
        answer.map_err(|_| StoryError::TimedOut { address: address.to_string() })?
    }
}

/// One request on a connection of its own.
async fn send(
    address: &Address,
    instead: Option<SocketAddr>,
    request: Request<Full<Bytes>>,
) -> Result<Page, StoryError> {
    // Names under `localhost` mean loopback (RFC 6761); the system may not know them.
    let host = if address.host.ends_with("localhost") { "127.0.0.1" } else { &address.host };
    let connected = match instead {
        Some(instead) => TcpStream::connect(instead).await,
        None => TcpStream::connect((host, address.port)).await,
    };
    let stream =
        connected.map_err(|source| StoryError::Connect { address: address.origin(), source })?;
    let failed = |source| StoryError::Exchange { address: address.to_string(), source };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(failed)?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|source| StoryError::Answer { address: address.to_string(), source })?
        .to_bytes();
    connection.abort();
    let is_html = head
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let document = if is_html {
        Document::parse(&String::from_utf8_lossy(&body))
    } else {
        Document::default()
    };
    let status = head.status.as_u16();
    Ok(Page { address: address.clone(), status, headers: head.headers, body, document })
}

impl From<'_> {
    fn relation(&self, address: &Address) -> &'static str {
        self.page.map_or("none", |page| page.address.relation(address))
    }

    /// What a browser puts into `Origin` of a form it posts: the page's referrer policy can make
    /// it `null` (Fetch standard, "append a request `Origin` header").
    fn origin(&self, address: &Address) -> String {
        let Some(page) = self.page else { return "null".to_owned() };
        let same = page.address.relation(address) == "same-origin";
        match page.header("referrer-policy").unwrap_or_default() {
            "no-referrer" => "null".to_owned(),
            "same-origin" if !same => "null".to_owned(),
            _ => page.address.origin(),
        }
    }
}

impl Page {
    /// A header's value, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What a person reads on it.
    #[must_use]
    pub fn text(&self) -> String {
        self.document.text()
    }

    /// Whether this can be read on it.
    #[must_use]
    pub fn says(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    /// The form whose `id` or `action` is `wanted`.
    pub fn form(&self, wanted: &str) -> Result<Form, StoryError> {
        Form::find(&self.document, wanted)
    }

    /// The element with this `id`.
    pub fn element(&self, id: &str) -> Result<Element<'_>, StoryError> {
        self.document.by_id(id).ok_or_else(|| StoryError::NoElement {
            id: id.to_owned(),
            address: self.address.to_string(),
        })
    }

    /// The texts and addresses of its links.
    pub fn links(&self) -> impl Iterator<Item = (String, String)> {
        let link =
            |element: Element<'_>| Some((element.text(), element.attribute("href")?.to_owned()));
        self.document.elements("a").filter_map(link)
    }

    /// Where the link with this text, or else this address, leads.
    pub fn link(&self, wanted: &str) -> Result<Address, StoryError> {
        let by_text = self.links().find(|(text, _)| text == wanted);
        let found = by_text.or_else(|| self.links().find(|(_, href)| href == wanted));
        let (_, href) = found.ok_or_else(|| StoryError::NoLink {
            wanted: wanted.to_owned(),
            there: self.links().map(|(text, _)| text).collect(),
        })?;
        self.address.join(&href)
    }
}

impl Raw {
    /// A form posted by hand, with the headers of an honest page of the same origin.
    pub fn post(address: &str, fields: &[(String, String)]) -> Result<Self, StoryError> {
        Ok(Self {
            method: Method::POST,
            headers: vec![
                ("content-type", "application/x-www-form-urlencoded".to_owned()),
                ("origin", Address::parse(address)?.origin()),
                ("sec-fetch-site", "same-origin".to_owned()),
            ],
            address: address.to_owned(),
            body: encode(fields).into_bytes(),
            cookies: true,
        })
    }

    /// A plain GET.
    #[must_use]
    pub fn get(address: &str) -> Self {
        let address = address.to_owned();
        Self { method: Method::GET, address, headers: Vec::new(), body: Vec::new(), cookies: true }
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), StoryError> {
    let value = HeaderValue::from_str(value)
        .map_err(|_| StoryError::BadHeader { name: name.as_str().to_owned() })?;
    headers.insert(name, value);
    Ok(())
}

/// The further of two relations between pages.
fn wider(one: &'static str, other: &'static str) -> &'static str {
    ["cross-site", "same-site", "same-origin"]
        .into_iter()
        .find(|relation| *relation == one || *relation == other)
        .filter(|_| one != "none")
        .unwrap_or(one)
}

/// `application/x-www-form-urlencoded`, as the URL standard has it.
fn encode(fields: &[(String, String)]) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    pairs.join("&")
}

fn escape(text: &str) -> String {
    // A browser sends the line ends of a form as CR LF.
    let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
            char::from(byte).to_string()
        }
        b' ' => "+".to_owned(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests;
