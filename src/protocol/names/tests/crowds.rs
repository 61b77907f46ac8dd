//! What is claimed when many claim much.

use super::claims::{CLAIMS_MAX, CLAIMS_PER_KEY_MAX};
use super::*;

#[test]
fn one_key_alone_fills_no_table_whatever_it_calls_itself() {
    let mut bench = Bench::new();
    bench.joins(EVE, "eve");
    for n in 0..2 * CLAIMS_MAX {
        bench.says(EVE, &format!("s{n}"));
    }
    assert_eq!(bench.names.claims.len(), 1 + CLAIMS_PER_KEY_MAX, "ours, and a few of hers");
    assert!(bench.is_bare(EVE, "eve") && bench.is_bare(EVE, "s0"));
    assert!(!bench.is_bare(EVE, "s5000"), "one of too many is not its own");
    bench.joins(BOB, "s5000");
    assert!(bench.is_bare(BOB, "s5000") && !bench.is_bare(EVE, "s5000"), "whoever has it else is called so");
    bench.says(CAT, "s0");
    bench.says(EVE, "more");
    assert!(bench.is_bare(EVE, "more"), "what several claim is counted for none");
}

#[test]
fn our_own_names_are_ours_however_often_we_change_them() {
    let mut bench = Bench::new();
    for n in 0..2 * CLAIMS_PER_KEY_MAX {
        bench.names.rename(&nick(&format!("s{n}")), bench.now);
    }
    bench.joins(EVE, "s15");
    assert!(!bench.is_bare(EVE, "s15"));
}

/// Others fill the table of claims, so that it forgets.
fn crowded(bench: &mut Bench) {
    for n in 0..CLAIMS_MAX * 3 / 2 {
        bench.now = bench.now + Duration::from_millis(1);
        bench.says(numbered(n), &format!("s{n}"));
    }
}

#[test]
fn a_name_that_somebody_else_used_is_not_forgotten_while_its_bearer_is_here() {
    let mut bench = Bench::new();
    bench.meet(CAT, "teacher", true);
    bench.says(EVE, "teacher");
    crowded(&mut bench);
    bench.joins(BOB, "teacher");
    assert!(!bench.is_bare(BOB, "teacher") && !bench.is_bare(CAT, "teacher"), "nobody owns it");
    assert_eq!(bench.names.holder(&nick("teacher")), None);
    bench.leaves(CAT);
    bench.joins(BOB, "bob");
    crowded(&mut bench);
    bench.joins(EVE, "teacher");
    assert!(bench.is_bare(EVE, "teacher"), "nobody is left whom it concerns");
}

#[test]
fn our_new_name_makes_room_at_nobodys_cost_who_is_here() {
    let mut bench = Bench::new();
    bench.meet(BOB, "bob", true);
    for n in 0.. {
        if bench.names.claims.len() == CLAIMS_MAX {
            break;
        }
        bench.now = bench.now + Duration::from_millis(1);
        bench.says(numbered(n), &format!("s{n}"));
    }
    bench.names.rename(&nick("annie"), bench.now);
    assert!(bench.is_bare(BOB, "bob") && bench.is_bare(ME, "annie") && bench.names.claims.len() < CLAIMS_MAX);
}
