//! The targets behind libFuzzer: `UDPNODE_FUZZ` says which. `run.sh` calls it. The file `UDPNODE_FUZZ_TRIED`, if it is
//! named, is told each second how many things were tried: one input has several.

#![no_main]

mod targets;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use libfuzzer_sys::fuzz_target;

fn target() -> &'static targets::Target {
    static TARGET: OnceLock<&targets::Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("UDPNODE_FUZZ").expect("UDPNODE_FUZZ names a target");
        targets::ALL.iter().find(|target| target.name == name).expect("UDPNODE_FUZZ names a target")
    })
}

/// Adds to what was tried, and tells it.
fn tell(things: u64) {
    static TRIED: AtomicU64 = AtomicU64::new(0);
    static TOLD: OnceLock<(Option<String>, Instant)> = OnceLock::new();
    static SECONDS: AtomicU64 = AtomicU64::new(0);
    let tried = TRIED.fetch_add(things, Ordering::Relaxed) + things;
    let (file, began) = TOLD.get_or_init(|| (std::env::var("UDPNODE_FUZZ_TRIED").ok(), Instant::now()));
    let Some(file) = file else { return };
    let seconds = began.elapsed().as_secs();
    if SECONDS.swap(seconds, Ordering::Relaxed) != seconds {
        // Whoever reads it while it is written reads what it said before.
        let next = format!("{file}.next");
        std::fs::write(&next, format!("{tried} {}\n", target().things)).expect("a file beside the one that is told");
        std::fs::rename(&next, file).expect("the file that is told");
    }
}

fuzz_target!(|input: &[u8]| {
    let target = target();
    tell((target.run)(&input[..input.len().min(target.len_max)]));
});
