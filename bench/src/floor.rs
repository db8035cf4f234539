//! The endpoint without controls: the same HTTP server, the same database and the same query as a tool of
//! Bailiwick's, but no sign-in, no policy, no ledger. What the gateway is measured against.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use axum::Router;
use axum::extract::{RawForm, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::post;
use rusqlite::{Connection, OpenFlags};

const VEHICLES: u32 = 50_000;
const CONNECTIONS: usize = 4;
const ROWS_MAX: u32 = 26;

/// The same made-up plates on every machine.
pub(crate) fn plate(number: u32) -> String {
    // Spread over the alphabet by a multiplication; a few may occur twice, as in life.
    let mixed = number.wrapping_mul(2_654_435_761) % 17_576_000;
    let letter = |place: u32| char::from(b'A' + u8::try_from(place % 26).unwrap_or_default());
    let letters = mixed / 1000;
    format!(
        "{}{}{}{:03}{}",
        letter(letters),
        letter(letters / 26),
        letter(letters / 676),
        mixed % 1000,
        number % 10
    )
}

/// A database of vehicles at `path`, made when it is not there.
pub(crate) fn database(path: &Path) -> anyhow::Result<()> {
    if path.is_file() {
        return Ok(());
    }
    let making = path.with_extension("making");
    if making.exists() {
        std::fs::remove_file(&making)?;
    }
    let mut connection = Connection::open(&making).context("making the database")?;
    connection.execute_batch(
        "create table vehicles (id text primary key, plate text, state text, year integer, make text,
         model text, colour text, vin text, owner_id text, status text);
         create index vehicles_plate on vehicles (plate)",
    )?;
    let all = connection.transaction()?;
    {
        let mut insert =
            all.prepare("insert into vehicles values (?,?,'NB',?,?,?,?,?,?,'clear')")?;
        for number in 0..VEHICLES {
            let pick = |words: &[&'static str], salt: u32| {
                let place = number.wrapping_mul(salt) as usize % words.len();
                words.get(place).copied().unwrap_or_default()
            };
            insert.execute(rusqlite::params![
                format!("V-{number:06}"),
                plate(number),
                1995 + number % 30,
                pick(&["Subaru", "Ford", "Toyota", "Honda", "Kia"], 7),
                pick(&["Outback", "F-150", "RAV4", "Civic", "Telluride"], 11),
                pick(&["green", "white", "silver", "black", "red"], 13),
                format!("1BWK{number:013}"),
                format!("P-{:06}", number % 40_000),
            ])?;
        }
    }
    all.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    std::fs::rename(&making, path).context("putting the database in its place")
}

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
