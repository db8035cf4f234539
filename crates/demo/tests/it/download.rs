//! A download that is taken slowly, so that most of it is still to come: for tests of what stops it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use demo::story::Seat;
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
    /// Asks for a path of the seat's agency with the seat's cookies, and waits for the first bytes.
    pub(crate) async fn begin(seat: &Seat, path: &str) -> Self {
        let authority = seat.base.strip_prefix("http://").unwrap();
        let address: SocketAddr = authority.parse().unwrap();
        let host = address.ip().to_string();
        let token = seat.browser.jar.value(&host, "__Host-sid").unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        // Little room on this side: what was not taken is still the server's.
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nCookie: __Host-sid={token}\r\n\
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
