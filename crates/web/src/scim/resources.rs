//! The requests themselves: discovery, reading, lists, changes.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use identity::directory::Resource;
use identity::scim::{
    Document, Filter, ListQuery, Patch, Projection, ResourceType, list_response,
    schema as schemas_of,
};
use ledger::{Event, Record};
use serde_json::Value;

use super::Client;
use super::answers::{Refused, json};
use super::changes::{Change, Which, names, whole};
use crate::agency::Agency;
use crate::app::Shared;

type Answered = Result<Response, Refused>;
type Body = Result<Bytes, BytesRejection>;

impl Agency {
    /// The address of `/scim/v2`, as directories know it.
    fn scim_base(&self) -> String {
        format!("{}/scim/v2", self.config.listen.public_url)
    }
}

pub(super) async fn service_provider_config(State(agency): State<Shared>) -> Response {
    json(StatusCode::OK, &schemas_of::service_provider_config(&agency.scim_base()))
}

pub(super) async fn resource_types(State(agency): State<Shared>) -> Response {
    all(&schemas_of::resource_types(&agency.scim_base()))
}

pub(super) async fn schemas(State(agency): State<Shared>) -> Response {
    all(&schemas_of::schemas(&agency.scim_base()))
}

pub(super) async fn resource_type(
    State(agency): State<Shared>,
    Path(name): Path<String>,
) -> Answered {
    one(&schemas_of::resource_types(&agency.scim_base()), &name)
}

pub(super) async fn schema(State(agency): State<Shared>, Path(urn): Path<String>) -> Answered {
    one(&schemas_of::schemas(&agency.scim_base()), &urn)
}

fn all(elements: &[Value]) -> Response {
    json(StatusCode::OK, &list_response(elements, elements.len(), 1))
}

fn one(elements: &[Value], id: &str) -> Answered {
    let named = |element: &&Value| {
        let found = element.get("id").and_then(Value::as_str);
        found.is_some_and(|found| found.eq_ignore_ascii_case(id))
    };
    let found = elements.iter().find(named).ok_or(Refused::NotFound)?;
    Ok(json(StatusCode::OK, found))
}

fn kind_of(segment: &str) -> Result<ResourceType, Refused> {
    let mut kinds = ResourceType::ALL.into_iter();
    let found = kinds.find(|kind| kind.endpoint().trim_start_matches('/') == segment);
    found.ok_or(Refused::NotFound)
}

fn pairs(query: Option<String>) -> Vec<(String, String)> {
    let query = query.unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

pub(super) async fn list(
    State(agency): State<Shared>,
    Extension(client): Extension<Client>,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
) -> Answered {
    let kind = kind_of(&kind)?;
    let query = ListQuery::from_pairs(kind, &pairs(query))?;
    let (page, total) = client.found(&agency, kind, &query).await?;
    client.shows(&agency, words(kind), query.filter.as_ref(), &page).await?;
    Ok(json(StatusCode::OK, &list_response(&page, total, query.start_index)))
}

pub(super) async fn search(
    State(agency): State<Shared>,
    Extension(client): Extension<Client>,
    Path(kind): Path<String>,
    body: Body,
) -> Answered {
    let kind = kind_of(&kind)?;
    let query = ListQuery::from_search(kind, &whole(body)?)?;
    let (page, total) = client.found(&agency, kind, &query).await?;
    client.shows(&agency, words(kind), query.filter.as_ref(), &page).await?;
    Ok(json(StatusCode::OK, &list_response(&page, total, query.start_index)))
}

/// A search of people and groups together. A filter on what one of them lacks finds none of them.
pub(super) async fn search_all(
    State(agency): State<Shared>,
    Extension(client): Extension<Client>,
    body: Body,
) -> Answered {
    let body = whole(body)?;
    let queries = ResourceType::ALL.map(|kind| (kind, ListQuery::from_search(kind, &body)));
    let (mut found, mut asked, mut refused) = (Vec::new(), None, None);
    for (kind, query) in queries {
        match query {
            Ok(query) => {
                found.extend(client.matching(&agency, kind, &query).await?);
                asked = Some(query);
            }
            Err(error) => refused = Some(error),
        }
    }
    match (asked, refused) {
        (Some(query), _) => {
            let (page, total) = query.page(found);
            client.shows(&agency, "people and groups", query.filter.as_ref(), &page).await?;
            Ok(json(StatusCode::OK, &list_response(&page, total, query.start_index)))
        }
        (None, Some(error)) => Err(error.into()),
        (None, None) => Err(Refused::NotFound),
    }
}

fn words(kind: ResourceType) -> &'static str {
    match kind {
        ResourceType::User => "people",
        ResourceType::Group => "groups",
    }
}

