//! Processes that share one log in PostgreSQL and feed one witness: what the witness has from another of them
//! is no rollback, and a database that was put back is one.

use ledger::watched::{Asked, Stop, StopKind, Witnessing};
use ledger::witness::Answer;
use ledger::{AppendError, Event, Ledger, Settings};

use crate::common::{append, numbered};
use crate::database::{Base, Server};
use crate::watched::{World, grow, lakeside};

fn witnessed(settings: &mut Settings) {
    settings.witnessing = Witnessing::any_of(vec![lakeside()]);
}

/// A process that looks at the log only when it has to.
fn open(base: &Base<'_>, process: &str, world: &World) -> Ledger {
    base.open_quiet_as(process, base.dial(), &world.clock, &witnessed)
}

fn cosigned(asked: &Asked, size: u64) {
    let Asked::Confirmed(events) = asked else { panic!("{asked:?}") };
    for event in events {
        let expected = Event::CheckpointCosigned { witness: "lakeside".to_owned(), size };
        assert_eq!(*event, expected);
    }
}

#[test]
fn two_processes_feed_one_witness_and_neither_takes_the_other_for_a_rollback() {
    let Some(server) = Server::start() else { return };
    let (base, world) = (server.base("pair"), World::new());
    let (one, two) = (open(&base, "one", &world), open(&base, "two", &world));
    grow(&one, 3);
    cosigned(&world.ask(&one), 3);
    grow(&two, 4);
    cosigned(&world.ask(&two), 7);
    // It has seen nothing of the four, until the witness speaks of them.
    assert_eq!(one.size(), 3);
    cosigned(&world.ask(&one), 7);
    assert_eq!(one.size(), 7);
    let roots = [&one, &two].map(|it| it.checkpoint().unwrap());
    assert_eq!(roots[0], roots[1]);

    // The other is faster while a submission is on its way.
    let late = one.submission("lakeside", None).unwrap().unwrap();
    grow(&two, 2);
    cosigned(&world.ask(&two), 9);
    assert_eq!(world.submit(&one, &late), Asked::Again(9));
    cosigned(&world.ask(&one), 9);
    grow(&one, 1);
    one.close().unwrap();
    two.close().unwrap();

    // What was cosigned is held against the database at the next start.
    let (one, two) = (open(&base, "one", &world), open(&base, "two", &world));
    assert!(one.releasable().is_ok() && two.releasable().is_ok());
    let newest = |it: &Ledger| it.witnessed().witnesses[0].size;
    assert_eq!((newest(&one), newest(&two)), (Some(9), Some(9)));
    one.close().unwrap();
    two.close().unwrap();
    base.exported("exported", 10);
}

#[test]
fn a_witness_is_not_judged_while_the_database_can_t_say_what_it_has() {
    let Some(server) = Server::start() else { return };
    let (base, world) = (server.base("cut"), World::new());
    let dial = base.dial();
    let what = dial.what.clone();
    let one = base.open_quiet_as("one", dial, &world.clock, &witnessed);
    grow(&one, 3);
    let submission = one.submission("lakeside", None).unwrap().unwrap();
    what.cut_after_writes(0);
    let asked = one.take_answer(&submission, &Answer::Conflict(90), None);
    let Asked::Failed(why) = asked else { panic!("{asked:?}") };
    assert!(why.contains("it has seen 90 entries, and whether we have them"), "{why}");
    assert!(one.witnessed().stop.is_none());
    what.calm();
    // It is looked at again as soon as it may be.
    let asked = loop {
        match one.take_answer(&submission, &Answer::Conflict(90), None) {
            Asked::Failed(_) => std::thread::yield_now(),
            asked => break asked,
        }
    };
    assert!(matches!(asked, Asked::Stopped(Stop { kind: StopKind::Rollback, .. })), "{asked:?}");
}

#[test]
fn a_database_put_back_is_named_by_the_witness_to_a_machine_that_has_never_seen_it() {
    let Some(server) = Server::start() else { return };
    let (base, world) = (server.base("failover"), World::new());
    let one = open(&base, "one", &world);
    grow(&one, 10);
    cosigned(&world.ask(&one), 10);
    one.close().unwrap();
    let older = server.copy("failover", "older");
    let one = open(&base, "one", &world);
    grow(&one, 10);
    cosigned(&world.ask(&one), 20);
    one.close().unwrap();

    // A standby that lagged behind takes over, and a new machine with it.
    let new = open(&older, "new", &world);
    assert_eq!(new.size(), 10);
    grow(&new, 1);
    let asked = world.ask(&new);
    let Asked::Stopped(stop) = asked else { panic!("{asked:?}") };
    assert_eq!((stop.kind, stop.seen, stop.size), (StopKind::Rollback, 20, 11));
    assert!(stop.theirs.is_some(), "the witness shows what was signed");
    let refused = append(&new, numbered(0)).unwrap_err();
    assert!(matches!(refused, AppendError::Stopped { .. }), "{refused}");
    assert!(new.releasable().is_err());
    // The last entry says why; and another verifier is told by the size that somebody wrote down.
    let told = new.read(ledger::EntryNumber(11)).unwrap().record.event;
    assert!(matches!(told, Event::RollbackDetected { seen: 20, .. }), "{told:?}");
    new.close().unwrap();
    assert_eq!(older.export("exported").unwrap(), 12);
    let options =
        ledger::VerifyOptions { expect_size: Some(20), ..ledger::VerifyOptions::default() };
    let damage = ledger::verify(&older.folder("exported"), options).unwrap_err();
    assert!(damage.to_string().contains("20"), "{damage}");
}
