//! The file with the key of a group: read, and made by `udpnode keygen`.
//!
//! A line is `udpnode-key-1` and 64 hexadecimal digits, or `passphrase` and words of a person's own;
//! the first seals, each opens, so that a group can go over to another key without a break. What is
//! wrong with a file is said by line, and never by what stands there.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::{Zeroize, Zeroizing};

use crate::config::GroupSecret;

/// Keys in one file: the one that seals, and the one before or after it.
const KEYS_MAX: usize = 2;

/// No key file is longer, in bytes.
const FILE_MAX: u64 = 4096;

/// The fewest characters of a passphrase. Whoever records one datagram can try words as long as he likes.
const PASSPHRASE_MIN: usize = 12;

/// What stands before a key.
const KEY_WORD: &str = "udpnode-key-1";

/// Argon2id: 8 MiB, three passes (RFC 9106 asks for more memory than a small router has), one lane.
const MEMORY_KIB: u32 = 8 * 1024;
const PASSES: u32 = 3;

/// Why there is no key; nothing was changed.
#[derive(Debug)]
pub(crate) enum KeyFileError {
    /// The file cannot be read.
    Io(PathBuf, io::Error),
    /// There is none.
    Missing(PathBuf),
    /// Others may read it.
    Exposed(PathBuf),
    /// It is no file, or too long to be one of keys.
    NotAFile(PathBuf),
    /// A line is no key.
    Line(PathBuf, usize, &'static str),
    /// No key stands in it.
    Empty(PathBuf),
    /// More keys than can be valid at once.
    TooMany(PathBuf),
    /// There is such a file already.
    Exists(PathBuf),
    /// The system gives no random bytes.
    Random(String),
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, why) if why.kind() == io::ErrorKind::PermissionDenied => {
                write!(
                    f,
                    "key file {0}: {why}: whoever runs this must own it: chown it, or take a copy",
                    path.display()
                )
            }
            Self::Io(path, why) => write!(f, "key file {}: {why}", path.display()),
            Self::Missing(path) => {
                write!(
                    f,
                    "there is no key file {0}: udpnode keygen {0} makes one, for all who are to read",
                    path.display()
                )
            }
            Self::Exposed(path) => {
                write!(f, "key file {0} can be read by others: chmod 600 {0}", path.display())
            }
            Self::NotAFile(path) => write!(f, "{} is no key file: udpnode keygen FILE makes one", path.display()),
            Self::Line(path, line, why) => write!(f, "key file {}, line {line}: {why}", path.display()),
            Self::Empty(path) => {
                write!(f, "key file {} holds no key: udpnode keygen FILE makes one", path.display())
            }
            Self::TooMany(path) => {
                write!(f, "key file {} holds more than {KEYS_MAX} keys: remove the oldest", path.display())
            }
            Self::Exists(path) => write!(f, "{} is there already: it is left as it is", path.display()),
            Self::Random(why) => write!(f, "the system gives no random bytes: {why}"),
        }
    }
}

/// The secrets in a file, for a group. Whoever may read it besides its owner makes it worthless.
///
/// # Errors
/// A [`KeyFileError`] that says what to do.
pub(crate) fn read(path: &Path, group: SocketAddr) -> Result<Vec<GroupSecret>, KeyFileError> {
    let io = |why| KeyFileError::Io(path.to_owned(), why);
    // A pipe without a writer must not stop us.
    let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let opened = OpenOptions::new().read(true).custom_flags(nonblocking).open(path);
    let file = opened.map_err(|why| match why.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing(path.to_owned()),
        _ => io(why),
    })?;
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() || meta.len() > FILE_MAX {
        return Err(KeyFileError::NotAFile(path.to_owned()));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(KeyFileError::Exposed(path.to_owned()));
    }
    // Room for all of it: what grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(FILE_MAX as usize + 1));
    file.take(FILE_MAX).read_to_string(&mut text).map_err(|why| match why.kind() {
        io::ErrorKind::InvalidData => KeyFileError::NotAFile(path.to_owned()),
        _ => io(why),
    })?;
    let lines = parse(&text, path)?.into_iter();
    lines.map(|line| line.secret(group).map_err(|why| KeyFileError::Line(path.to_owned(), line.at, why))).collect()
}

