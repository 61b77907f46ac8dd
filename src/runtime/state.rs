//! The state directory: the key of a node, the number of its run, and a lock.
//!
//! One directory is one node. Where it cannot be used - another node has it, it cannot be written,
//! there is no HOME - the node runs with a key for this run only and says so. A key that is there
//! but damaged, or that others can read, is never replaced silently.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Length of a secret key in bytes.
const KEY_LEN: usize = 32;

/// Keeps other nodes out of a state directory until it is dropped.
pub(crate) type Lock = Flock<File>;

/// Who this node is, in this run.
#[derive(Debug)]
pub(crate) struct State {
    /// The secret key.
    pub(crate) secret: [u8; KEY_LEN],
    /// Which run this is, from 1.
    pub(crate) boot: u64,
    /// The key is for this run only.
    pub(crate) ephemeral: bool,
    /// What the person should know about it.
    pub(crate) warning: Option<String>,
    /// Where it is kept, if anywhere.
    pub(crate) dir: Option<PathBuf>,
    /// To be held as long as the node runs; `None` where there is nothing to hold.
    pub(crate) lock: Option<Lock>,
}

/// Why the state directory must be looked after before the node can run.
#[derive(Debug)]
pub(crate) enum StateError {
    /// The key has another length than a key has.
    Damaged(PathBuf, usize),
    /// Others may read the key.
    Readable(PathBuf, u32),
    /// The kernel gives no random numbers.
    Random(getrandom::Error),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(path, len) => write!(
                f,
                "the key {} has {len} bytes instead of {KEY_LEN}: restore it, or remove it to become a new peer",
                path.display()
            ),
            Self::Readable(path, mode) => write!(
                f,
                "the key {} has mode {mode:04o}, so others can read or change it: chmod 600 {}",
                path.display(),
                path.display()
            ),
            Self::Random(why) => write!(f, "the kernel gives no random numbers: {why}"),
        }
    }
}

/// Why a directory is not used; the node runs without it.
#[derive(Debug)]
enum Unusable {
    Locked,
    Io(PathBuf, io::Error),
    Broken(StateError),
}

impl From<StateError> for Unusable {
    fn from(why: StateError) -> Self {
        Self::Broken(why)
    }
}

/// The usual state directory of a node of this name, if the environment names one.
pub(crate) fn usual_dir(nick: &str, xdg: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    // A relative path is to be ignored (XDG Base Directory Specification).
    let base = xdg.filter(|path| path.is_absolute());
    let home = home.filter(|path| !path.as_os_str().is_empty());
    Some(base.or_else(|| home.map(|path| path.join(".local/state")))?.join("udpnode").join(nick))
}

/// The state kept in `dir`, made there if there is none yet.
///
/// # Errors
/// A [`StateError`] if the key that is there must not be used.
pub(crate) fn open(dir: &Path) -> Result<State, StateError> {
    match try_open(dir) {
        Ok(state) => Ok(state),
        Err(Unusable::Broken(why)) => Err(why),
        Err(Unusable::Locked) => {
            let dir = dir.display();
            nowhere(Some(format!("{dir} is in use by another node: this run has a key of its own")))
        }
        Err(Unusable::Io(path, why)) => {
            let path = path.display();
            nowhere(Some(format!("cannot use {path}: {why}: this run has a key of its own")))
        }
    }
}

/// A key for this run only.
///
/// # Errors
/// [`StateError::Random`].
pub(crate) fn nowhere(warning: Option<String>) -> Result<State, StateError> {
    Ok(State { secret: random()?, boot: 1, ephemeral: true, warning, dir: None, lock: None })
}

/// 32 bytes that nobody can guess.
///
/// # Errors
/// [`StateError::Random`].
pub(crate) fn random() -> Result<[u8; KEY_LEN], StateError> {
    let mut bytes = [0; KEY_LEN];
    getrandom::fill(&mut bytes).map_err(StateError::Random)?;
    Ok(bytes)
}

fn try_open(dir: &Path) -> Result<State, Unusable> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |why| Unusable::Io(path, why)
    };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
    let lock = lock(&dir.join("lock"))?;
    let (secret, fresh) = key(dir)?;
    let (boot, warning) = next_boot(dir, fresh).map_err(at(&dir.join("boot")))?;
    Ok(State { secret, boot, ephemeral: false, warning, dir: Some(dir.to_owned()), lock: Some(lock) })
}

fn lock(path: &Path) -> Result<Lock, Unusable> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|why| Unusable::Io(path.to_owned(), why))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, Errno::EWOULDBLOCK)) => Err(Unusable::Locked),
        Err((_, why)) => Err(Unusable::Io(path.to_owned(), why.into())),
    }
}

/// The key, and whether it was made just now.
fn key(dir: &Path) -> Result<([u8; KEY_LEN], bool), Unusable> {
    let path = dir.join("key");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            let secret = random()?;
            replace(dir, "key", &secret).map_err(|why| Unusable::Io(path, why))?;
            return Ok((secret, true));
        }
        Err(why) => return Err(Unusable::Io(path, why)),
    };
    Ok((read_key(&path, file)?, false))
}

