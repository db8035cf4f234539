//! Prose for an incident: fragments with the details of that incident filled in.

use crate::seed::Agency;
use crate::seed::dice::{Dice, digits};
use crate::seed::fixed;
use crate::seed::phrases::{self, Class};
use crate::seed::world::{Address, Incident, Lane, Person, Vehicle, World};

/// What a fragment may ask for, worked out once an incident.
struct Details {
    incident: Incident,
    complainant: Person,
    suspect: Option<Person>,
    witness: Option<Person>,
    vehicle: Option<Vehicle>,
    item: &'static str,
    amount: u32,
    small: u32,
    tag: u32,
}

impl Details {
    fn of(world: &World, incident: Incident, dice: &mut Dice) -> Self {
        Self {
            incident,
            complainant: world.person(incident.complainant),
            suspect: incident.suspect.map(|number| world.person(number)),
            witness: incident.witness.map(|number| world.person(number)),
            vehicle: incident.vehicle.map(|number| world.vehicle(number)),
            item: dice.pick(phrases::ITEMS),
            amount: dice.between(4, 380) * 10,
            small: dice.between(2, 9),
            tag: dice.between(10_000, 99_999),
        }
    }

    /// Writes a fragment with its details; a sentence begins with a capital letter.
    fn fill(&self, out: &mut String, fragment: &str) {
        let mut rest = fragment;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let (slot, after) = after.split_once('}').unwrap_or((after, ""));
            let start = out.len();
            self.detail(out, slot);
            let opens = start == 0 || out.get(..start).is_some_and(|text| text.ends_with(". "));
            if opens && let Some(first) = out.get_mut(start..start + 1) {
                first.make_ascii_uppercase();
            }
            rest = after;
        }
        out.push_str(rest);
    }

    fn detail(&self, out: &mut String, slot: &str) {
        match slot {
            "O" => out.push_str(self.incident.officer),
            "L" => out.push_str(self.incident.lead),
            "C" => full_name(out, &self.complainant),
            "c" => out.push_str(self.complainant.last),
            "S" => self.suspect.iter().for_each(|suspect| full_name(out, suspect)),
            "s" => self.suspect.iter().for_each(|suspect| out.push_str(suspect.last)),
            "W" => self.witness.iter().for_each(|witness| full_name(out, witness)),
            "w" => self.witness.iter().for_each(|witness| out.push_str(witness.last)),
            "V" => self.vehicle.iter().for_each(|vehicle| car(out, vehicle)),
            "P" => place(out, &self.incident.place),
            "D" => self.incident.reported.write_words(out),
            "T" => self.incident.occurred.write_clock(out),
            "R" => self.incident.reported.write_clock(out),
            "A" => money(out, self.amount),
            "I" => out.push_str(self.item),
            "N" => digits(out, self.small, 1),
            "E" => digits(out, self.tag, 5),
            _ => {}
        }
    }
}

/// Writes an incident's summary line into `summary` and its narrative into `narrative`.
pub(crate) fn write(
    world: &World,
    incident: Incident,
    summary: &mut String,
    narrative: &mut String,
) {
    summary.clear();
    narrative.clear();
    if world.agency == Agency::Riverton && incident.number == fixed::INCIDENT {
        summary.push_str(fixed::SUMMARY);
        narrative.push_str(fixed::NARRATIVE);
        return;
    }
    let mut dice = world.dice(Lane::Narrative, incident.number);
    let details = Details::of(world, incident, &mut dice);
    details.fill(summary, incident.kind.summary);

    let mut sentence = |fragment: &str| {
        if !narrative.is_empty() {
            narrative.push(' ');
        }
        details.fill(narrative, fragment);
    };
    sentence(dice.pick(phrases::OPENINGS));
    sentence(dice.pick(incident.kind.scenes));
    if incident.kind.class != Class::Service {
        sentence(dice.pick(phrases::TIMES));
    }
    if details.vehicle.is_some() {
        let own = incident.kind.car == phrases::Car::Own;
        sentence(dice.pick(if own { phrases::OWN_VEHICLES } else { phrases::VEHICLES }));
    }
    if incident.juvenile {
        sentence(dice.pick(phrases::JUVENILES));
    } else if details.suspect.is_some() {
        sentence(dice.pick(phrases::SUSPECTS));
    }
    if details.witness.is_some() {
        sentence(dice.pick(match incident.kind.class {
            Class::Property | Class::Person => phrases::WITNESSES,
            Class::Traffic | Class::Service => phrases::BYSTANDERS,
        }));
    }
    let follow_ups = phrases::FOLLOW_UPS.iter().find(|(class, _)| *class == incident.kind.class);
    if let Some((_, fragments)) = follow_ups {
        let first = dice.pick(fragments);
        let second = dice.pick(fragments);
        sentence(first);
        if first != second {
            sentence(second);
        }
    }
    sentence(incident.ending);
}

