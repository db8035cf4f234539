//! The sender's side of the protocol: offer, ask what is missing, send it, ask for the receipt.
//!
//! Invariant: every step can be repeated. A broken connection loses at most the parts that were under
//! way; the next attempt asks what is missing and goes on from there.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use parcel::{part_path, tag_files};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use uuid::Uuid;
use wire::{Client, Connection, Egress, Outgoing, Reply, Target};

use crate::error::{ExchangeError, store};
use crate::model::{ExportRow, SealedFacts};
use crate::progress::Phase;
use crate::protocol::{
    ANSWER_BYTES_MAX, Answer, AnswerState, Fault, JSON, LedgerPlace, Offer, PART, PROFILE,
    REPR_DIGEST, ROOT, Refusal, numbers, repr_digest,
};
use crate::{CertificateUse, Exchange, Partner};

/// Bytes that a part is read and sent by.
const PIECE_BYTES: usize = 256 * 1024;
/// Pieces that wait for the line.
const PIECES_AHEAD: usize = 4;
/// The most rounds of "what is missing" in one attempt.
const ROUNDS_MAX: usize = 3;
/// How long, in all, one attempt waits for the partner to verify.
const VERIFY_ASKS_MAX: usize = 120;
const VERIFY_PAUSE: Duration = Duration::from_millis(500);

/// What an attempt came to.
pub(crate) enum Pushed {
    Answered(Answer),
    /// The offer itself did not hold; there is no exchange at the partner's.
    Refused(Refusal),
}

/// An offer, and where the parcel is.
pub(crate) struct Offered {
    exchange: Uuid,
    folder: PathBuf,
    parts: Arc<Vec<[u8; 32]>>,
    bytes: u64,
    pub(crate) json: Bytes,
}

