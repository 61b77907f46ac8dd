//! Target `files`: what stands in the state directory and in key files.

use udpnode::runtime::foreign;

/// Runs one input: every file may hold it.
pub(crate) fn run(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let key = foreign::secret_key(input);
    assert_eq!(key.is_some(), input.len() == 32, "a key has one length");
    if let Some(boot) = foreign::run_number(&text) {
        assert_eq!(foreign::run_number(&boot.to_string()), Some(boot));
    }
    let peers = foreign::remembered_peers(&text);
    assert!(peers.len() <= 64, "{} addresses are remembered", peers.len());
    assert!(peers.iter().all(|at| at.port() != 0 && !at.ip().is_multicast() && !at.ip().is_unspecified()));
    match foreign::group_keys(&text) {
        Ok(count) => assert!((1..=2).contains(&count), "{count} keys"),
        // What stands there is never told: only numbers of lines and words of ours.
        Err(why) => {
            assert!(why.is_ascii() && why.len() < 200, "{why}");
            let secret = text.split_whitespace().find(|word| word.len() > 13 && why.contains(word));
            assert_eq!(secret, None, "{why}");
        }
    }
    1
}