/// `Dana Marlow`
pub(crate) fn full_name(out: &mut String, person: &Person) {
    out.push_str(person.first);
    out.push(' ');
    out.push_str(person.last);
}

/// `212 Foundry Street`
pub(crate) fn street(out: &mut String, address: &Address) {
    digits(out, address.house, 1);
    out.push(' ');
    out.push_str(address.street);
    out.push(' ');
    out.push_str(address.way);
}

/// `212 Foundry Street, Riverton`
pub(crate) fn place(out: &mut String, address: &Address) {
    street(out, address);
    out.push_str(", ");
    out.push_str(address.city);
}

/// `gray 2015 Honda Fit, plate 7KDR419 (NE)`
fn car(out: &mut String, vehicle: &Vehicle) {
    out.push_str(vehicle.colour);
    out.push(' ');
    digits(out, vehicle.year, 4);
    out.push(' ');
    out.push_str(vehicle.make);
    out.push(' ');
    out.push_str(vehicle.model);
    out.push_str(", plate ");
    out.extend(vehicle.plate);
    out.push_str(" (");
    out.push_str(vehicle.state);
    out.push(')');
}

/// `$1,240`
fn money(out: &mut String, dollars: u32) {
    out.push('$');
    if dollars >= 1_000 {
        digits(out, dollars / 1_000, 1);
        out.push(',');
        digits(out, dollars % 1_000, 3);
    } else {
        digits(out, dollars, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::{Agency, World, fixed, write};
    use std::collections::BTreeSet;

    #[test]
    fn narratives_are_several_whole_sentences_and_hardly_repeat() {
        let world = World::of(Agency::Lakeside);
        let (mut summary, mut narrative) = (String::new(), String::new());
        let mut seen = BTreeSet::new();
        for number in 0..world.incidents {
            write(&world, world.incident(number), &mut summary, &mut narrative);
            for text in [&summary, &narrative] {
                assert!(!text.contains(['{', '}']), "{text}");
                assert!(!text.contains("  ") && !text.contains(" ."), "{text}");
                assert!(text.ends_with('.'), "{text}");
                assert!(text.chars().next().is_some_and(|c| !c.is_ascii_lowercase()), "{text}");
            }
            assert!(narrative.matches(". ").count() >= 3, "{narrative}");
            seen.insert(narrative.clone());
        }
        assert_eq!(seen.len(), usize::try_from(world.incidents).unwrap());
    }

    #[test]
    fn the_case_of_the_story_names_its_people_and_its_car() {
        let world = World::of(Agency::Riverton);
        let (mut summary, mut narrative) = (String::new(), String::new());
        write(&world, world.incident(fixed::INCIDENT), &mut summary, &mut narrative);
        for word in ["7KDR419", "Dana Marlow", "Achterberg", "E-000001", "E-000002", "23:41"] {
            assert!(narrative.contains(word), "{word}");
        }
        assert!(!narrative.contains("Toby"), "a juvenile is not named in an adult's report");
    }
}
