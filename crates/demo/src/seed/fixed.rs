//! The rows of the demo's story, the same in every run: the burglary 24-000113, the car with plate
//! 7KDR419, its owner and her son, and the evidence of the case.

use crate::seed::Agency;
use crate::seed::dice::{Dice, Moment};
use crate::seed::phrases;
use crate::seed::world::{self, Address, Incident, Person, Vehicle};

/// The plate that the story looks up.
pub(crate) const PLATE: [char; 7] = ['7', 'K', 'D', 'R', '4', '1', '9'];
/// The case that the story exports.
pub(crate) const CASE: &str = "24-000113";
/// The number of its incident: the 113th of the fourth year.
pub(crate) const INCIDENT: u32 = 3 * 4_000 + 112;
/// The number of its vehicle.
pub(crate) const VEHICLE: u32 = 112;

const COMPLAINANT: u32 = 110;
const WITNESS: u32 = 111;
const OWNER: u32 = 112;
pub(crate) const SON: u32 = 113;

/// Where the case happened.
const SHOP: Address = Address { house: 212, street: "Foundry", way: "Street", city: "Riverton" };

/// The story's people in place of those that chance would have made.
pub(crate) fn person(agency: Agency, by_chance: Person) -> Person {
    let (first, middle, last, sex, born, height_cm) = match (agency, by_chance.number) {
        (Agency::Riverton, COMPLAINANT) => ("Odalys", "R.", "Brandt", "F", (1968, 6, 3), 165),
        (Agency::Riverton, WITNESS) => ("Wendell", "J.", "Achterberg", "M", (1957, 2, 19), 178),
        (Agency::Riverton, OWNER) => ("Dana", "L.", "Marlow", "F", (1984, 9, 12), 171),
        (Agency::Riverton, SON) => ("Toby", "", "Marlow", "M", (2011, 4, 27), 157),
        (Agency::Riverton | Agency::Lakeside, _) => return by_chance,
    };
    let address = match by_chance.number {
        COMPLAINANT => Address { house: 1_140, street: "Orchard", way: "Lane", city: "Riverton" },
        WITNESS => Address { house: 215, street: "Foundry", way: "Street", city: "Riverton" },
        _ => Address { house: 77, street: "Kestrel", way: "Court", city: "Millbrook" },
    };
    let juvenile = by_chance.number == SON;
    let licence = (!juvenile).then_some(24_113_000 + by_chance.number);
    let phone = (402, if juvenile { 113 } else { by_chance.number });
    Person {
        first,
        middle,
        last,
        sex,
        born,
        height_cm,
        address,
        juvenile,
        licence,
        phone,
        ..by_chance
    }
}

/// The story's car.
pub(crate) fn vehicle(agency: Agency, by_chance: Vehicle) -> Vehicle {
    match (agency, by_chance.number) {
        (Agency::Riverton, VEHICLE) => Vehicle {
            plate: PLATE,
            state: crate::seed::names::HOME_STATE,
            year: 2015,
            make: "Honda",
            model: "Fit",
            colour: "gray",
            vin: world::vin("1HZ", 2015, &mut Dice::of(0, 0, VEHICLE)),
            owner: OWNER,
            status: "clear",
            ..by_chance
        },
        (Agency::Riverton | Agency::Lakeside, _) => by_chance,
    }
}

/// The story's burglary.
pub(crate) fn incident(agency: Agency, by_chance: Incident) -> Incident {
    match (agency, by_chance.number) {
        (Agency::Riverton, INCIDENT) => Incident {
            kind: phrases::BURGLARY,
            occurred: Moment { year: 2024, month: 1, day: 10, hour: 23, minute: 41 },
            reported: Moment { year: 2024, month: 1, day: 11, hour: 6, minute: 52 },
            place: SHOP,
            officer: "Ofc. N. Hale",
            lead: "Det. M. Ruiz",
            status: "open",
            complainant: COMPLAINANT,
            suspect: Some(OWNER),
            witness: Some(WITNESS),
            vehicle: Some(VEHICLE),
            juvenile: false,
            ..by_chance
        },
        (Agency::Riverton | Agency::Lakeside, _) => by_chance,
    }
}

/// Those of the story's case beyond what every incident has: the person number and the role.
pub(crate) const ALSO_INVOLVED: (u32, &str) = (SON, "passenger");

/// The summary line of the story's case.
pub(crate) const SUMMARY: &str = "Forced entry at the rear of Brandt Hardware, 212 Foundry Street, \
    Riverton; a locked cash box and about $1,240 taken.";

/// The narrative of the story's case. It agrees with the statement and the recording in evidence.
pub(crate) const NARRATIVE: &str = "On January 11, 2024 at 06:52 hours I, Ofc. N. Hale, was sent to \
    212 Foundry Street, Riverton. Odalys Brandt, who owns the hardware shop there, had come to open \
    and found the rear door standing open. The strike plate had been pried from the frame and there \
    were fresh pry marks about 4 inches above the knob. Brandt listed a locked cash box and about \
    $1,240 in cash and checks as missing from the back office. Nothing in the sales room was \
    disturbed.\n\
    The door camera at the rear entrance recorded a person in a dark hood approach at 23:41 hours on \
    January 10 with a bag in the right hand; the recording is booked as E-000002. Wendell \
    Achterberg, who lives across the street, saw a small gray hatchback without lights leave the \
    alley shortly after and read the plate as 7KDR419. His written statement is E-000001.\n\
    The plate is registered to Dana Marlow, of 77 Kestrel Court, Millbrook. Marlow said by telephone \
    that the car had been lent to an acquaintance that evening, and would not name the acquaintance. \
    A juvenile passenger is recorded apart from this report. Lakeside County has two open cases with \
    the same method of entry. Forwarded to Det. M. Ruiz for follow-up.";

/// What the plate of the story was seen at: when, by which agency, what, and by whom.
pub(crate) const SIGHTINGS: &[(&str, &str, &str, &str)] = &[
    ("2021-03-15 10:20", "State Motor Vehicles", "registration renewed", "clerk 14"),
    ("2021-08-02 17:44", "Riverton Police", "parking citation, Depot Street", "Ofc. T. Brandvold"),
    ("2022-03-11 09:05", "State Motor Vehicles", "registration renewed", "clerk 09"),
    ("2022-11-19 22:31", "Lakeside Sheriff", "plate reader, Harbor Bridge", "reader 3"),
    ("2023-03-14 13:12", "State Motor Vehicles", "registration renewed", "clerk 14"),
    (
        "2023-07-28 01:16",
        "Lakeside Sheriff",
        "traffic stop, one lamp out; warned",
        "Dep. R. Littlefield",
    ),
    ("2023-12-21 23:58", "Lakeside Sheriff", "plate reader, Harbor Bridge", "reader 3"),
    ("2024-01-04 00:12", "Lakeside Sheriff", "plate reader, County Road 9", "reader 7"),
    ("2024-01-10 22:57", "Riverton Police", "plate reader, River Road", "reader 2"),
    ("2024-01-10 23:52", "Riverton Police", "plate reader, River Road", "reader 2"),
    ("2024-01-11 00:19", "Lakeside Sheriff", "plate reader, Harbor Bridge", "reader 3"),
    ("2024-01-16 15:30", "Riverton Police", "interview of owner by telephone", "Det. M. Ruiz"),
];
