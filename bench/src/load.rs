//! A closed-loop load generator: so many connections, each with one request under way, for so long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;

use crate::cpu;
use crate::limits::percentile;

/// One side of a comparison.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    pub(crate) name: String,
    pub(crate) url: Uri,
    pub(crate) cookie: Option<String>,
    /// A form; `{key}` becomes one of `keys`, in turn.
    pub(crate) body: String,
    pub(crate) keys: Arc<Vec<String>>,
    /// What every answer must contain, so that a quick refusal does not count as speed.
    pub(crate) expect: String,
    /// The server's process, for its CPU time.
    pub(crate) pid: Option<u32>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    pub(crate) requests: u32,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// The server's user and system time for each request, in microseconds; absent without a pid.
    pub(crate) server_cpu_us: Option<f64>,
    /// Cores that neither this process nor the server used while others did.
    pub(crate) foreign_cores: f64,
}

/// Runs one side for `length` with `connections`.
///
/// # Errors
/// Any answer that is not 200 or lacks what is expected: a figure with failures in it says nothing.
pub(crate) async fn run(
    side: &Side,
    connections: usize,
    length: Duration,
) -> anyhow::Result<Sample> {
    let next = Arc::new(AtomicUsize::new(0));
    let cpu = cpu::Before::now(side.pid)?;
    let started = Instant::now();
    let workers: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(work(side.clone(), Arc::clone(&next), started + length)))
        .collect();
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.await.context("a connection's task")??);
    }
    let elapsed = started.elapsed();
    let used = cpu.used()?;
    let requests = u32::try_from(times.len()).context("counting")?;
    anyhow::ensure!(requests > 0, "{}: no request was answered in {length:?}", side.name);
    times.sort();
    Ok(Sample {
        requests,
        per_second: f64::from(requests) / elapsed.as_secs_f64(),
        p50_ms: percentile(&times, 50),
        p99_ms: percentile(&times, 99),
        server_cpu_us: used.server.map(|time| time.as_secs_f64() * 1e6 / f64::from(requests)),
        foreign_cores: used.foreign.as_secs_f64() / elapsed.as_secs_f64(),
    })
}

async fn work(side: Side, next: Arc<AtomicUsize>, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut sender = connect(&side.url).await?;
    let mut times = Vec::new();
    while Instant::now() < until {
        let turn = next.fetch_add(1, Ordering::Relaxed);
        let request = request(&side, turn)?;
        let before = Instant::now();
        if sender.ready().await.is_err() {
            sender = connect(&side.url).await?;
        }
        let answer = sender.send_request(request).await.context("sending a request")?;
        let status = answer.status();
        let body = answer.into_body().collect().await.context("reading an answer")?.to_bytes();
        times.push(before.elapsed());
        let wanted = side.expect.as_bytes();
        let found = wanted.is_empty() || body.windows(wanted.len()).any(|part| part == wanted);
        anyhow::ensure!(
            status == StatusCode::OK && found,
            "{}: {status} without `{}`: {}",
            side.name,
            side.expect,
            String::from_utf8_lossy(body.get(..600).unwrap_or(&body))
        );
    }
    Ok(times)
}

async fn connect(url: &Uri) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let authority = url.authority().context("the URL names no host")?;
    let host = authority.host();
    anyhow::ensure!(
        matches!(host, "127.0.0.1" | "localhost"),
        "load goes to loopback alone, not to {host}"
    );
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await;
    let stream = stream.with_context(|| format!("connecting to {authority}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.context("speaking HTTP")?;
    tokio::spawn(connection);
    Ok(sender)
}

fn request(side: &Side, turn: usize) -> anyhow::Result<Request<Full<Bytes>>> {
    let key = side.keys.get(turn % side.keys.len().max(1)).map_or("", String::as_str);
    let authority = side.url.authority().context("the URL names no host")?.as_str();
    let path = side.url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, authority)
        .header(header::ORIGIN, format!("http://{authority}"))
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(cookie) = &side.cookie {
        request = request.header(header::COOKIE, cookie);
    }
    let body = side.body.replace("{key}", key);
    request.body(Full::new(Bytes::from(body))).context("making a request")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn only_right_answers_count_and_load_stays_on_loopback() {
        let folder = std::env::temp_dir().join(format!("bench-test-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let database = folder.join("floor.db");
        let records = rusqlite::Connection::open(&database).unwrap();
        let rows = (0..50).map(|n| format!("('V-{n}','P{n}','NB',1999,'Kia','Rio','red','clear')"));
        let rows = rows.collect::<Vec<_>>().join(",");
        records
            .execute_batch(&format!(
                "create table vehicles (id, plate, state, year, make, model, colour, status);
                 insert into vehicles values {rows}"
            ))
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(crate::floor::serve(listener, database));
        let side = Side {
            name: "floor".to_owned(),
            url: format!("http://{address}/floor").parse().unwrap(),
            cookie: None,
            body: "plate={key}".to_owned(),
            keys: Arc::new((0..50).map(|n| format!("P{n}")).collect()),
            expect: "<td>V-".to_owned(),
            pid: Some(std::process::id()),
        };
        let length = Duration::from_millis(300);
        let sample = run(&side, 2, length).await.unwrap();
        assert!(sample.requests > 10 && sample.p99_ms >= sample.p50_ms, "{sample:?}");
        assert!(sample.server_cpu_us.is_some());

        let unknown = Side { keys: Arc::new(vec!["NOSUCH".to_owned()]), ..side.clone() };
        let error = run(&unknown, 2, length).await.unwrap_err().to_string();
        assert!(error.starts_with("floor: 200 OK without `<td>V-`"), "{error}");
        let lost =
            Side { url: format!("http://{address}/nowhere").parse().unwrap(), ..side.clone() };
        assert!(run(&lost, 1, length).await.unwrap_err().to_string().contains("404"));
        let abroad = Side { url: "http://192.0.2.1/floor".parse().unwrap(), ..side };
        let error = run(&abroad, 1, length).await.unwrap_err().to_string();
        assert_eq!(error, "load goes to loopback alone, not to 192.0.2.1");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
