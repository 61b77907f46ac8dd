//! Whom a name means.

use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::test_runner::TestRunner;

use super::*;

/// One who has met two others, of whom one bears its own name.
fn met() -> (Node, Vec<PeerName>) {
    let (ann, bob) = pair();
    let mut nodes = [(ann, 1), (node(3, config()), 3)];
    up(&mut nodes[1].0, 3);
    converse(&mut nodes, 1000..1500);
    let [(ann, _), _] = nodes;
    let names: Vec<_> = ann.peers().map(|peer| peer.name).collect();
    assert!(names.len() == 2 && names.iter().any(|name| name.id == bob.identity().id()));
    (ann, names)
}

#[test]
fn a_name_as_it_is_shown_means_who_is_shown_so() {
    let (ann, names) = met();
    for name in &names {
        assert_eq!(ann.named(&name.label()), [name.id], "{}", name.label());
        assert_eq!(ann.named(&format!("{}~{}", name.nick, name.id)), [name.id]);
    }
    // Who bears our own name is shown with a suffix: nothing shorter means it.
    let namesake = names.iter().find(|name| name.suffix > 0).expect("one of them");
    for len in 0..namesake.suffix {
        let typed = format!("{}~{}", namesake.nick, namesake.id.beginning(len));
        assert!(ann.named(&typed).is_empty(), "{typed}");
    }
    assert!(ann.named(namesake.nick.as_str()).is_empty());
    let why = ann.why(namesake.nick.as_str()).expect_err("nobody is meant");
    assert!(why.contains(&namesake.label()) && why.contains("say which"), "{why}");
}

#[test]
fn no_other_text_means_anybody() {
    let (ann, names) = met();
    let texts = "(?s).{0,12}|ann.{0,3}|(ann|bob)?~[a-z2-7~]{0,27}";
    let done = TestRunner::default().run(&texts, |text| {
        for id in ann.named(&text) {
            let (nick, suffix) = text.split_once('~').unwrap_or((&text, ""));
            let meant = names.iter().find(|name| name.id == id).expect("a peer");
            prop_assert_eq!(meant.nick.as_str(), nick);
            prop_assert!(meant.id.to_string().starts_with(suffix) && suffix.len() >= meant.suffix);
        }
        // What a person may type after it does no harm either.
        let line = Line::from_peer(&text);
        prop_assert_eq!(ann.knows(&line), !ann.named(line.as_str()).is_empty());
        let _ = ann.why(&text);
        Ok(())
    });
    assert_eq!(done, Ok(()));
}