impl Exchange {
    /// Puts the offer together from the parcel in the store, which must still be the sealed one.
    pub(crate) async fn offer(
        &self,
        row: &ExportRow,
        exchange: Uuid,
        id: Uuid,
        number: u64,
        sealed: &SealedFacts,
    ) -> Result<Offered, ExchangeError> {
        let ledger = &self.0.setup.ledger;
        let delivery = &row.details.delivery;
        let unsent = || ExchangeError::NoSuch { what: "record of the sending" };
        let place = LedgerPlace {
            entry: delivery.sent_entry.ok_or_else(unsent)?,
            leaf: delivery.sent_leaf.clone().ok_or_else(unsent)?,
            checkpoint: ledger.checkpoint().map_err(ExchangeError::LedgerRead)?,
        };
        let folder = self.0.store.sent(id);
        let here = folder.clone();
        let trust = self.own_trust();
        let read = move || {
            let parcel =
                parcel::Parcel::announced(&here, &trust).map_err(ExchangeError::Refused)?;
            let digest = hex::encode(parcel.digest());
            let mut files = BTreeMap::new();
            for path in tag_files(&here) {
                let bytes = std::fs::read(here.join(path)).map_err(store("read a parcel"))?;
                files.insert(path.to_owned(), BASE64.encode(bytes));
            }
            Ok::<_, ExchangeError>((parcel.part_digests().to_vec(), digest, files))
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(|_| ExchangeError::Stopped)?;
        let (parts, digest, files) = read?;
        if digest != sealed.digest {
            return Err(ExchangeError::Protocol { what: "a parcel in the store that is another" });
        }
        let offer = Offer {
            profile: PROFILE.to_owned(),
            exchange,
            number,
            parcel: id,
            digest,
            sender: self.0.setup.agency.ori.clone(),
            recipient: row.partner.clone(),
            agreement: row.agreement.clone(),
            ledger: place,
            expires: self.offer_ends(sealed),
            carried: self.carried_numbers(row).await?,
            files,
        };
        let json = serde_json::to_vec(&offer)
            .map_err(|_| ExchangeError::Protocol { what: "an offer that can't be written" })?;
        let (parts, bytes) = (Arc::new(parts), sealed.bytes);
        Ok(Offered { exchange, folder, parts, bytes, json: json.into() })
    }

    /// Carries an offer through to its final answer.
    pub(crate) async fn push(
        &self,
        export: Uuid,
        partner: &Partner,
        offered: &Offered,
    ) -> Result<Pushed, ExchangeError> {
        let line = Line::to(self, partner)?;
        let mut connection = line.open().await?;
        let mut answer = match announce(&mut connection, offered).await? {
            Pushed::Answered(answer) => answer,
            refused @ Pushed::Refused(_) => return Ok(refused),
        };
        for _ in 0..ROUNDS_MAX {
            if is_final(&answer) {
                return Ok(Pushed::Answered(answer));
            }
            let total = offered.parts.len() as u64;
            let bad =
                ExchangeError::Protocol { what: "missing parts that the parcel doesn't have" };
            let missing = numbers(&answer.missing, total).ok_or(bad)?;
            if !missing.is_empty() {
                match self.send_parts(export, &line, offered, missing).await {
                    Ok(Some(refused)) => return Ok(Pushed::Answered(refused)),
                    Ok(None) => self.note_movement(export).await?,
                    Err(error) => return end_of(&line, offered).await.ok_or(error),
                }
            }
            answer = self.complete(export, &mut connection, &line, offered).await?;
        }
        Err(ExchangeError::Protocol { what: "parts that stay missing" })
    }

    /// Sends parts side by side. Gives the answer that ends the delivery, where one came.
    async fn send_parts(
        &self,
        export: Uuid,
        line: &Line,
        offered: &Offered,
        missing: Vec<u64>,
    ) -> Result<Option<Answer>, ExchangeError> {
        let sizes = part_sizes(&offered.folder, &missing).await?;
        let left: u64 = sizes.iter().map(|(_, size)| size).sum();
        self.report(export, Phase::Sending, offered.bytes.saturating_sub(left), offered.bytes);
        let queue = Arc::new(Mutex::new(VecDeque::from(sizes)));
        let mut hands = tokio::task::JoinSet::new();
        for _ in 0..self.0.setup.settings.parts_at_a_time.max(1) {
            let hand = Hand {
                exchange: self.clone(),
                export,
                line: line.clone(),
                id: offered.exchange,
                folder: offered.folder.clone(),
                parts: Arc::clone(&offered.parts),
                queue: Arc::clone(&queue),
            };
            hands.spawn(hand.work());
        }
        // The first failure ends the attempt; dropping the set stops the other hands.
        while let Some(done) = hands.join_next().await {
            if let Some(answer) = done.map_err(|_| ExchangeError::Stopped)?? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// Asks for the receipt until the partner has verified.
    async fn complete(
        &self,
        export: Uuid,
        connection: &mut Connection,
        line: &Line,
        offered: &Offered,
    ) -> Result<Answer, ExchangeError> {
        self.report(export, Phase::Verifying, offered.bytes, offered.bytes);
        let path = format!("{ROOT}/{}/complete", offered.exchange);
        let post = || Request::post(&path).body(Outgoing::empty()).map_err(wire::WireError::from);
        for _ in 0..VERIFY_ASKS_MAX {
            let reply = match connection.send(post()?).await {
                Ok(reply) => reply,
                // The connection stood idle while parts went over others: once more on a new one.
                Err(error) if error.is_passing() => {
                    *connection = line.open().await?;
                    connection.send(post()?).await?
                }
                Err(error) => return Err(error.into()),
            };
            let fine = [
                StatusCode::OK,
                StatusCode::ACCEPTED,
                StatusCode::CONFLICT,
                StatusCode::UNPROCESSABLE_ENTITY,
            ];
            let answer = said::<Answer>(reply, &fine).await.map_err(ExchangeError::from)?;
            if answer.state != AnswerState::Verifying {
                return Ok(answer);
            }
            tokio::time::sleep(VERIFY_PAUSE).await;
        }
        Err(ExchangeError::Protocol { what: "a verification without an end" })
    }

    /// Trust in our own signature, to read our own parcels.
    pub(crate) fn own_trust(&self) -> parcel::Trust {
        let senders = self.0.setup.signer.chain.first().cloned().into_iter().collect();
        parcel::Trust { senders, now: self.now() }
    }
}

/// Offers a parcel, for the first time or again; the answer says where the partner stands.
async fn announce(connection: &mut Connection, offered: &Offered) -> Result<Pushed, ExchangeError> {
    let request = Request::post(ROOT)
        .header(header::CONTENT_TYPE, JSON)
        .body(Outgoing::bytes(offered.json.clone()))
        .map_err(wire::WireError::from)?;
    let reply = connection.send(request).await?;
    match said::<Answer>(reply, &[StatusCode::OK, StatusCode::CREATED]).await {
        Ok(answer) => Ok(Pushed::Answered(answer)),
        Err(Said::Fault(StatusCode::UNPROCESSABLE_ENTITY, fault)) if fault.entry.is_some() => {
            let (place, reason) = (fault.code, fault.detail);
            let entry = fault.entry.unwrap_or_default();
            Ok(Pushed::Refused(Refusal { place, reason, entry }))
        }
        Err(said) => Err(said.into()),
    }
}

/// Whether it is over, after a line broke: one who refuses a part hangs up on the others, and that may
/// be all that comes through.
async fn end_of(line: &Line, offered: &Offered) -> Option<Pushed> {
    let mut connection = line.open().await.ok()?;
    match announce(&mut connection, offered).await.ok()? {
        Pushed::Answered(answer) if !is_final(&answer) => None,
        over => Some(over),
    }
}

fn is_final(answer: &Answer) -> bool {
    match answer.state {
        AnswerState::Received
        | AnswerState::Refused
        | AnswerState::Recalled
        | AnswerState::Expired => true,
        AnswerState::Receiving | AnswerState::Verifying => false,
    }
}

async fn part_sizes(folder: &Path, missing: &[u64]) -> Result<Vec<(u64, u64)>, ExchangeError> {
    let (folder, missing) = (folder.to_owned(), missing.to_vec());
    let look = move || {
        let size = |number: u64| {
            let facts = std::fs::metadata(folder.join(part_path(number)));
            Ok((number, facts.map_err(store("look at a part"))?.len()))
        };
        missing.into_iter().map(size).collect()
    };
    tokio::task::spawn_blocking(look).await.map_err(|_| ExchangeError::Stopped)?
}

/// How a partner is reached: its address, its certificate, ours.
#[derive(Clone)]
pub(crate) struct Line {
    client: Client,
    host: String,
    port: u16,
}

impl Line {
    pub(crate) fn to(exchange: &Exchange, partner: &Partner) -> Result<Self, ExchangeError> {
        let setup = &exchange.0.setup;
        let server = partner.server.as_ref().ok_or(ExchangeError::NoServer)?;
        if let Some(revoked) = partner.revoked(&server.tls, exchange.now()) {
            return Err(revoked.error(CertificateUse::Tls));
        }
        let trust = wire::tls::Trust::leaf(server.tls.clone());
        let clock = Arc::clone(&setup.clock);
        let tls = wire::tls::client_config(&trust, Some(&setup.tls), clock)?;
        let (host, port) = (server.host.clone(), server.port);
        let target = Target { host: host.clone(), port, addresses: server.addresses };
        let client = Client::new(Egress::new(vec![target]), tls, setup.settings.client);
        Ok(Self { client, host, port })
    }

    pub(crate) async fn open(&self) -> Result<Connection, ExchangeError> {
        Ok(self.client.open(&self.host, self.port).await?)
    }
}

/// One of those that send parts, each on a connection of its own.
struct Hand {
    exchange: Exchange,
    export: Uuid,
    line: Line,
    id: Uuid,
    folder: PathBuf,
    parts: Arc<Vec<[u8; 32]>>,
    queue: Arc<Mutex<VecDeque<(u64, u64)>>>,
}

impl Hand {
    async fn work(self) -> Result<Option<Answer>, ExchangeError> {
        let Some(mut next) = self.next() else { return Ok(None) };
        let mut connection = self.line.open().await?;
        loop {
            self.exchange.still_sending(self.export).await?;
            if let Some(refused) = self.send(&mut connection, next).await? {
                return Ok(Some(refused));
            }
            let Some(after) = self.next() else { return Ok(None) };
            next = after;
        }
    }

    fn next(&self) -> Option<(u64, u64)> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Sends one part. An answer means that the delivery is over.
    async fn send(
        &self,
        connection: &mut Connection,
        (number, size): (u64, u64),
    ) -> Result<Option<Answer>, ExchangeError> {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        let digest = self.parts.get(at).ok_or(ExchangeError::NoSuch { what: "part" })?;
        let body = self.exchange.paced(self.read_part(number));
        let request = Request::put(format!("{ROOT}/{}/parts/{number}", self.id))
            .header(header::CONTENT_TYPE, PART)
            .header(header::CONTENT_LENGTH, size)
            .header(REPR_DIGEST, repr_digest(digest))
            .body(Outgoing::pieces(body))
            .map_err(wire::WireError::from)?;
        let reply = connection.send(request).await?;
        match reply.status {
            StatusCode::NO_CONTENT => Ok(None),
            // Refused over this part, or over another one meanwhile.
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT => {
                let fine = [StatusCode::UNPROCESSABLE_ENTITY, StatusCode::CONFLICT];
                let answer = said::<Answer>(reply, &fine).await.map_err(ExchangeError::from)?;
                let odd = ExchangeError::Protocol { what: "a part refused without an end" };
                if is_final(&answer) { Ok(Some(answer)) } else { Err(odd) }
            }
            _ => Err(said::<Answer>(reply, &[]).await.err().map_or(
                ExchangeError::Protocol { what: "an answer to a part" },
                ExchangeError::from,
            )),
        }
    }

    /// Reads a part on a thread of its own, as fast as the line takes it.
    fn read_part(&self, number: u64) -> mpsc::Receiver<std::io::Result<Bytes>> {
        let (send, receive) = mpsc::channel(PIECES_AHEAD);
        let (path, exchange, export) =
            (self.folder.join(part_path(number)), self.exchange.clone(), self.export);
        tokio::task::spawn_blocking(move || {
            let mut file = match std::fs::File::open(path) {
                Ok(file) => file,
                Err(error) => return drop(send.blocking_send(Err(error))),
            };
            loop {
                let mut piece = vec![0; PIECE_BYTES];
                match file.read(&mut piece) {
                    Ok(0) => return,
                    Ok(count) => {
                        piece.truncate(count);
                        if send.blocking_send(Ok(piece.into())).is_err() {
                            return;
                        }
                        exchange.advance(export, count as u64);
                    }
                    Err(error) => return drop(send.blocking_send(Err(error))),
                }
            }
        });
        receive
    }
}

/// An answer that was not the one hoped for.
pub(crate) enum Said {
    Fault(StatusCode, Fault),
    Other(StatusCode),
    Wire(wire::WireError),
}

impl From<Said> for ExchangeError {
    fn from(said: Said) -> Self {
        match said {
            Said::Fault(status, fault) => {
                let entry = fault.entry.map(|entry| format!(" (their entry {entry})"));
                let entry = entry.unwrap_or_default();
                let reason = format!("{}: {}{entry}", fault.code, fault.detail);
                Self::Partner { status: status.as_u16(), reason: crate::delivery::short(&reason) }
            }
            Said::Other(status) => {
                Self::Partner { status: status.as_u16(), reason: "no reason given".to_owned() }
            }
            Said::Wire(error) => Self::Wire(error),
        }
    }
}

/// Reads an answer of one of the hoped-for statuses, or says what came instead.
pub(crate) async fn said<T: DeserializeOwned>(
    reply: Reply,
    fine: &[StatusCode],
) -> Result<T, Said> {
    let status = reply.status;
    let bytes = reply.bytes(ANSWER_BYTES_MAX).await.map_err(Said::Wire)?;
    if fine.contains(&status)
        && let Ok(answer) = serde_json::from_slice(&bytes)
    {
        return Ok(answer);
    }
    match serde_json::from_slice(&bytes) {
        Ok(fault) => Err(Said::Fault(status, fault)),
        Err(_) => Err(Said::Other(status)),
    }
}
