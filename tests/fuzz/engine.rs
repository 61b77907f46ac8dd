//! The targets behind libFuzzer: `UDPNODE_FUZZ` says which. `run.sh` calls it.

#![no_main]

mod targets;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

fn target() -> &'static targets::Target {
    static TARGET: OnceLock<&targets::Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("UDPNODE_FUZZ").expect("UDPNODE_FUZZ names a target");
        targets::ALL.iter().find(|target| target.name == name).expect("UDPNODE_FUZZ names a target")
    })
}

fuzz_target!(|input: &[u8]| {
    let target = target();
    (target.run)(&input[..input.len().min(target.len_max)]);
});
