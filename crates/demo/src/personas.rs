//! Who can sign in to the demo. All are made up.

use crate::idp::Persona;
use crate::world::{AgencySpec, LAKESIDE, RIVERTON};

/// One line: sign-in name, name, agency, functions, and what the person can do.
const PEOPLE: &[(&str, &str, &AgencySpec, &[&str], &str)] = &[
    (
        "det.ruiz",
        "Elena Ruiz",
        &RIVERTON,
        &["detective"],
        "runs every tool, flags vehicles, asks for exports",
    ),
    (
        "ofc.hale",
        "Sam Hale",
        &RIVERTON,
        &["patrol-officer"],
        "looks up vehicles and adults; juvenile records are refused",
    ),
    (
        "sgt.okafor",
        "Ngozi Okafor",
        &RIVERTON,
        &["supervisor"],
        "approves exports that others asked for",
    ),
    ("clerk.abara", "Tunde Abara", &RIVERTON, &["records-clerk"], "runs tools, flags vehicles"),
    (
        "so.lindqvist",
        "Maja Lindqvist",
        &RIVERTON,
        &["security-officer"],
        "reads the audit log, and reviews agreements",
    ),
    (
        "adm.voss",
        "Petra Voss",
        &RIVERTON,
        &["administrator"],
        "changes accounts and ends sessions; reads no records",
    ),
    (
        "inv.pell",
        "Jonah Pell",
        &LAKESIDE,
        &["investigator"],
        "opens parcels that Lakeside received",
    ),
    ("so.grant", "Ruth Grant", &LAKESIDE, &["security-officer"], "reads Lakeside's audit log"),
];

/// Everybody, as the pretend identity provider knows them.
///
/// # Errors
/// Never in practice: the names above are well formed, which a test holds.
pub fn all() -> Result<Vec<Persona>, policy::Malformed> {
    let persona = |line: &(&str, &str, &AgencySpec, &[&str], &str)| {
        let (id, name, agency, functions, _) = *line;
        Ok(Persona {
            id: id.to_owned(),
            name: name.to_owned(),
            agency: agency.ori.parse()?,
            functions: functions.iter().map(|text| text.parse()).collect::<Result<_, _>>()?,
        })
    };
    PEOPLE.iter().map(persona).collect()
}

/// One line for each person of an agency: who, and what they can do.
pub fn lines(agency: &AgencySpec) -> Vec<String> {
    let here = PEOPLE.iter().filter(|(_, _, at, ..)| at.id == agency.id);
    here.map(|(id, name, _, functions, can)| {
        format!("  {name:<15} {:<17} {can}  ({id})", functions.join(", ").replace('-', " "))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn everybody_is_well_formed() {
        assert_eq!(super::all().unwrap().len(), 8);
    }
}
