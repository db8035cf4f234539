//! Downloads that are taken slowly, so that most of them is still to come: for tests of what stops them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use demo::story::client::Browser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What is taken at once, and how long is waited after it: 2 MB/s.
const PIECE_BYTES: usize = 32 * 1024;
const PAUSE: Duration = Duration::from_millis(16);

/// A download under way.
pub(crate) struct Download {
    taken: Arc<AtomicU64>,
    hurry: watch::Sender<bool>,
    task: JoinHandle<Taken>,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    /// With the head.
    pub(crate) bytes: u64,
    pub(crate) last_byte: Instant,
}

impl Download {
    /// Asks for a path with a session's cookie, `__Host-sid=…`, and waits for the first bytes. `base` is that of
    /// an agency's pages on this machine, whatever its name.
    pub(crate) async fn begin(base: &str, cookie: &str, path: &str) -> Self {
        let authority = base.strip_prefix("http://").unwrap();
        let (_, port) = authority.rsplit_once(':').unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
        let socket = TcpSocket::new_v4().unwrap();
        // Little room on this side: what was not taken is still the server's.
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nCookie: {cookie}\r\n\
             Sec-Fetch-Site: same-origin\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut first = vec![0; PIECE_BYTES];
        let size = stream.read(&mut first).await.unwrap();
        assert!(first.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&first[..size]));
        let taken = Arc::new(AtomicU64::new(size as u64));
        let (hurry, mut hurried) = watch::channel(false);
        let counted = taken.clone();
        let task = tokio::spawn(async move {
            let mut last_byte = Instant::now();
            let mut piece = vec![0; PIECE_BYTES];
            // An error is an end too: the server broke off.
            while let Ok(size @ 1..) = stream.read(&mut piece).await {
                last_byte = Instant::now();
                counted.fetch_add(size as u64, Ordering::SeqCst);
                if !*hurried.borrow() {
                    tokio::time::timeout(PAUSE, hurried.wait_for(|it| *it)).await.ok();
                }
            }
            Taken { bytes: counted.load(Ordering::SeqCst), last_byte }
        });
        Self { taken, hurry, task }
    }

    /// How much has been taken until now.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }

    /// Takes all that there still is, without a pause.
    pub(crate) async fn rest(self) -> Taken {
        self.hurry.send_replace(true);
        self.task.await.unwrap()
    }
}

/// The cookie of a browser's session at an agency.
pub(crate) fn cookie_of(browser: &Browser, base: &str) -> String {
    let authority = base.strip_prefix("http://").unwrap();
    let host = authority.split_once(':').unwrap().0;
    format!("__Host-sid={}", browser.jar.value(host, "__Host-sid").unwrap())
}

/// What a person has under way: something that streams, and a download beside it.
pub(crate) struct UnderWay([Download; 2]);

impl UnderWay {
    /// Gives it when bytes have flowed for a while.
    pub(crate) async fn begin(base: &str, cookie: &str, path: &str) -> Self {
        let both =
            [Download::begin(base, cookie, path).await, Download::begin(base, cookie, path).await];
        tokio::time::sleep(Duration::from_millis(200)).await;
        for one in &both {
            let taken = one.taken();
            let flows = taken > 100_000 && taken < crate::film::BYTES as u64 / 2;
            assert!(flows, "the bytes were flowing: {taken}");
        }
        Self(both)
    }

    /// As [`UnderWay::stopped`], where nobody tells of it and the server looks by itself. Until it has looked, no more
    /// is taken than before: whoever takes faster has the whole.
    pub(crate) async fn stopped_by_looking(self, told: Instant, by: &str) {
        tokio::time::sleep(2 * web::live::LOOK_EVERY).await;
        self.stopped(told, by).await;
    }

    /// Takes what there still is, and says how long after `told` the last byte came: in under a second (issue 4).
    #[expect(clippy::print_stdout, reason = "how fast the bytes stopped is printed")]
    pub(crate) async fn stopped(self, told: Instant, by: &str) {
        for (what, download) in ["a stream", "a download"].into_iter().zip(self.0) {
            let taken = download.rest().await;
            let after = taken.last_byte.saturating_duration_since(told);
            println!("{by}: the last byte of {what} came {} ms later", after.as_millis());
            let whole = crate::film::BYTES as u64;
            assert!(taken.bytes < whole, "{by}: {what} went on to its end: {}", taken.bytes);
            assert!(after < Duration::from_secs(1), "{by}: {what}: {after:?}");
        }
    }
}
