//! Lists that come with the platform, by the name that `options = { list = "…" }` gives.
//!
//! Purpose codes are those of NIEM's `RapSheetPurposeCode` that a state or local agency may send.

/// A list by its name.
#[must_use]
pub fn list(name: &str) -> Option<&'static [(&'static str, &'static str)]> {
    LISTS.iter().find(|(known, _)| *known == name).map(|(_, list)| *list)
}

/// The names of all lists.
pub fn names() -> impl Iterator<Item = &'static str> {
    LISTS.iter().map(|(name, _)| *name)
}

type List = &'static [(&'static str, &'static str)];

const LISTS: [(&str, List); 2] = [("us-states", &US_STATES), ("ncic-purpose-codes", &PURPOSES)];

const PURPOSES: [(&str, &str); 10] = [
    ("C", "C: criminal justice"),
    ("A", "A: administrative file maintenance"),
    ("D", "D: domestic violence and stalking"),
    ("F", "F: firearms-related check"),
    ("H", "H: public housing"),
    ("I", "I: interstate approved non-criminal-justice"),
    ("J", "J: criminal justice employment"),
    ("S", "S: national security"),
    ("V", "V: visa"),
    ("X", "X: caregiver in exigent circumstances"),
];

const US_STATES: [(&str, &str); 56] = [
    ("AL", "Alabama"),
    ("AK", "Alaska"),
    ("AZ", "Arizona"),
    ("AR", "Arkansas"),
    ("CA", "California"),
    ("CO", "Colorado"),
    ("CT", "Connecticut"),
    ("DE", "Delaware"),
    ("DC", "District of Columbia"),
    ("FL", "Florida"),
    ("GA", "Georgia"),
    ("HI", "Hawaii"),
    ("ID", "Idaho"),
    ("IL", "Illinois"),
    ("IN", "Indiana"),
    ("IA", "Iowa"),
    ("KS", "Kansas"),
    ("KY", "Kentucky"),
    ("LA", "Louisiana"),
    ("ME", "Maine"),
    ("MD", "Maryland"),
    ("MA", "Massachusetts"),
    ("MI", "Michigan"),
    ("MN", "Minnesota"),
    ("MS", "Mississippi"),
    ("MO", "Missouri"),
    ("MT", "Montana"),
    ("NE", "Nebraska"),
    ("NV", "Nevada"),
    ("NH", "New Hampshire"),
    ("NJ", "New Jersey"),
    ("NM", "New Mexico"),
    ("NY", "New York"),
    ("NC", "North Carolina"),
    ("ND", "North Dakota"),
    ("OH", "Ohio"),
    ("OK", "Oklahoma"),
    ("OR", "Oregon"),
    ("PA", "Pennsylvania"),
    ("RI", "Rhode Island"),
    ("SC", "South Carolina"),
    ("SD", "South Dakota"),
    ("TN", "Tennessee"),
    ("TX", "Texas"),
    ("UT", "Utah"),
    ("VT", "Vermont"),
    ("VA", "Virginia"),
    ("WA", "Washington"),
    ("WV", "West Virginia"),
    ("WI", "Wisconsin"),
    ("WY", "Wyoming"),
    ("AS", "American Samoa"),
    ("GU", "Guam"),
    ("MP", "Northern Mariana Islands"),
    ("PR", "Puerto Rico"),
    ("VI", "U.S. Virgin Islands"),
];

#[cfg(test)]
mod tests {
    #[test]
    fn codes_are_there_once() {
        for name in super::names() {
            let list = super::list(name).unwrap();
            let codes: std::collections::BTreeSet<_> = list.iter().map(|(code, _)| code).collect();
            assert_eq!(codes.len(), list.len(), "{name}");
        }
        assert_eq!(super::list("us-states").unwrap().len(), 56);
    }
}
