//! Which witnesses are enough, as a text says it.

use ledger::witness::{Policy, Quorum, WitnessKey};

use crate::witness::{log_key, seed};

fn policy(lines: &str) -> Result<Policy, String> {
    let key = |byte: u8, name: &str| {
        WitnessKey { name: name.to_owned(), public: seed(byte).public() }.to_string()
    };
    let lines = lines.replace("K1", &key(31, "x1")).replace("K2", &key(32, "x2"));
    let lines = lines.replace("K3", &key(33, "y1")).replace("LOG", &log_key().to_string());
    Policy::parse(lines.as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn a_policy_says_which_witnesses_are_enough() {
    let text = "# ours\nlog LOG\n\nwitness X1 K1 https://x1.example/w\n\twitness  X2 K2 \nwitness Y1 K3\n\
                group X 2 X1 X2\ngroup all-of-it all X Y1\nquorum all-of-it\n";
    let read = policy(text).unwrap();
    assert_eq!((read.logs.len(), read.witnesses.len()), (1, 3));
    assert!(read.quorum.met(&|_| true));
    assert!(!read.quorum.met(&|at| at != 1));
    let either = policy("witness A K1\nwitness B K2\ngroup G any A B\nquorum G\n").unwrap();
    assert!(either.quorum.met(&|at| at == 1) && !either.quorum.met(&|_| false));
    assert_eq!(policy("quorum none\n").unwrap().quorum, Quorum::None);
}

#[test]
fn a_policy_that_makes_no_sense_is_refused_with_its_line() {
    for (text, expected) in [
        ("", "line 0: there is no quorum line"),
        ("quorum none", "line 0: the last line does not end"),
        ("quorum none\nquorum none\n", "line 2: a second quorum line"),
        ("quorum X\n", "line 1: a quorum that is not defined before"),
        ("witness A K1\nwitness B K1\nquorum A\n", "line 2: a witness twice"),
        ("witness A K1\nwitness A K2\nquorum A\n", "line 2: a name that is taken"),
        ("witness none K1\nquorum none\n", "line 1: a name that is taken"),
        ("witness A LOG\nquorum A\n", "line 1: not the verifier key of a witness"),
        ("log K1\nquorum none\n", "line 1: not the verifier key of a log"),
        ("log LOG\nlog LOG\nquorum none\n", "line 2: a log twice"),
        (
            "witness A K1\ngroup G 2 A\nquorum G\n",
            "line 2: a number that is not from 1 to the number of members",
        ),
        (
            "witness A K1\ngroup G 0 A\nquorum G\n",
            "line 2: a number that is not from 1 to the number of members",
        ),
        ("witness A K1\ngroup G 01 A\nquorum G\n", "line 2: not `all`, `any` or a number"),
        ("witness A K1\ngroup G any A A\nquorum G\n", "line 2: a member that is one already"),
        ("group G any none\nquorum G\n", "line 1: a member that is not defined before"),
        ("witness A K1\rquorum A\n", "line 1: a control character"),
        ("hello\n", "line 1: not a log, witness, group or quorum line"),
    ] {
        assert_eq!(policy(text).unwrap_err(), expected, "{text:?}");
    }
}
