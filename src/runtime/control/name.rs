//! What control sockets are called: `udpnode/UID/PROCESS/STATE/NAME` in the abstract namespace, so
//! that they can be found in `/proc/net/unix`, told apart by state directory and name, and leave
//! nothing behind. Abstract names are per network namespace, as a node is.
//!
//! Anybody may bind any such name: a name is a hint, and whoever connects checks whose socket it is.

use std::fmt;
use std::path::Path;

/// Bytes of a nick in a name: the kernel takes 107 in all. Longer nicks are cut off, on both sides.
const NICK_MAX: usize = 56;

/// The name of one control socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    /// Whose node.
    pub(crate) uid: u32,
    /// Its process; in another process namespace it may be the number of another.
    pub(crate) pid: u32,
    /// Its state directory, as [`state_of`] has it; none if it keeps nothing.
    pub(crate) state: Option<String>,
    /// How it is called, cut off.
    pub(crate) nick: String,
}

impl Name {
    pub(crate) fn new(uid: u32, pid: u32, state: Option<&Path>, nick: &str) -> Self {
        Self { uid, pid, state: state.map(state_of), nick: cut(nick).into() }
    }

    /// Whether a node of this nick may have this name.
    pub(crate) fn is_called(&self, nick: &str) -> bool {
        self.nick == cut(nick)
    }

    /// The names in the table of the kernel that sockets of `uid` listen on.
    pub(crate) fn all(table: &str, uid: u32) -> Vec<Self> {
        let listening = table.lines().filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            // Num RefCount Protocol Flags Type St Inode Path
            let flags = words.by_ref().nth(3)?;
            let path = words.nth(3)?;
            (flags == "00010000").then(|| Self::read(path.strip_prefix('@')?)).flatten()
        });
        let mut names: Vec<_> = listening.filter(|name| name.uid == uid).collect();
        names.sort();
        names.dedup();
        names
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("udpnode/")?.splitn(4, '/');
        let (uid, pid) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let state = parts.next().filter(|state| !state.is_empty()).map(str::to_owned);
        Some(Self { uid, pid, state: state.filter(|state| state != "-"), nick: parts.next()?.into() })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uid, pid, state, nick } = self;
        write!(f, "udpnode/{uid}/{pid}/{}/{nick}", state.as_deref().unwrap_or("-"))
    }
}

/// A state directory in a name: too long to stand there itself, so a hash of where it really is.
pub(crate) fn state_of(dir: &Path) -> String {
    let real = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let hash = blake3::hash(real.as_os_str().as_encoded_bytes());
    hash.to_hex()[..16].to_owned()
}

fn cut(nick: &str) -> &str {
    &nick[..nick.floor_char_boundary(NICK_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_the_table_of_the_kernel() {
        let ann = Name::new(1000, 77, None, "ann");
        let bob = Name::new(1000, 78, Some(Path::new("/nowhere/bob")), "bøb");
        let table = format!(
            "Num       RefCount Protocol Flags    Type St Inode Path\n\
             0000000000000000: 00000002 00000000 00010000 0001 01 10 @{ann}\n\
             0000000000000000: 00000003 00000000 00000000 0001 03 11 @{ann}\n\
             0000000000000000: 00000002 00000000 00010000 0001 01 12 @{bob}\n\
             0000000000000000: 00000002 00000000 00010000 0001 01 13 @udpnode/0/1/-/eve\n\
             0000000000000000: 00000002 00000000 00010000 0001 01 14 @udpnode/1000/x/-/eve\n\
             0000000000000000: 00000002 00000000 00010000 0001 01 15 /run/user/udpnode/1000/1/-/eve\n\
             0000000000000000: 00000002 00000000 00010000 0001 01 16\n"
        );
        assert_eq!(Name::all(&table, 1000), [ann, bob]);
    }

    #[test]
    fn a_name_fits_the_kernel_and_still_tells_the_nick() {
        let nick = "界".repeat(48);
        let name = Name::new(u32::MAX, u32::MAX, Some(Path::new("/x")), &nick);
        assert!(name.to_string().len() <= 107, "{name}");
        assert!(name.is_called(&nick) && !name.is_called("界"));
        assert_ne!(state_of(Path::new("/x")), state_of(Path::new("/y")));
    }
}