/// A line of a key file that is one.
struct KeyLine<'a> {
    /// Its number, from 1.
    at: usize,
    written: Written<'a>,
}

enum Written<'a> {
    Key(GroupSecret),
    Passphrase(&'a str),
}

/// The keys in the text of a file, one or [`KEYS_MAX`]. Passphrases are not made keys yet, for that takes its time.
fn parse<'a>(text: &'a str, path: &Path) -> Result<Vec<KeyLine<'a>>, KeyFileError> {
    let mut keys = Vec::new();
    for (at, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if keys.len() == KEYS_MAX {
            return Err(KeyFileError::TooMany(path.to_owned()));
        }
        let written = written(line).map_err(|why| KeyFileError::Line(path.to_owned(), at, why))?;
        keys.push(KeyLine { at, written });
    }
    if keys.is_empty() { Err(KeyFileError::Empty(path.to_owned())) } else { Ok(keys) }
}

fn written(line: &str) -> Result<Written<'_>, &'static str> {
    match line.split_once(char::is_whitespace) {
        Some((KEY_WORD, digits)) => key(digits.trim()).map(Written::Key).ok_or("a key has 64 hexadecimal digits"),
        Some(("passphrase", words)) if words.trim().chars().count() < PASSPHRASE_MIN => {
            Err("a passphrase has at least 12 characters")
        }
        Some(("passphrase", words)) => Ok(Written::Passphrase(words.trim())),
        _ => Err("a line begins with udpnode-key-1 or passphrase"),
    }
}

impl KeyLine<'_> {
    fn secret(&self, group: SocketAddr) -> Result<GroupSecret, &'static str> {
        match &self.written {
            Written::Key(secret) => Ok(secret.clone()),
            Written::Passphrase(words) => from_passphrase(words, group),
        }
    }
}

/// How many keys stand in a text, or what is wrong with it: for the fuzzers.
pub(super) fn count(text: &str) -> Result<usize, String> {
    parse(text, Path::new("FILE")).map(|keys| keys.len()).map_err(|why| why.to_string())
}

fn key(digits: &str) -> Option<GroupSecret> {
    let mut bytes = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    let secret = GroupSecret::new(bytes);
    bytes.zeroize();
    Some(secret)
}

/// A secret from words, slowly: whoever wants to try many must take as long for each.
fn from_passphrase(words: &str, group: SocketAddr) -> Result<GroupSecret, &'static str> {
    // Spaces between words are a matter of taste.
    let words = Zeroizing::new(words.split_whitespace().collect::<Vec<_>>().join(" "));
    let salt = format!("udpnode 1 passphrase {group}");
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(32)).map_err(|_| "no parameters")?;
    let mut bytes = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(words.as_bytes(), salt.as_bytes(), &mut bytes)
        .map_err(|_| "no key can be made of this passphrase")?;
    let secret = GroupSecret::new(bytes);
    bytes.zeroize();
    Ok(secret)
}

/// What a new key file says.
///
/// # Errors
/// [`KeyFileError::Random`].
pub(crate) fn generate() -> Result<Zeroizing<String>, KeyFileError> {
    let mut bytes = super::state::random().map_err(|why| KeyFileError::Random(why.to_string()))?;
    let digits = Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    bytes.zeroize();
    let about = "# Key of a udpnode group: who has it reads and speaks. Give it to members only.";
    Ok(Zeroizing::new(format!("{about}\n{KEY_WORD} {}\n", digits.as_str())))
}

