//! Directories that are asked: as they are set up, and again every few minutes about whoever is signed in.
//!
//! Invariants: whoever is absent, disabled or in other groups by the directory's word is put out as a directory that
//! tells by itself would put them out, recorded first; while it can't be asked, sessions go on for a set time and
//! no longer, and that it can't be asked is told once.

use std::path::Path;
use std::sync::Arc;

use identity::ldap::{Asking, Ldap, LdapError, Person};
use jiff::{SignedDuration, Timestamp};
use keys::Clock;
use keys::cert::Certificate;
use ledger::{Event, Record};
use state::accounts::{self, Account, Of, Standing};
use tokio::sync::watch;
use wire::tls::{Trust, client_config_without_alpn};
use wire::{Addresses, Egress, Target};
use zeroize::Zeroizing;

use crate::agency::{Agency, StartError};
use crate::app::Shared;
use crate::config::{Config, LdapConfig};
use crate::problem::{Problem, chain};

/// The largest file with a password, and with an authority's certificates, in bytes.
const PASSWORD_BYTES_MAX: usize = 4_096;
const CA_BYTES_MAX: usize = 256 * 1024;

/// No session is older than this, so nobody is asked about who signed in before.
const SESSION_MAX: SignedDuration = SignedDuration::from_hours(12);

/// The directories of the configuration. Nobody is asked yet.
pub(crate) fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Vec<Ldap>, StartError> {
    config.ldap.iter().map(|declared| open_one(declared, clock)).collect()
}

fn open_one(declared: &LdapConfig, clock: &Arc<dyn Clock>) -> Result<Ldap, StartError> {
    let failed = |source| StartError::Keys { doing: "read what a directory is asked with", source };
    let settings = declared.settings();
    let settings = settings.ok_or_else(|| StartError::Identity("a filter is none".into()))?;
    let authorities = read_authorities(&declared.ca_file).map_err(failed)?;
    let trust = Trust { authorities, leaves: Vec::new() };
    let tls = client_config_without_alpn(&trust, None, clock.clone())?;
    let bytes = keys::file::read_secret(&declared.password_file, PASSWORD_BYTES_MAX);
    let bytes = Zeroizing::new(bytes.map_err(failed)?);
    let password = Zeroizing::new(String::from_utf8_lossy(&bytes).trim_end().to_owned());
    if password.is_empty() {
        // With an empty password a directory would let us in as nobody (RFC 4513, 5.1.2).
        return Err(StartError::Identity("a directory's password is empty".into()));
    }
    let (host, port) = (settings.host.clone(), settings.port);
    let egress = Egress::new(vec![Target { host, port, addresses: Addresses::Private }]);
    Ok(Ldap::new(settings, egress, tls, password))
}

fn read_authorities(file: &Path) -> Result<Vec<Certificate>, keys::KeysError> {
    let bytes = keys::file::read(file, CA_BYTES_MAX)?;
    Certificate::chain_from_pem(&String::from_utf8_lossy(&bytes))
}

/// Asks every directory of an agency again and again until `stopped`.
pub(crate) async fn ask_again(agency: Shared, stopped: watch::Receiver<bool>) {
    let asking = agency.identity.ldap().iter().zip(&agency.config.ldap).map(|(ldap, declared)| {
        let (agency, mut stopped) = (agency.clone(), stopped.clone());
        async move {
            let every = std::time::Duration::from_secs(u64::from(declared.every_minutes) * 60);
            let mut seen = Seen { answered_at: agency.now(), told: false };
            loop {
                let stop =
                    tokio::time::timeout(every, stopped.wait_for(|stop| *stop)).await.is_ok();
                if stop {
                    return;
                }
                agency.ask_directory(ldap, declared, &mut seen).await;
            }
        }
    });
    futures::future::join_all(asking).await;
}

/// When a directory answered last, and whether it was told that it does not.
pub struct Seen {
    pub answered_at: Timestamp,
    pub told: bool,
}

