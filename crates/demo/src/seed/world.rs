//! The made-up world: who lives there, what they drive and what happened, each a function of the
//! agency and a row number alone, so that rows can refer to one another without being kept.
//!
//! Invariants: nothing happens after 2025, so that no clock makes a record lie in the future;
//! adults were born by 2005 and juveniles from 2010 to 2015, so that nobody's caveat goes stale
//! before 2028; the rows of the demo's story (`fixed`) replace what chance would have put there.

use crate::seed::Agency;
use crate::seed::dice::{Dice, MINUTES_OF_YEAR_MAX, Moment, at};
use crate::seed::fixed;
use crate::seed::names;
use crate::seed::phrases::{self, Car, Class, Kind};

/// The first year with incidents; there are five.
pub(crate) const YEAR_FIRST: u32 = 2021;
pub(crate) const YEARS: u32 = 5;

/// An agency's world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub(crate) agency: Agency,
    pub(crate) persons: u32,
    pub(crate) vehicles: u32,
    pub(crate) incidents: u32,
    salt: u64,
}

/// A person. Numbers count from 0; the identifier is one more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Person {
    pub(crate) number: u32,
    pub(crate) first: &'static str,
    pub(crate) middle: &'static str,
    pub(crate) last: &'static str,
    pub(crate) sex: &'static str,
    /// Year, month, day.
    pub(crate) born: (u32, u32, u32),
    pub(crate) height_cm: u32,
    pub(crate) licence: Option<u32>,
    pub(crate) address: Address,
    pub(crate) phone: (u32, u32),
    pub(crate) juvenile: bool,
}

/// A street address in one of the world's cities.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    pub(crate) house: u32,
    pub(crate) street: &'static str,
    pub(crate) way: &'static str,
    pub(crate) city: &'static str,
}

/// A vehicle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vehicle {
    pub(crate) number: u32,
    pub(crate) plate: [char; 7],
    pub(crate) state: &'static str,
    pub(crate) year: u32,
    pub(crate) make: &'static str,
    pub(crate) model: &'static str,
    pub(crate) colour: &'static str,
    pub(crate) vin: [char; 17],
    pub(crate) owner: u32,
    pub(crate) status: &'static str,
}

/// Something that was reported, with those it concerns.
#[derive(Clone, Copy)]
pub(crate) struct Incident {
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) occurred: Moment,
    pub(crate) reported: Moment,
    /// Three days after the report, when things turn up.
    pub(crate) settled: Moment,
    pub(crate) place: Address,
    pub(crate) officer: &'static str,
    pub(crate) lead: &'static str,
    pub(crate) status: &'static str,
    pub(crate) ending: &'static str,
    pub(crate) complainant: u32,
    pub(crate) suspect: Option<u32>,
    pub(crate) witness: Option<u32>,
    pub(crate) vehicle: Option<u32>,
    pub(crate) juvenile: bool,
}

/// The streams of numbers, one a purpose.
#[derive(Clone, Copy)]
pub(crate) enum Lane {
    Person = 1,
    Vehicle,
    Incident,
    Narrative,
    Events,
}

impl World {
    /// The world of an agency.
    pub(crate) fn of(agency: Agency) -> Self {
        match agency {
            Agency::Riverton => Self {
                agency,
                persons: 40_000,
                vehicles: 50_000,
                incidents: 20_000,
                salt: 0x0052_4956_4552_544F,
            },
            Agency::Lakeside => Self {
                agency,
                persons: 3_200,
                vehicles: 4_000,
                incidents: 1_600,
                salt: 0x004C_414B_4553_4944,
            },
        }
    }

    /// The stream for one row.
    pub(crate) fn dice(&self, lane: Lane, number: u32) -> Dice {
        Dice::of(self.salt, lane as u64, number)
    }

    /// The person of this number.
    pub(crate) fn person(&self, number: u32) -> Person {
        let mut dice = self.dice(Lane::Person, number);
        let juvenile = dice.chance(80);
        let (first, sex) = match dice.below(100) {
            0..47 => (dice.pick(names::WOMEN), "F"),
            47..94 => (dice.pick(names::MEN), "M"),
            other => (dice.pick(names::ANYONE), if other < 97 { "X" } else { "F" }),
        };
        let year = if juvenile { dice.between(2010, 2015) } else { dice.between(1941, 2005) };
        let height_cm = match (juvenile, sex) {
            (true, _) => dice.between(104, 168),
            (false, "M") => dice.between(162, 196),
            (false, _) => dice.between(150, 184),
        };
        let person = Person {
            number,
            first,
            middle: dice.pick(names::MIDDLE_NAMES),
            last: dice.pick(names::LAST_NAMES),
            sex,
            born: (year, dice.between(1, 12), dice.between(1, 28)),
            height_cm,
            licence: (!juvenile && dice.chance(930)).then(|| 10_000_000 + number * 1_009),
            address: self.address(&mut dice),
            phone: (dice.pick(&[308, 402, 531]), dice.between(100, 199)),
            juvenile,
        };
        fixed::person(self.agency, person)
    }

