//! The closed list: every event has its own sentence.

use ledger::format::{Bucket, Statement};
use ledger::retention::HoldScope;
use ledger::{
    AgreementDue, AgreementProposed, AgreementReviewed, Event, FieldChange, FileRedacted,
    FileReleased, FileScanned, FilesTakenIn, JurisdictionSettled, NoticeAnchored, NoticeIssued,
    ParcelScanned, RecallAnswered, TextProposed, TextReviewed, Verdict,
};

use crate::common::{decided, released, time};

fn text(text: &str) -> String {
    text.to_owned()
}

fn statement(bucket: Bucket) -> Statement {
    let (root, kept_digest) = ([1; 32], [2; 32]);
    Statement { bucket, first: 7, last: 40, count: 3, root, kept: 1, kept_digest }
}

/// One of each, in the order of the list.
pub(crate) fn all() -> Vec<Event> {
    let (digest, at) = (text("abcdef0123456789"), time("2026-11-22T14:03:21.417Z"));
    let (exchange, parcel, partner) = (text("x-7"), text("p-7"), text("NB0020000"));
    let (export, idp, context) = (text("e-7"), text("riverton-idp"), text("TOTP"));
    let bucket = Bucket::parse("standard-2029-11").unwrap();
    vec![
        Event::LedgerOpened { version: text("0.1.0"), module: text("AWS-LC FIPS 4.0.0") },
        Event::LedgerStalled { reason: text("no room") },
        Event::LedgerRecovered { refused: 1 },
        Event::LedgerNearlyFull {
            percent: 93,
            free_bytes: 7 << 30,
            full_in_days: Some(12),
            database: false,
        },
        Event::LedgerChecked,
        Event::ServiceStarted { version: text("0.1.0"), address: text("127.0.0.1:8080") },
        Event::ServiceStopped,
        Event::SettingsLoaded { what: text("policies"), digest: digest.clone() },
        Event::ToolLoaded {
            tool: text("vehicle-lookup"),
            version: text("3"),
            digest: digest.clone(),
        },
        Event::ToolRefused { file: text("a.toml"), problems: vec![text("line 3"), text("line 9")] },
        Event::SignInStarted { idp: idp.clone() },
        Event::SignedIn {
            idp: idp.clone(),
            context: context.clone(),
            mfa: true,
            authenticated_at: at,
            device_class: Some(text("vehicle")),
            certificate: Some(digest.clone()),
        },
        Event::SignInRefused { idp: idp.clone(), reason: text("saml.signature.invalid") },
        Event::RefusalsSummed {
            of: idp.clone(),
            since: at,
            counts: [(text("saml.time"), 700)].into(),
        },
        Event::ProviderAlert {
            idp: idp.clone(),
            what: text("its last certificate ends"),
            days_left: Some(30),
        },
        Event::ProviderTried {
            idp: idp.clone(),
            by: text("riverton|adm.voss"),
            digest: digest.clone(),
            outcome: text("saml.mfa.missing"),
        },
        Event::SignalReceived {
            stream: text("signals"),
            signal: text("session-revoked"),
            outcome: text("sessions end"),
        },
        Event::NoticeAccepted { notice: text("2026-1") },
        Event::SteppedUp { idp, context, authenticated_at: at },
        Event::SignedOut,
        Event::SessionEnded { reason: text("idle for 30 minutes") },
        Event::SessionsEnded { of: text("riverton|det.ruiz"), reason: text("on leave") },
        Event::AccountCreated {
            account: text("riverton|det.ruiz"),
            kind: text("person"),
            by: text("scim"),
            functions: vec![text("detective")],
        },
        Event::AccountChanged {
            account: text("riverton|det.ruiz"),
            version: 4,
            what: text("disabled"),
            changes: vec![FieldChange {
                field: text("active"),
                before: text("yes"),
                after: text("no"),
            }],
            reason: text("left the agency"),
        },
        Event::QualificationRecorded {
            account: text("riverton|det.ruiz"),
            what: text("training"),
            course: text("security-awareness"),
            on: text("2026-11-01"),
            until: Some(text("2027-11-01")),
            evidence: text("certificate 17"),
        },
        Event::DirectoryChanged {
            directory: text("entra"),
            kind: text("person"),
            id: text("5b0c"),
            what: text("changed"),
            before: Some(digest.clone()),
            after: Some(digest.clone()),
        },
        Event::DirectoryToken {
            directory: text("entra"),
            token: text("8f14e45f"),
            what: text("made"),
            by: text("R. Stone"),
            until: Some(at),
        },
        Event::Listed {
            by: text("directory entra"),
            what: text("people by userName"),
            count: 1,
            digest: digest.clone(),
        },
        Event::EmergencyAccess {
            account: text("local|emergency-1"),
            what: text("signed in"),
            reason: text("the identity provider is down"),
        },
        decided(Verdict::Deny, "vehicle-lookup"),
        released(15),
        Event::Withheld { decided: 15, reason: text("the source did not answer") },
        Event::Written { decided: 15, rows: 1 },
        Event::OutcomeUnknown { decided: 15, reason: text("the connection broke") },
        Event::RequestRefused { route: text("/tools/x/runs"), reason: text("csrf") },
        Event::AuditRead { what: text("timeline"), count: 1 },
        Event::IndexKeyRotated { epoch: 2 },
        Event::AgreementProposed(AgreementProposed {
            agreement: text("a-1"),
            version: 2,
            digest: digest.clone(),
        }),
        Event::AgreementReviewed(AgreementReviewed {
            agreement: text("a-1"),
            version: 2,
            digest: digest.clone(),
            accepted: true,
            reason: text("as signed"),
        }),
        Event::TextProposed(TextProposed {
            subject: text("partner NB0020000"),
            version: 1,
            digest: digest.clone(),
        }),
        Event::TextReviewed(TextReviewed {
            subject: text("partner NB0020000"),
            version: 1,
            digest: digest.clone(),
            accepted: false,
            reason: text("another certificate than they read aloud"),
        }),
        Event::AgreementDue(AgreementDue {
            agreement: text("a-1"),
            what: text("review"),
            at,
            days_left: 30,
        }),
        Event::SecondaryDissemination {
            export: export.clone(),
            records: text("CHRI"),
            partner: partner.clone(),
            requestor: text("Ann Lee"),
            method: text("parcel"),
        },
        Event::JurisdictionSettled(JurisdictionSettled {
            export: export.clone(),
            conflict: text("keep 5 years, destroy after 3"),
            decision: text("keep 5 years, by counsel"),
        }),
        Event::ExportTemplate { template: text("t-1"), title: text("Weekly"), what: text("kept") },
        Event::ExportRequested {
            export: export.clone(),
            agreement: text("a-1"),
            partner: partner.clone(),
        },
        Event::ExportApproved { export: export.clone(), requested_by: text("det.ruiz") },
        Event::ExportRejected {
            export: export.clone(),
            requested_by: text("det.ruiz"),
            reason: text("too wide"),
        },
        Event::ParcelSealed {
            export: export.clone(),
            parcel: parcel.clone(),
            digest: digest.clone(),
            parts: 2,
            bytes: 900,
        },
        Event::ParcelStamped(ledger::ParcelStamped {
            exchange: exchange.clone(),
            parcel: parcel.clone(),
            partner: partner.clone(),
            at: "2026-11-22T12:00:00Z".parse().unwrap(),
            authority: text("CN=State TSA"),
            fingerprint: digest.clone(),
            token: digest.clone(),
            known: false,
        }),
        Event::ParcelUnstamped(ledger::ParcelUnstamped {
            exchange: exchange.clone(),
            parcel: parcel.clone(),
            partner: partner.clone(),
            reason: text("the authority did not answer"),
        }),
        Event::StampIssued(ledger::StampIssued {
            partner: partner.clone(),
            serial: text("41aa"),
            at: "2026-11-22T12:00:00Z".parse().unwrap(),
            hash: digest.clone(),
            token: digest.clone(),
        }),
        Event::ParcelOffered {
            exchange: exchange.clone(),
            number: 7,
            parcel: parcel.clone(),
            partner: partner.clone(),
        },
        Event::ParcelSent(ledger::Sent {
            exchange: exchange.clone(),
            number: 7,
            parcel: parcel.clone(),
            partner: partner.clone(),
            digest: digest.clone(),
            route: Some("usb".to_owned()),
            place: Some("a medium in /media/evidence, as a folder".to_owned()),
        }),
        Event::ParcelDelivered(ledger::Laid {
            exchange: exchange.clone(),
            parcel: parcel.clone(),
            partner: partner.clone(),
            digest: digest.clone(),
            route: "usb".to_owned(),
            place: Some("a medium in /media/evidence, as a folder".to_owned()),
            bytes: 900,
        }),
        Event::DeliveryFailed(ledger::Unlaid {
            exchange: exchange.clone(),
            parcel: parcel.clone(),
            partner: partner.clone(),
            route: "usb".to_owned(),
            attempt: 2,
            reason: "the medium is not there".to_owned(),
        }),
        Event::ParcelCleared(ledger::Cleared {
            exchange: exchange.clone(),
            parcel: parcel.clone(),
            partner: partner.clone(),
            route: text("bucket"),
            place: None,
        }),
        Event::GuestInvited(ledger::GuestTerms {
            export: export.clone(),
            partner: partner.clone(),
            account: "lakeside-idp|j.pell".to_owned(),
            name: "Jonah Pell".to_owned(),
            until: Some("2026-12-01T00:00:00Z".parse().unwrap()),
            reason: None,
        }),
        Event::GuestEnded(ledger::GuestTerms {
            export: export.clone(),
            partner: partner.clone(),
            account: "lakeside-idp|j.pell".to_owned(),
            name: "Jonah Pell".to_owned(),
            until: None,
            reason: Some("left the agency".to_owned()),
        }),
        Event::ParcelDownloaded {
            export,
            parcel: parcel.clone(),
            digest: digest.clone(),
            bytes: 900,
        },
        Event::ParcelReceived {
            exchange: exchange.clone(),
            number: 7,
            parcel: parcel.clone(),
            partner: partner.clone(),
            digest: digest.clone(),
            checkpoint: text("c"),
        },
        Event::ParcelRefused {
            exchange: Some(exchange.clone()),
            parcel: parcel.clone(),
            partner: partner.clone(),
            where_: text("part 2, byte 512"),
            reason: text("digest differs"),
        },
        Event::ParcelOpened {
            exchange: exchange.clone(),
            parcel: parcel.clone(),
            path: text("statement.pdf"),
            bytes: 900,
        },
        Event::ReceiptIssued { exchange: exchange.clone(), digest: digest.clone() },
        Event::ReceiptAnchored {
            exchange: exchange.clone(),
            parcel: parcel.clone(),
            partner: partner.clone(),
            digest: digest.clone(),
            partner_entry: Some(41),
        },
        Event::ExportRecalled {
            export: text("e-7"),
            exchange: Some(exchange.clone()),
            partner: partner.clone(),
            reason: text("the wrong case"),
        },
        Event::RecallAnswered(RecallAnswered {
            export: text("e-7"),
            exchange: Some(exchange.clone()),
            partner: partner.clone(),
            answer: text("destroyed"),
            how: text("letter"),
            who: text("Sgt. Ana Pell"),
            on: text("2026-11-25"),
            reason: text("shredded on the day of the recall"),
            document: Some(digest.clone()),
        }),
        Event::OfferExpired {
            exchange: exchange.clone(),
            parcel: parcel.clone(),
            partner: partner.clone(),
        },
        Event::CopyRemoved {
            exchange: exchange.clone(),
            parcel: parcel.clone(),
            partner: partner.clone(),
        },
        Event::ParcelAccepted {
            exchange: exchange.clone(),
            parcel: parcel.clone(),
            partner: partner.clone(),
        },
        Event::ParcelDestroyed {
            exchange: exchange.clone(),
            parcel: parcel.clone(),
            partner: partner.clone(),
            digest: digest.clone(),
            method: text("the sealed files were removed"),
            reason: text("recalled"),
        },
        Event::ParcelKept {
            exchange: exchange.clone(),
            parcel: parcel.clone(),
            partner: partner.clone(),
            reason: text("in evidence at a trial"),
        },
        Event::FilesTakenIn(FilesTakenIn {
            exchange: exchange.clone(),
            parcel: parcel.clone(),
            from: text("the corner shop"),
            files: 2,
            digest: digest.clone(),
        }),
        Event::FileRedacted(FileRedacted {
            exchange: exchange.clone(),
            of: text("cases/a.pdf in riverton-evidence"),
            original: digest.clone(),
            copy: text("5e"),
            what: text("a child's name"),
            reason: text("juvenile"),
        }),
        Event::FileScanned(FileScanned {
            exchange: exchange.clone(),
            parcel: parcel.clone(),
            partner: partner.clone(),
            path: text("invoice.pdf"),
            sha256: digest.clone(),
            outcome: text("infected"),
            what: text("infected: Win.Test"),
        }),
        Event::ParcelScanned(ParcelScanned {
            exchange: exchange.clone(),
            parcel: parcel.clone(),
            partner: partner.clone(),
            engine: text("ClamAV 1.4.6"),
            files: 3,
            infected: 1,
            not_fully: 1,
            digest: digest.clone(),
        }),
        Event::FileReleased(FileReleased {
            exchange: exchange.clone(),
            parcel,
            partner: partner.clone(),
            path: text("invoice.pdf"),
            what: text("infected: Win.Test"),
            reason: text("it is the evidence"),
        }),
        Event::NoticeIssued(NoticeIssued {
            exchange: exchange.clone(),
            partner: partner.clone(),
            number: 3,
            what: text("destroyed"),
            digest: digest.clone(),
        }),
        Event::NoticeAnchored(NoticeAnchored {
            exchange: exchange.clone(),
            partner: partner.clone(),
            number: 3,
            what: text("destroyed"),
            digest,
            partner_entry: 43,
        }),
        Event::ExchangeAlert {
            partner,
            exchange: Some(exchange),
            what: text("no answer to a recall for 7 days"),
        },
        Event::CheckpointCosigned { witness: text("lakeside"), size: 1204 },
        Event::WitnessStale { witness: text("lakeside"), minutes: 16, last: Some(1204) },
        Event::WitnessRecovered { witness: text("lakeside"), size: 1207 },
        Event::WitnessForgot { witness: text("lakeside"), size: 8, seen: 12 },
        Event::RollbackDetected {
            origin: text("riverton.example/ledger"),
            reported_by: text("lakeside"),
            size: 9,
            seen: 12,
        },
        Event::EquivocationDetected {
            origin: text("riverton.example/ledger"),
            reported_by: text("lakeside"),
            size: 1,
        },
        Event::WitnessedCheckpoint {
            origin: text("lakeside.example/ledger"),
            size: 77,
            checkpoint: text("c"),
        },
        Event::StopLifted { reason: text("the newer copy is lost") },
        Event::HoldPlaced {
            hold: text("lit-2026-4"),
            what: HoldScope::Case { number: text("24-000113") },
            authority: text("General Counsel"),
            until: Some(at),
        },
        Event::HoldReleased { hold: text("lit-2026-4"), reason: text("settled") },
        Event::DispositionStarted { statement: statement(bucket), authority: text("AU-11") },
        Event::Disposed { bucket, started: 52, count: 3 },
        Event::DisposedReturned { bucket, started: 52, what: text("the key") },
    ]
}

#[test]
fn each_event_says_what_happened_in_plain_words() {
    let words: Vec<String> =
        all().iter().map(|event| format!("{}: {}", event.kind(), event.sentence())).collect();
    let expected = include_str!("sentences.txt");
    assert_eq!(words.join("\n") + "\n", expected);
}
