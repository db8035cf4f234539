//! Security events, however they come: pushed to us, or asked for at their transmitter.
//!
//! Order that must hold: an event is in the ledger before it is acted upon, and acknowledged only when what it
//! asks for is done. A token that comes again does nothing more. Whatever is not known is acknowledged and
//! recorded, so that a stream never stands still.

mod asking;
mod verifying;

use identity::ssf::{Signal, Stream, What};
use ledger::{Event, Origin, Record};
use state::accounts::{AccountId, Of};
use state::sign_ins::{self, Message};

use crate::agency::Agency;
use crate::problem::Problem;

pub(crate) use self::asking::ask;
pub(crate) use self::verifying::verify;

/// What became of a token.
pub(crate) enum Took {
    /// What it asks for is done, now or before.
    Done,
    /// It is not good enough, for this reason code. The caller records that.
    Refused(&'static str),
    /// It could not be done; the transmitter may send it again.
    NotYet(Problem),
}

/// Takes a token. `named` is the name under which the transmitter listed it, if it did.
pub(crate) async fn take(
    agency: &Agency,
    origin: &Origin,
    stream: &Stream,
    message: &str,
    named: Option<&str>,
) -> Took {
    let token = match stream.read(message, agency.now()).await {
        Ok(token) if named.is_none_or(|name| name == token.jti) => token,
        Ok(_) => return Took::Refused("ssf.jti"),
        Err(refusal) => {
            tracing::info!(code = refusal.code, detail = %refusal.detail, "an event was refused");
            return Took::Refused(refusal.code);
        }
    };
    let used = Message {
        idp: stream.settings().id.clone(),
        id: format!("event|{}", token.jti),
        remember_until: token.remember_until,
    };
    // A transmitter that did not get our answer sends it again: that is answered as before.
    match sign_ins::was_used(&agency.state, &used).await {
        Ok(false) => {}
        Ok(true) => return Took::Done,
        Err(error) => return Took::NotYet(Problem::internal(&error)),
    }
    for signal in &token.signals {
        if let Err(problem) = act(agency, origin, stream, signal).await {
            return Took::NotYet(problem);
        }
    }
    match sign_ins::note_used(&agency.state, &used, agency.now()).await {
        Ok(()) => Took::Done,
        Err(error) => Took::NotYet(Problem::internal(&error)),
    }
}

/// Records that a token was not good enough.
pub(crate) async fn record_refusal(
    agency: &Agency,
    origin: Origin,
    stream: &Stream,
    code: &str,
) -> Result<(), Problem> {
    let idp = stream.settings().id.clone();
    let event = Event::SignInRefused { idp, reason: code.to_owned() };
    agency.ledger.append(Record { origin, ..Record::platform(event) }).await?;
    Ok(())
}

/// Records an event and does what it asks for.
async fn act(
    agency: &Agency,
    origin: &Origin,
    stream: &Stream,
    signal: &Signal,
) -> Result<(), Problem> {
    let idp = stream.settings().idp.as_str();
    let key = signal.subject.sub.as_ref().map(|sub| format!("{idp}|{sub}"));
    let account = key.as_deref().map(AccountId::of);
    let of = whose(signal, idp, account);
    let outcome = match (signal.what, &of) {
        (What::Other, _) => "not known here",
        (What::StreamUpdated, _) if signal.silenced => "no more events come",
        (What::Verification | What::StreamUpdated, _) => "acknowledged",
        (_, Some(_)) => "sessions end",
        (_, None) => "about nobody who is known here",
    };
    let record = |event| Record { origin: origin.clone(), ..Record::platform(event) };
    let received = Event::SignalReceived {
        stream: stream.settings().id.clone(),
        signal: signal.name.clone(),
        outcome: outcome.to_owned(),
    };
    agency.ledger.append(record(received)).await?;
    if signal.silenced {
        let alert = Event::ProviderAlert {
            idp: idp.to_owned(),
            what: format!(
                "its event stream {} was stopped by the transmitter",
                stream.settings().id
            ),
            days_left: None,
        };
        agency.ledger.append(record(alert)).await?;
    }
    if let Some(word) = &signal.word {
        let now = agency.now();
        let came = verifying::came(stream, word, now);
        let noted = sign_ins::note_used(&agency.state, &came, now);
        noted.await.map_err(|error| Problem::internal(&error))?;
    }
    if let Some(of) = of {
        let named = key.unwrap_or_else(|| format!("a session at {idp}"));
        agency.end_sessions(&record, of, &named, "security-event").await?;
    }
    Ok(())
}

/// The sessions that an event ends, if it ends any.
fn whose<'a>(signal: &'a Signal, idp: &'a str, account: Option<AccountId>) -> Option<Of<'a>> {
    match (signal.what, &signal.subject.session, account) {
        (What::SessionRevoked, Some(session), account) => {
            Some(Of::Provider { idp, session, account })
        }
        (
            What::SessionRevoked | What::CredentialChanged | What::AccountDisabled,
            _,
            Some(account),
        ) => Some(Of::Account(account)),
        (What::CredentialChanged | What::AccountDisabled, Some(session), None) => {
            Some(Of::Provider { idp, session, account: None })
        }
        (What::SessionRevoked | What::CredentialChanged | What::AccountDisabled, None, None)
        | (What::Verification | What::StreamUpdated | What::Other, _, _) => None,
    }
}