    /// A grown person, drawn from the stream.
    fn adult(&self, dice: &mut Dice) -> u32 {
        for _ in 0..32 {
            let number = dice.below(self.persons);
            if !self.person(number).juvenile {
                return number;
            }
        }
        0
    }

    /// A person old enough to be suspected of something in `year`.
    fn suspect(&self, dice: &mut Dice, year: u32) -> u32 {
        let number = dice.below(self.persons);
        let person = self.person(number);
        let (born, _, _) = person.born;
        if person.juvenile && born + 11 > year { self.adult(dice) } else { number }
    }

    fn address(&self, dice: &mut Dice) -> Address {
        let cities = match self.agency {
            Agency::Riverton => names::RIVERTON_CITIES,
            Agency::Lakeside => names::LAKESIDE_CITIES,
        };
        Address {
            house: dice.between(101, 4_899),
            street: dice.pick(names::STREETS),
            way: dice.pick(names::WAYS),
            city: dice.pick(cities),
        }
    }

    /// The vehicle of this number.
    pub(crate) fn vehicle(&self, number: u32) -> Vehicle {
        let mut dice = self.dice(Lane::Vehicle, number);
        let home = dice.chance(860);
        let (make, opening, models) = dice.pick(names::MAKES);
        let year = dice.between(2003, 2025);
        let vehicle = Vehicle {
            number,
            plate: plate(number, home),
            state: if home { names::HOME_STATE } else { dice.pick(names::OTHER_STATES) },
            year,
            make,
            model: dice.pick(models),
            colour: dice.pick(names::COLOURS),
            vin: vin(opening, year, &mut dice),
            owner: self.adult(&mut dice),
            status: match dice.below(1000) {
                0..7 => "stolen",
                7..12 => "flagged",
                _ => "clear",
            },
        };
        fixed::vehicle(self.agency, vehicle)
    }

    /// How many incidents a year has; the last ones share what is left over.
    pub(crate) fn incidents_of_year(&self) -> u32 {
        self.incidents / YEARS
    }

    /// The year and serial of an incident's case number.
    pub(crate) fn case(&self, number: u32) -> (u32, u32) {
        let a_year = self.incidents_of_year().max(1);
        (YEAR_FIRST + number / a_year, number % a_year + 1)
    }

    /// The incident of this number.
    pub(crate) fn incident(&self, number: u32) -> Incident {
        let mut dice = self.dice(Lane::Incident, number);
        let (year, serial) = self.case(number);
        let step = MINUTES_OF_YEAR_MAX / self.incidents_of_year().max(1);
        let reported = (serial - 1) * step + dice.below(step);
        let delay = if dice.chance(300) { dice.between(180, 900) } else { dice.between(3, 70) };
        let kind = dice.pick(phrases::KINDS);
        let per_mille = if kind.car == Car::Sometimes { 160 } else { 1000 };
        let vehicle = dice.chance(per_mille).then(|| dice.below(self.vehicles));
        let complainant = match (vehicle, kind.car) {
            (Some(vehicle), Car::Own) => self.vehicle(vehicle).owner,
            (_, Car::Own | Car::Others | Car::Sometimes) => self.adult(&mut dice),
        };
        let suspect = dice.chance(280).then(|| self.suspect(&mut dice, year));
        let suspect = suspect.filter(|suspect| *suspect != complainant);
        let witness = dice.chance(420).then(|| self.adult(&mut dice));
        let (_, officers, leads) = self.agency.staff();
        let (status, ending) = ending(&mut dice, kind.class, suspect.is_some());
        let incident = Incident {
            number,
            kind,
            occurred: Moment::of_year(year, reported.saturating_sub(delay)),
            reported: Moment::of_year(year, reported),
            settled: Moment::of_year(year, reported + 3 * 24 * 60),
            place: self.address(&mut dice),
            officer: dice.pick(officers),
            lead: dice.pick(leads),
            status,
            ending,
            complainant,
            suspect,
            witness: witness.filter(|one| *one != complainant && Some(*one) != suspect),
            vehicle,
            juvenile: suspect.is_some_and(|suspect| self.person(suspect).juvenile),
        };
        fixed::incident(self.agency, incident)
    }
}

/// How it stands and the sentence that says so. An arrest needs somebody to arrest.
fn ending(dice: &mut Dice, class: Class, suspect: bool) -> (&'static str, &'static str) {
    let place = match (class, suspect) {
        (Class::Service, _) => dice.pick(&[0, 0, 0, 2]),
        (Class::Traffic, false) => dice.pick(&[0, 0, 0, 1, 4]),
        (_, true) => dice.pick(&[1, 3, 3, 4]),
        (_, false) => dice.pick(&[0, 1, 1, 2, 2]),
    };
    let (status, sentences) = phrases::ENDINGS.get(place).copied().unwrap_or_default();
    (status, dice.pick(sentences))
}

/// The letters of plates and vehicle numbers; without those that look like digits.
const LETTERS: [char; 23] = [
    'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'J', 'K', 'L', 'M', 'N', 'P', 'R', 'S', 'T', 'U', 'V',
    'W', 'X', 'Y', 'Z',
];