impl Agency {
    /// Asks a directory about everybody who may be signed in, and puts out whom its word puts out.
    pub async fn ask_directory(&self, ldap: &Ldap, declared: &LdapConfig, seen: &mut Seen) {
        let people = match self.possibly_signed_in(&declared.identity_provider).await {
            Ok(people) => people,
            Err(error) => {
                tracing::error!(error = %chain(&error), "who is signed in could not be looked up");
                return;
            }
        };
        match self.ask_about(ldap, &people).await {
            Ok(answers) => {
                (seen.answered_at, seen.told) = (self.now(), false);
                for (account, person) in answers {
                    if let Err(problem) = self.take_word(declared, &account, &person).await {
                        tracing::error!(what = %problem.words, "a directory's word could not be followed");
                    }
                }
            }
            Err(error) => self.silent(declared, &people, seen, &error).await,
        }
    }

    async fn ask_about(
        &self,
        ldap: &Ldap,
        people: &[Account],
    ) -> Result<Vec<(Account, Person)>, LdapError> {
        let mut answers = Vec::with_capacity(people.len());
        // With nobody to ask about, whether it answers is asked all the same.
        let mut asking: Asking = ldap.open().await?;
        for account in people {
            let person = asking.person(&account.profile.name_id).await?;
            answers.push((account.clone(), person));
        }
        asking.close().await;
        Ok(answers)
    }

    async fn possibly_signed_in(&self, idp: &str) -> Result<Vec<Account>, state::StateError> {
        let now = self.now();
        let since = now.checked_sub(SESSION_MAX).unwrap_or(Timestamp::MIN);
        let all = accounts::list(&self.state).await?.into_iter();
        let here = all.filter(|account| {
            account.profile.idp == idp
                && account.standing(now) == Standing::Good
                && account.last_sign_in_at.is_some_and(|at| at >= since)
        });
        Ok(here.collect())
    }

    /// Does what the directory's word of a person asks for.
    async fn take_word(
        &self,
        declared: &LdapConfig,
        account: &Account,
        person: &Person,
    ) -> Result<(), Problem> {
        let record = Record::platform;
        let Person::Here { groups } = person else {
            let refusal = person.refusal();
            let reason = refusal.map_or_else(String::new, |refusal| refusal.detail);
            self.end_sessions(&record, Of::Account(account.id), &account.key(), &reason).await?;
            return Ok(());
        };
        let idp = &declared.identity_provider;
        let Some(functions) = self.identity.given_by_groups(idp, groups) else { return Ok(()) };
        let names: Vec<String> = functions.iter().map(ToString::to_string).collect();
        if names == account.profile.functions {
            return Ok(());
        }
        let mut edited = account.clone();
        edited.profile.functions = names;
        let reason = format!("what the directory {} says", declared.id);
        self.change_account(&record, (account, &edited), &reason).await?;
        Ok(())
    }

    /// It can't be asked: that is told once, and after a time everybody whom it should know is put out.
    async fn silent(
        &self,
        declared: &LdapConfig,
        people: &[Account],
        seen: &mut Seen,
        error: &LdapError,
    ) {
        let id = &declared.id;
        tracing::warn!(error = %chain(error), %id, "a directory can't be asked");
        if !seen.told {
            let what = format!("its directory {id} can't be asked");
            let idp = declared.identity_provider.clone();
            let event = Event::ProviderAlert { idp, what, days_left: None };
            match self.ledger.append(Record::platform(event)).await {
                Ok(_) => seen.told = true,
                Err(error) => tracing::error!(error = %chain(&error), "an alert is not on record"),
            }
        }
        let since = self.now().duration_since(seen.answered_at);
        if since < SignedDuration::from_mins(declared.silent_minutes_max.into()) {
            return;
        }
        let reason = format!("the directory {id} could not be asked for too long");
        for account in people {
            let (of, key) = (Of::Account(account.id), account.key());
            if let Err(problem) = self.end_sessions(&Record::platform, of, &key, &reason).await {
                tracing::error!(what = %problem.words, "sessions could not be ended");
            }
        }
    }
}
