//! The endpoint without controls: the same HTTP server, the same database and the same query as a tool of
//! Bailiwick's, but no sign-in, no policy, no ledger. What the gateway is measured against.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use axum::Router;
use axum::extract::{RawForm, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::post;
use rusqlite::{Connection, OpenFlags};

const CONNECTIONS: usize = 4;
const ROWS_MAX: u32 = 26;

#[derive(Clone)]
struct Pool {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Pool {
    fn with<T>(
        &self,
        deed: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let connection = match idle {
            Some(connection) => connection,
            None => Connection::open_with_flags(&*self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
        };
        let result = deed(&connection);
        if let Ok(mut idle) = self.idle.lock()
            && idle.len() < CONNECTIONS
        {
            idle.push(connection);
        }
        result
    }
}

/// Serves `POST /floor` (`plate=…`), which answers a page with a table, until the process ends.
pub(crate) async fn serve(listener: tokio::net::TcpListener, path: PathBuf) -> anyhow::Result<()> {
    let pool = Pool { path: Arc::new(path), idle: Arc::default() };
    let router = Router::new().route("/floor", post(search)).with_state(pool);
    axum::serve(listener, router).await.context("serving the floor")
}

async fn search(State(pool): State<Pool>, RawForm(form): RawForm) -> Response {
    let form = String::from_utf8_lossy(&form).into_owned();
    let plate =
        form.split('&').find_map(|pair| pair.strip_prefix("plate=")).unwrap_or_default().to_owned();
    let rows =
        tokio::task::spawn_blocking(move || pool.with(|connection| table(connection, &plate)))
            .await;
    match rows {
        Ok(Ok(rows)) => Html(rows).into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn table(connection: &Connection, plate: &str) -> rusqlite::Result<String> {
    let mut query = connection.prepare_cached(
        "select id, plate, state, year, make, model, colour, status from vehicles
         where plate = ? order by plate limit ?",
    )?;
    let mut rows = query.query(rusqlite::params![plate, ROWS_MAX])?;
    let mut html = String::from("<!doctype html><title>Vehicles</title><table><tbody>");
    while let Some(row) = rows.next()? {
        html.push_str("<tr>");
        for column in 0..8 {
            let cell = match row.get_ref(column)? {
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                _ => String::new(),
            };
            html.push_str("<td>");
            html.push_str(&cell.replace('&', "&amp;").replace('<', "&lt;"));
            html.push_str("</td>");
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table>");
    Ok(html)
}
