//! Those who say hello and answer nothing: what we send does not get there.
//!
//! One alone tells only that something lies between. Where others answer us, and it hears nobody at all, it is its own
//! machine that lets nothing in; where several are heard and none answers, it is ours that lets nothing out.

use super::{Code, Deaf, Finding, SegmentView, Side, US};

/// Strangers named one by one. Whoever repeats recordings may make up many.
const STRANGERS_SHOWN: usize = 8;

/// What those say by their silence who do not answer.
pub(super) fn findings(segment: &SegmentView) -> Vec<Finding> {
    let alone = segment.members.len() < 2;
    let hearing: Vec<_> = segment.deaf.iter().filter(|deaf| !deaf.hears_nobody).collect();
    let mute = alone && hearing.len() > 1;
    let ours = mute.then(|| nothing_out(segment, &hearing));
    let theirs = segment.deaf.iter().filter(|deaf| !mute || deaf.hears_nobody).take(STRANGERS_SHOWN);
    ours.into_iter().chain(theirs.map(|deaf| nothing_in(segment, deaf, alone))).collect()
}

/// The others hear each other, and nobody hears us.
fn nothing_out(segment: &SegmentView, hearing: &[&Deaf]) -> Finding {
    let mut names: Vec<_> = hearing.iter().map(|deaf| deaf.label.as_str()).collect();
    let more = names.len().saturating_sub(STRANGERS_SHOWN);
    names.truncate(STRANGERS_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let on = &segment.name;
    Finding {
        code: Code::NotHeard,
        segment: Some(on.clone()),
        cast: None,
        side: Side::Us,
        cause: format!("{}{more} are heard on {on}, hear others, and answer nothing of ours", names.join(", ")),
        remedy: "let out UDP on this machine: nft list ruleset shows what drops it on its way out".into(),
    }
}

fn nothing_in(segment: &SegmentView, deaf: &Deaf, alone: bool) -> Finding {
    let (name, on) = (&deaf.label, &segment.name);
    let own = deaf.hears_nobody && !alone;
    let nobody = if deaf.hears_nobody { ", and says that it hears nobody" } else { "" };
    let cause = format!("{name} is heard on {on} from {}, but answers nothing{nobody}", deaf.address);
    let ports = [Some(deaf.address), segment.broadcast, segment.group].into_iter().flatten().map(|to| to.port());
    let ports: Vec<_> = ports.map(|port| port.to_string()).collect();
    let ports = ports.join(", ");
    let mut remedy = format!(
        "let in UDP ports {ports} on {name}'s machine: nft insert rule inet filter input udp dport {{ {ports} }} \
         accept (nft list ruleset shows what drops it)"
    );
    if !own {
        remedy += "; else see that nothing here drops UDP on its way out";
    }
    if !segment.contains(deaf.address.ip()) {
        remedy += "; and that each machine has a route to the other's network (ip route get ADDR)";
    }
    let side = match own {
        true => Side::Peer(name.clone()),
        false => Side::Between { from: US.into(), to: name.clone(), both: false },
    };
    Finding { code: Code::NotHeard, segment: Some(on.clone()), cast: None, side, cause, remedy }
}