/// A plate that no other number has: `7KDR419` at home, `KDR4197` from elsewhere. Multiplying by
/// a number that shares no factor with the count of plates is a permutation of them.
fn plate(number: u32, home: bool) -> [char; 7] {
    const PLATES: u64 = 9 * 23 * 23 * 23 * 1_000;
    let place = (u64::from(number) * 7_654_321 + 31_415_926) % PLATES;
    let made = plate_at(place, home);
    // The story's plate belongs to one vehicle, set in `fixed`.
    if made == fixed::PLATE { plate_at((place + PLATES / 2) % PLATES, home) } else { made }
}

fn plate_at(place: u64, home: bool) -> [char; 7] {
    let place = u32::try_from(place).unwrap_or(0);
    let letter = |unit: u32| at(&LETTERS, place / 9 / unit % 23);
    let digit = |number: u32| char::from_digit(number % 10, 10).unwrap_or('0');
    let front = digit(place % 9 + 1);
    let letters = [letter(1), letter(23), letter(529)];
    let tail = place / 9 / 12_167;
    let digits = [digit(tail / 100), digit(tail / 10), digit(tail)];
    let [a, b, c] = letters;
    let [x, y, z] = digits;
    if home { [front, a, b, c, x, y, z] } else { [a, b, c, x, y, z, front] }
}

/// A vehicle identification number with a true check digit (49 CFR 565.15) and a maker that does
/// not exist.
pub(crate) fn vin(opening: &str, year: u32, dice: &mut Dice) -> [char; 17] {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let mut vin = ['0'; 17];
    let serial = dice.below(1_000_000);
    let body = [dice.pick(&LETTERS), dice.pick(&LETTERS), dice.pick(&LETTERS)];
    let fixed = opening.chars().chain(body).chain(['2', '1', '0']);
    // Model years run through letters that leave out I, O, Q, U and Z, then through digits.
    let years = "3456789ABCDEFGHJKLMNPRS";
    let model_year = years.chars().cycle().nth((year.saturating_sub(2003)) as usize);
    let tail = [100_000, 10_000, 1_000, 100, 10, 1]
        .into_iter()
        .map(|unit| char::from_digit(serial / unit % 10, 10).unwrap_or('0'));
    let all = fixed.take(9).chain(model_year).chain(['X']).chain(tail);
    for (slot, letter) in vin.iter_mut().zip(all) {
        *slot = letter;
    }
    let sum: u32 =
        vin.iter().zip(WEIGHTS).map(|(letter, weight)| vin_value(*letter) * weight).sum();
    let check = match sum % 11 {
        10 => 'X',
        digit => char::from_digit(digit, 10).unwrap_or('0'),
    };
    if let Some(slot) = vin.get_mut(8) {
        *slot = check;
    }
    vin
}

/// What a character counts in the check digit.
fn vin_value(letter: char) -> u32 {
    match letter {
        'A' | 'J' => 1,
        'B' | 'K' | 'S' => 2,
        'C' | 'L' | 'T' => 3,
        'D' | 'M' | 'U' => 4,
        'E' | 'N' | 'V' => 5,
        'F' | 'W' => 6,
        'G' | 'P' | 'X' => 7,
        'H' | 'Y' => 8,
        'R' | 'Z' => 9,
        digit => digit.to_digit(10).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::{Agency, World};
    use std::collections::BTreeSet;

    #[test]
    fn plates_are_unique_and_the_story_has_its_own() {
        let world = World::of(Agency::Riverton);
        let plates: BTreeSet<String> = (0..world.vehicles)
            .map(|number| world.vehicle(number).plate.iter().collect::<String>())
            .collect();
        assert_eq!(plates.len(), usize::try_from(world.vehicles).unwrap());
        assert!(plates.contains("7KDR419"));
    }

    #[test]
    fn people_are_old_enough_for_what_the_record_says_of_them() {
        let world = World::of(Agency::Riverton);
        let juveniles = (0..world.persons).filter(|number| world.person(*number).juvenile).count();
        assert!((2_500..4_500).contains(&juveniles), "{juveniles}");
        for number in 0..world.persons {
            let person = world.person(number);
            let (born, _, _) = person.born;
            assert_eq!(person.juvenile, born >= 2010, "{person:?}");
            assert!(!person.juvenile || person.licence.is_none(), "{person:?}");
        }
        for number in 0..world.incidents {
            let incident = world.incident(number);
            assert!(!world.person(incident.complainant).juvenile);
            assert!(incident.occurred <= incident.reported, "incident {number}");
            assert!(incident.reported.year < 2026);
        }
        for number in (0..world.vehicles).step_by(7) {
            assert!(!world.person(world.vehicle(number).owner).juvenile);
        }
    }

    #[test]
    fn case_numbers_run_in_the_order_of_reports() {
        let world = World::of(Agency::Riverton);
        assert_eq!(world.case(12_112), (2024, 113));
        let mut before = world.incident(0).reported;
        for number in 1..world.incidents {
            let now = world.incident(number).reported;
            assert!(before <= now, "incident {number}");
            before = now;
        }
    }
}