fn read_key(path: &Path, file: File) -> Result<[u8; KEY_LEN], Unusable> {
    let io = |why| Unusable::Io(path.to_owned(), why);
    let mode = file.metadata().map_err(io)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(StateError::Readable(path.to_owned(), mode).into());
    }
    let mut bytes = Vec::with_capacity(KEY_LEN + 1);
    file.take(64 * 1024).read_to_end(&mut bytes).map_err(io)?;
    let len = bytes.len();
    bytes.try_into().map_err(|_| StateError::Damaged(path.to_owned(), len).into())
}

/// Counts this run, before anything is said in it: a key must never run twice with one number.
fn next_boot(dir: &Path, fresh: bool) -> io::Result<(u64, Option<String>)> {
    let last = match fs::read_to_string(dir.join("boot")) {
        Ok(text) => text.trim().parse::<u64>().ok(),
        Err(why) if why.kind() == io::ErrorKind::NotFound => fresh.then_some(0),
        Err(why) if why.kind() == io::ErrorKind::InvalidData => None,
        Err(why) => return Err(why),
    };
    let (boot, warning) = match last.and_then(|last| last.checked_add(1)) {
        Some(boot) => (boot, None),
        // The clock is beyond any number of runs, so no number comes twice.
        None => (seconds_now(), Some(format!("{} was damaged and is mended", dir.join("boot").display()))),
    };
    replace(dir, "boot", format!("{boot}\n").as_bytes())?;
    Ok((boot, warning))
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Writes a file so that after a crash it is the old or the new one, never half of either.
fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    write(dir, name, bytes, true)
}

/// Writes a file as a whole. Where it is not `awaited` on the disk, a crash of the machine may leave it cut.
///
/// # Errors
/// What the system says; the file is as it was.
pub(crate) fn write(dir: &Path, name: &str, bytes: &[u8], awaited: bool) -> io::Result<()> {
    // Nobody else writes here: we hold the lock.
    let new = dir.join(format!("{name}.new"));
    match fs::remove_file(&new) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    if awaited {
        file.sync_all()?;
    }
    fs::rename(&new, dir.join(name))?;
    if awaited { File::open(dir)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of its own for each test, gone with it.
    struct Temp(PathBuf);

    impl Temp {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("udpnode-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn the_key_stays_and_the_boot_grows() {
        let temp = Temp::new("grows");
        let first = open(&temp.0).expect("made");
        let (secret, boot) = (first.secret, first.boot);
        assert_eq!((boot, first.ephemeral, &first.warning), (1, false, &None));
        drop(first);
        let second = open(&temp.0).expect("there");
        assert_eq!((second.secret, second.boot), (secret, 2));
        assert_eq!((mode(&temp.0), mode(&temp.0.join("key"))), (0o700, 0o600));
    }

    #[test]
    fn a_directory_in_use_means_a_key_for_this_run() {
        let temp = Temp::new("locked");
        let first = open(&temp.0).expect("made");
        let second = open(&temp.0).expect("another");
        assert!(second.ephemeral && second.warning.is_some_and(|w| w.contains("in use")));
        assert_ne!(first.secret, second.secret);
    }

    #[test]
    fn a_damaged_key_is_neither_used_nor_replaced() {
        let temp = Temp::new("damaged");
        drop(open(&temp.0).expect("made"));
        fs::write(temp.0.join("key"), b"short").expect("written");
        let why = open(&temp.0).expect_err("refused").to_string();
        assert!(why.contains("5 bytes") && why.contains("key"), "{why}");
        assert_eq!(fs::read(temp.0.join("key")).expect("there"), b"short");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let temp = Temp::new("readable");
        drop(open(&temp.0).expect("made"));
        let key = temp.0.join("key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("set");
        let why = open(&temp.0).expect_err("refused").to_string();
        assert!(why.contains("chmod 600"), "{why}");
    }

    #[test]
    fn a_boot_that_is_lost_never_comes_twice() {
        let temp = Temp::new("boot");
        drop(open(&temp.0).expect("made"));
        for damage in [Some("x"), None] {
            match damage {
                Some(text) => fs::write(temp.0.join("boot"), text).expect("written"),
                None => fs::remove_file(temp.0.join("boot")).expect("removed"),
            }
            let state = open(&temp.0).expect("mended");
            assert!(state.boot > 1_000_000 && state.warning.is_some());
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_means_a_key_for_this_run() {
        let temp = Temp::new("file");
        fs::write(&temp.0, b"").expect("written");
        let state = open(&temp.0.join("below")).expect("another");
        assert!(state.ephemeral && state.warning.is_some_and(|w| w.contains("cannot use")));
        let _ = fs::remove_file(&temp.0);
    }

    #[test]
    fn the_usual_place() {
        let dir = |xdg: Option<&str>, home: Option<&str>| usual_dir("ann", xdg.map(Into::into), home.map(Into::into));
        assert_eq!(dir(Some("/x"), Some("/h")), Some("/x/udpnode/ann".into()));
        assert_eq!(dir(Some("x"), Some("/h")), Some("/h/.local/state/udpnode/ann".into()));
        assert_eq!(dir(None, Some("/h")), Some("/h/.local/state/udpnode/ann".into()));
        assert_eq!(dir(None, Some("")), None);
        assert_eq!(dir(None, None), None);
    }
}
