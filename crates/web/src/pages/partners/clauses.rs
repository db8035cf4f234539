//! What an agreement says, clause by clause, in words; and what differs between two texts of it.

use exchange::Agreement;

use crate::pages::parts::day;

/// The clauses as names and what they say, in the order in which people read an agreement.
pub(super) fn clauses(agreement: &Agreement) -> Vec<(&'static str, String)> {
    let (facts, terms) = (&agreement.facts, &agreement.terms);
    let listed = |all: Vec<String>| if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    let marks = |all: &std::collections::BTreeSet<policy::Caveat>| {
        listed(all.iter().map(ToString::to_string).collect())
    };
    let parties = terms.parties.iter().map(|party| {
        let on = day(party.signed_at);
        format!("{} ({}), signed by {} on {on}", party.name, party.ori, party.signed_by)
    });
    let mut all = vec![
        ("Kind", terms.kind.words().to_owned()),
        ("Parties", parties.collect::<Vec<_>>().join("; ")),
        ("Authority", agreement.authority.clone()),
        ("Purposes", listed(facts.purposes.iter().map(ToString::to_string).collect())),
        (
            "Records that may cross",
            listed(facts.record_classes.iter().map(ToString::to_string).collect()),
        ),
        ("Marks that may not cross", marks(&facts.caveats_barred)),
        (
            "Marks that may cross",
            facts.caveats_allowed.as_ref().map_or("all others".to_owned(), |allowed| match allowed
                .is_empty()
            {
                true => "none: no marked record".to_owned(),
                false => format!("only {}", marks(allowed)),
            }),
        ),
        ("Redistribution", terms.redistribution.words().to_owned()),
        (
            "Retention at the receiver",
            agreement.retention.clone().unwrap_or_else(|| "not agreed".to_owned()),
        ),
        ("Approvals for an export", format!("{} other than the requester", facts.approvals)),
        ("Audit", terms.audit.clone()),
        ("From", day(facts.starts)),
        ("Review by", day(facts.review)),
        ("Ends", day(facts.ends)),
        (
            "Secondary dissemination",
            match terms.primary {
                true => {
                    "a primary agreement: what crosses is not secondary dissemination".to_owned()
                }
                false => "not a primary agreement: criminal history that crosses goes to the log"
                    .to_owned(),
            },
        ),
    ];
    let others = [
        ("Destroyed or returned after", terms.retention_days.map(|days| format!("{days} days"))),
        ("Incidents", terms.incidents.clone()),
        ("Encryption", terms.encryption.clone()),
        (
            "Keys sent by",
            terms.rsa_oaep.then(|| format!("{}; allowed for this partner", parcel::RSA_OAEP_WORDS)),
        ),
        (
            "Certificates (SHA-256)",
            terms.certificates.as_ref().map(|all| listed(all.iter().cloned().collect())),
        ),
        (
            "Signed document",
            terms.document.as_ref().map(|held| format!("{}, SHA-256 {}", held.file, held.sha256)),
        ),
    ];
    all.extend(others.into_iter().filter_map(|(name, said)| Some((name, said?))));
    all
}

/// What a later text says otherwise: the clause, what it said, what it says.
pub(super) fn differences<N: Clone + PartialEq>(
    before: &[(N, String)],
    after: &[(N, String)],
) -> Vec<(N, String, String)> {
    let said = |all: &[(N, String)], name: &N| {
        let found = all.iter().find(|(one, _)| one == name);
        found.map_or_else(|| "nothing".to_owned(), |(_, said)| said.clone())
    };
    let mut names: Vec<N> = after.iter().map(|(name, _)| name.clone()).collect();
    for (name, _) in before {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let both = names.into_iter().map(|name| {
        let (before, after) = (said(before, &name), said(after, &name));
        (name, before, after)
    });
    both.filter(|(_, before, after)| before != after).collect()
}