/// Writes a new key to a file that is not there yet, for its owner alone.
///
/// # Errors
/// A [`KeyFileError`]; a file that was there is left as it was.
pub(crate) fn create(path: &Path) -> Result<(), KeyFileError> {
    let text = generate()?;
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = opened.map_err(|why| match why.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
        _ => KeyFileError::Io(path.to_owned(), why),
    })?;
    write_out(&mut file, text.as_bytes()).map_err(|why| {
        // Half a key is none.
        let _ = std::fs::remove_file(path);
        KeyFileError::Io(path.to_owned(), why)
    })
}

fn write_out(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn group() -> SocketAddr {
        "239.192.7.7:5007".parse().expect("an address")
    }

    fn file(name: &str, text: &str, mode: u32) -> PathBuf {
        let path = std::env::temp_dir().join(format!("udpnode-key-test-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("changed");
        path
    }

    fn refused(name: &str, text: &str, mode: u32) -> String {
        let path = file(name, text, mode);
        let why = read(&path, group()).expect_err("refused").to_string();
        std::fs::remove_file(path).expect("removed");
        why
    }

    #[test]
    fn what_is_made_can_be_read_and_is_never_the_same() {
        let text = generate().expect("random bytes");
        let path = file("made", &text, 0o600);
        let secrets = read(&path, group()).expect("a key");
        assert_eq!(secrets.len(), 1);
        assert_ne!(*generate().expect("random bytes"), *text);
        assert!(matches!(create(&path), Err(KeyFileError::Exists(_))), "no key is written over");
        assert_eq!(read(&path, group()).expect("a key"), secrets);
        std::fs::remove_file(&path).expect("removed");
        create(&path).expect("created");
        assert_eq!(std::fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        assert_eq!(read(&path, group()).expect("a key").len(), 1);
        std::fs::remove_file(path).expect("removed");
    }

    #[test]
    fn each_way_it_can_be_wrong_has_its_answer() {
        let key = format!("udpnode-key-1 {}", "ab".repeat(32));
        assert!(refused("exposed", &key, 0o640).contains("chmod 600"));
        assert!(refused("empty", "# nothing\n\n", 0o600).contains("no key"));
        assert!(refused("short", "\nudpnode-key-1 abcd\n", 0o600).contains("line 2: a key has 64"));
        assert!(refused("odd", &format!("udpnode-key-1 {}", "é".repeat(32)), 0o600).contains("64 hex"));
        assert!(refused("words", "passphrase short", 0o600).contains("at least 12"));
        assert!(refused("word", "secret words", 0o600).contains("begins with"));
        assert!(!refused("word", "secret words", 0o600).contains("secret"), "what stands there is not told");
        assert!(refused("many", &format!("{key}\n{key}\n{key}\n"), 0o600).contains("more than 2"));
        assert!(refused("long", &"#".repeat(5000), 0o600).contains("no key file"));
        let garbage = file("garbage", "", 0o600);
        std::fs::write(&garbage, [0xFF; 40]).expect("written");
        assert!(read(&garbage, group()).expect_err("refused").to_string().contains("no key file"));
        std::fs::remove_file(&garbage).expect("removed");
        assert!(read(&std::env::temp_dir(), group()).expect_err("refused").to_string().contains("no key file"));
        assert!(read(Path::new("/nowhere/at/all"), group()).expect_err("refused").to_string().contains("keygen"));
        assert!(read(Path::new("/dev/null"), group()).expect_err("refused").to_string().contains("no key file"));
    }

    #[test]
    fn a_passphrase_gives_one_key_for_each_group() {
        let one = from_passphrase("correct horse battery", group()).expect("long enough");
        assert_eq!(from_passphrase("correct  horse battery", group()).expect("long enough"), one);
        assert_ne!(from_passphrase("correct horse batterz", group()).expect("long enough"), one);
        let other = "239.192.7.8:5007".parse().expect("an address");
        assert_ne!(from_passphrase("correct horse battery", other).expect("long enough"), one);
        assert!(written("passphrase elevenchars").is_err() && written("passphrase twelve chars").is_ok());
    }
}