impl Client {
    /// Puts on record what is about to be shown: how many, a digest of them, and which attributes were asked of.
    async fn shows(
        &self,
        agency: &Agency,
        what: &str,
        filter: Option<&Filter>,
        shown: &[Value],
    ) -> Result<(), Refused> {
        let attributes = filter.map(Filter::attributes).unwrap_or_default();
        let attributes = attributes.into_iter().collect::<Vec<_>>().join(", ");
        let event = Event::Listed {
            by: format!("directory {}", self.0.id),
            what: match attributes.as_str() {
                "" => what.to_owned(),
                attributes => format!("{what} by {attributes}"),
            },
            count: u64::try_from(shown.len()).unwrap_or(u64::MAX),
            digest: hex::encode(ledger::digest(Value::from(shown).to_string().as_bytes())),
        };
        agency.ledger.append(Record::platform(event)).await?;
        Ok(())
    }

    async fn found(
        &self,
        agency: &Agency,
        kind: ResourceType,
        query: &ListQuery,
    ) -> Result<(Vec<Value>, usize), Refused> {
        Ok(query.page(self.matching(agency, kind, query).await?))
    }

    /// What a query finds, cut to what it wants to see.
    async fn matching(
        &self,
        agency: &Agency,
        kind: ResourceType,
        query: &ListQuery,
    ) -> Result<Vec<serde_json::Map<String, Value>>, Refused> {
        let (base, filter) = (agency.scim_base(), query.filter.as_ref());
        let candidates = self.directory(agency).list(kind, filter).await?;
        let shown = candidates.iter().map(|resource| resource.shown(&base));
        let found = shown.filter(|shown| filter.is_none_or(|filter| filter.matches(shown)));
        Ok(found.map(|shown| query.projection.cut(kind, shown)).collect())
    }
}

pub(super) async fn read(
    State(agency): State<Shared>,
    Extension(client): Extension<Client>,
    Path((kind, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answered {
    let kind = kind_of(&kind)?;
    let projection = Projection::from_pairs(kind, &pairs(query))?;
    let found = client.directory(&agency).find(kind, &id).await?.ok_or(Refused::NotFound)?;
    let tag = found.meta("").etag();
    let seen = Value::Object(found.shown(&agency.scim_base()));
    client.shows(&agency, words(kind), None, &[seen]).await?;
    if text(&headers, &header::IF_NONE_MATCH).is_some_and(|wanted| names(wanted, &tag)) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    Ok(shown(&agency, StatusCode::OK, &found, &projection))
}

pub(super) async fn create(
    State(agency): State<Shared>,
    Extension(client): Extension<Client>,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Answered {
    let kind = kind_of(&kind)?;
    let change = Change::Create(Document::read(kind, &whole(body)?)?);
    let which = Which { kind, id: None, if_match: None };
    client.changed(&agency, which, query, &change, StatusCode::CREATED).await
}

pub(super) async fn replace(
    State(agency): State<Shared>,
    Extension(client): Extension<Client>,
    Path((kind, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answered {
    let kind = kind_of(&kind)?;
    let change = Change::Replace(Document::read(kind, &whole(body)?)?);
    let if_match = text(&headers, &header::IF_MATCH);
    let which = Which { kind, id: Some(&id), if_match };
    client.changed(&agency, which, query, &change, StatusCode::OK).await
}

pub(super) async fn patch(
    State(agency): State<Shared>,
    Extension(client): Extension<Client>,
    Path((kind, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answered {
    let kind = kind_of(&kind)?;
    let change = Change::Patch(Patch::read(kind, &whole(body)?)?);
    let if_match = text(&headers, &header::IF_MATCH);
    let which = Which { kind, id: Some(&id), if_match };
    client.changed(&agency, which, query, &change, StatusCode::OK).await
}

pub(super) async fn delete(
    State(agency): State<Shared>,
    Extension(client): Extension<Client>,
    Path((kind, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answered {
    let kind = kind_of(&kind)?;
    let if_match = text(&headers, &header::IF_MATCH);
    let which = Which { kind, id: Some(&id), if_match };
    client.change(&agency, which, &Change::Delete).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl Client {
    /// Makes a change, and shows what it made.
    async fn changed(
        &self,
        agency: &Agency,
        which: Which<'_>,
        query: Option<String>,
        change: &Change,
        status: StatusCode,
    ) -> Answered {
        let projection = Projection::from_pairs(which.kind, &pairs(query))?;
        let now = self.change(agency, which, change).await?.ok_or(Refused::NotFound)?;
        Ok(shown(agency, status, &now, &projection))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn shown(
    agency: &Agency,
    status: StatusCode,
    resource: &Resource,
    projection: &Projection,
) -> Response {
    let base = agency.scim_base();
    let cut = projection.cut(resource.document.kind(), resource.shown(&base));
    let mut response = json(status, &Value::Object(cut));
    let meta = resource.meta(&base);
    let mut add = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    add(header::ETAG, &meta.etag());
    if status == StatusCode::CREATED {
        add(header::LOCATION, &meta.location);
    }
    response
}
