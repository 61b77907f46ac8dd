//! `udpnode completions SHELL`: what a shell needs to complete our command line.
//!
//! Pure text, made from what [`ArgsInfo`] tells about the options and subcommands in [`super::cli`]:
//! there is no second list of them here. What an option takes is known by the name of its value
//! (`CAST`, `INTERFACE`, `DIR`), so an option that is added later completes like its kin.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind, FromArgs};

use super::values::wait;
use crate::command::CastChoice;

/// Where Linux names its interfaces.
const INTERFACES: &str = "/sys/class/net";

/// print a completion script, for example: source <(udpnode completions bash)
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "completions", help_triggers("-h", "--help"))]
pub(super) struct Completions {
    /// as before the subcommand
    #[argh(switch, short = 'j')]
    pub(super) json: u8,

    /// as before the subcommand
    #[argh(option, short = 'w', from_str_fn(wait))]
    pub(super) wait: Option<Duration>,

    /// as before the subcommand
    #[argh(option, arg_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,

    /// bash, zsh or fish
    #[argh(positional, arg_name = "SHELL")]
    pub(super) shell: Shell,
}

/// A shell that we can tell how to complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Every shell, by name.
const SHELLS: [(&str, Shell); 3] = [("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];

impl std::str::FromStr for Shell {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = SHELLS.iter().find(|(name, _)| *name == text);
        known.map(|&(_, shell)| shell).ok_or_else(|| "write bash, zsh or fish".into())
    }
}

/// What stands behind an option or a subcommand.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// One of these words.
    Words(Vec<String>),
    /// The name of an interface.
    Interface,
    /// A directory.
    Directory,
    /// A file.
    File,
    /// Something that only a person knows.
    Anything,
}

/// The kinds of values, by what `--help` and the manual call them.
fn value(name: &str) -> Value {
    let casts = [CastChoice::Auto, CastChoice::Multicast, CastChoice::Broadcast, CastChoice::Unicast];
    match name {
        "CAST" => Value::Words(casts.iter().map(ToString::to_string).collect()),
        "SHELL" => Value::Words(SHELLS.iter().map(|&(name, _)| name.to_owned()).collect()),
        "INTERFACE" => Value::Interface,
        "DIR" => Value::Directory,
        "FILE" => Value::File,
        _ => Value::Anything,
    }
}

/// The script for one shell, for the command line that `command` describes.
pub(super) fn script(shell: Shell, command: &CommandInfoWithArgs) -> String {
    match shell {
        Shell::Bash => bash(command),
        Shell::Zsh => zsh(command),
        Shell::Fish => fish(command),
    }
}

/// The one letter of an option. argh tells of --help without the one that we gave it.
fn letter(flag: &FlagInfo<'_>) -> Option<char> {
    if flag.long == "--help" { Some('h') } else { flag.short }
}

/// The ways to write an option, the short one first.
fn spellings(flag: &FlagInfo<'_>) -> Vec<String> {
    letter(flag).map(|letter| format!("-{letter}")).into_iter().chain([flag.long.to_owned()]).collect()
}

/// The options that take a value, with its name.
fn valued(command: &CommandInfoWithArgs) -> impl Iterator<Item = (&FlagInfo<'_>, &'static str)> {
    command.flags.iter().filter_map(|flag| match flag.kind {
        FlagInfoKind::Option { arg_name } => Some((flag, arg_name)),
        FlagInfoKind::Switch => None,
    })
}

/// What the first word behind a subcommand is.
fn operand(command: &CommandInfoWithArgs) -> Value {
    command.positionals.first().map_or(Value::Anything, |positional| value(positional.name))
}

/// A line of script. Writing into memory cannot fail.
fn put(script: &mut String, line: &str) {
    let done = writeln!(script, "{line}");
    debug_assert!(done.is_ok(), "memory takes everything");
}

const BASH_HEAD: &str = r#"# Completion of udpnode for bash. Made by: udpnode completions bash

_udpnode_words() { mapfile -t COMPREPLY < <(compgen "$@" -- "$cur"); }

# What bash expands in its words (-W) is not to be names that others chose; and what is inserted is to mean itself.
_udpnode_interfaces() {
    local name
    while read -r name; do
        printf -v name %q "$name"
        COMPREPLY+=("$name")
    done < <(cd /sys/class/net 2>/dev/null && compgen -d -- "$cur")
}

_udpnode() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command='' i
    COMPREPLY=()
    # bash takes --option=value apart at the equals sign.
    if [[ $cur == '=' ]]; then cur=''
    elif [[ $prev == '=' ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}
    fi"#;

const BASH_FOOT: &str = "}

complete -F _udpnode udpnode";

fn bash(command: &CommandInfoWithArgs) -> String {
    let mut script = String::new();
    put(&mut script, BASH_HEAD);
    let names = |flag: &FlagInfo<'_>| spellings(flag).join("|");
    let with_value: Vec<_> = valued(command).map(|(flag, _)| names(flag)).collect();
    put(&mut script, "    for ((i = 1; i < COMP_CWORD; i++)); do");
    put(&mut script, "        case ${COMP_WORDS[i]} in");
    put(&mut script, &format!("        {})", with_value.join("|")));
    put(&mut script, "            [[ ${COMP_WORDS[i+1]} == '=' ]] && ((i++))");
    put(&mut script, "            ((i++)) ;;");
    put(&mut script, "        -*) ;;\n        *) command=${COMP_WORDS[i]}; break ;;\n        esac\n    done");

    put(&mut script, "    case $command in\n    '') ;;");
    for sub in &command.commands {
        put(&mut script, &format!("    {})", sub.name));
        bash_words(&mut script, "        ", &sub.command, &bash_value(&operand(&sub.command)));
        put(&mut script, "        return ;;");
    }
    put(&mut script, "    *) return ;;\n    esac");
    let commands: Vec<_> = command.commands.iter().map(|sub| sub.name).collect();
    bash_words(&mut script, "    ", command, &format!("_udpnode_words -W '{}'", commands.join(" ")));
    put(&mut script, BASH_FOOT);
    script
}

/// What may stand here: the value of the option before it, an option, or else what `other` completes.
fn bash_words(script: &mut String, indent: &str, command: &CommandInfoWithArgs, other: &str) {
    let names = |flag: &FlagInfo<'_>| spellings(flag).join("|");
    let mut free = Vec::new();
    put(script, &format!("{indent}case $prev in"));
    for (flag, name) in valued(command) {
        match value(name) {
            Value::Anything => free.push(names(flag)),
            value => {
                let value = bash_value(&value);
                put(script, &format!("{indent}{})\n{indent}    {value}\n{indent}    return ;;", names(flag)));
            }
        }
    }
    if !free.is_empty() {
        put(script, &format!("{indent}{}) return ;;", free.join("|")));
    }
    let options: Vec<_> = command.flags.iter().flat_map(spellings).collect();
    put(script, &format!("{indent}esac\n{indent}if [[ $cur == -* ]]; then"));
    put(script, &format!("{indent}    _udpnode_words -W '{}'", options.join(" ")));
    put(script, &format!("{indent}else\n{indent}    {other}\n{indent}fi"));
}

fn bash_value(value: &Value) -> String {
    match value {
        Value::Words(words) => format!("_udpnode_words -W '{}'", words.join(" ")),
        Value::Interface => "_udpnode_interfaces".into(),
        Value::Directory => "compopt -o filenames; _udpnode_words -d".into(),
        Value::File => "compopt -o filenames; _udpnode_words -f".into(),
        Value::Anything => ":".into(),
    }
}

const ZSH_HEAD: &str = r#"#compdef udpnode
# Completion of udpnode for zsh. Made by: udpnode completions zsh

_udpnode_interfaces() {
    local -a names=(/sys/class/net/*(N-/:t))
    compadd "$@" -a names
}

_udpnode() {
    local curcontext=$curcontext context state state_descr line
    typeset -A opt_args
    _arguments -s -S -C \"#;

const ZSH_FOOT: &str = r#"    esac
}

# In a file on the fpath this is the function itself; read with source, it is still to be told.
if [[ $funcstack[1] == _udpnode ]]; then
    _udpnode "$@"
else
    compdef _udpnode udpnode
fi"#;

fn zsh(command: &CommandInfoWithArgs) -> String {
    let mut script = String::new();
    put(&mut script, ZSH_HEAD);
    for flag in command.flags {
        put(&mut script, &format!("        {} \\", zsh_flag(flag)));
    }
    let describe = |sub: &argh::SubCommandInfo| {
        format!("{}\\:\"{}\"", sub.name, zsh_quoted(&first_clause(sub.command.description)))
    };
    let commands: Vec<_> = command.commands.iter().map(describe).collect();
    put(&mut script, &format!("        '1:command:(({}))' \\", commands.join(" ")));
    put(&mut script, "        '*::operand:->operand' && return 0");
    put(&mut script, "    [[ $state == operand ]] || return 1\n    case $line[1] in");
    for sub in &command.commands {
        put(&mut script, &format!("    {}) _arguments -s -S \\", sub.name));
        for flag in sub.command.flags {
            put(&mut script, &format!("        {} \\", zsh_flag(flag)));
        }
        let operand = zsh_value(&operand(&sub.command));
        let label = sub.command.positionals.first().map(|positional| zsh_label(positional.name));
        put(
            &mut script,
            &label.map_or_else(|| "        && return 0 ;;".into(), |label| format!("        '1:{label}:{operand}' ;;")),
        );
    }
    put(&mut script, ZSH_FOOT);
    script
}

/// An option, as `_arguments` wants it.
fn zsh_flag(flag: &FlagInfo<'_>) -> String {
    let names = spellings(flag);
    let again = flag.optionality == argh::Optionality::Repeating;
    let excluded = if again { "'*'".into() } else { format!("'({})'", names.join(" ")) };
    let braced = if names.len() > 1 { format!("{{{}}}", names.join(",")) } else { names.concat() };
    let text = zsh_quoted(&flag.description.replace('[', "\\[").replace(']', "\\]"));
    let behind = match flag.kind {
        FlagInfoKind::Option { arg_name } => format!(":{}:{}", zsh_label(arg_name), zsh_value(&value(arg_name))),
        FlagInfoKind::Switch => String::new(),
    };
    format!("{excluded}{braced}'[{text}]{behind}'")
}

fn zsh_value(value: &Value) -> String {
    match value {
        Value::Words(words) => format!("({})", words.join(" ")),
        Value::Interface => "_udpnode_interfaces".into(),
        Value::Directory => "_files -/".into(),
        Value::File => "_files".into(),
        Value::Anything => " ".into(),
    }
}

/// Inside single quotes.
fn zsh_quoted(text: &str) -> String {
    text.replace('\'', "'\\''").replace('\n', " ")
}

/// The name of a value where a colon would end it.
fn zsh_label(name: &str) -> String {
    name.replace(':', "\\:").replace('[', "\\[").replace(']', "\\]")
}

/// A description up to its first comma: lists have little room.
fn first_clause(text: &str) -> String {
    text.split([',', '"']).next().unwrap_or_default().trim().to_owned()
}

fn fish(command: &CommandInfoWithArgs) -> String {
    let mut script = String::new();
    put(&mut script, "# Completion of udpnode for fish. Made by: udpnode completions fish\n");
    put(&mut script, "complete -c udpnode -f");
    let names: Vec<_> = command.commands.iter().map(|sub| sub.name).collect();
    let before = format!("-n 'not __fish_seen_subcommand_from {}'", names.join(" "));
    for flag in command.flags {
        put(&mut script, &fish_flag(flag, &before));
    }
    for sub in &command.commands {
        let text = fish_quoted(&first_clause(sub.command.description));
        put(&mut script, &format!("complete -c udpnode {before} -a {} -d '{text}'", sub.name));
        let behind = format!("-n '__fish_seen_subcommand_from {}'", sub.name);
        for flag in sub.command.flags {
            put(&mut script, &fish_flag(flag, &behind));
        }
        let values = fish_value(&operand(&sub.command));
        if !values.is_empty() {
            put(&mut script, &format!("complete -c udpnode {behind}{values}"));
        }
    }
    script
}

/// An option, where `place` is fulfilled.
fn fish_flag(flag: &FlagInfo<'_>, place: &str) -> String {
    let short = letter(flag).map_or_else(String::new, |letter| format!(" -s {letter}"));
    let behind = match flag.kind {
        FlagInfoKind::Option { arg_name } => match value(arg_name) {
            // Exclusive would mean no files.
            Value::File => " -r -F".into(),
            value => format!(" -x{}", fish_value(&value)),
        },
        FlagInfoKind::Switch => String::new(),
    };
    let (long, text) = (flag.long.trim_start_matches('-'), fish_quoted(flag.description));
    format!("complete -c udpnode {place}{short} -l {long}{behind} -d '{text}'")
}

fn fish_value(value: &Value) -> String {
    match value {
        Value::Words(words) => format!(" -a '{}'", words.join(" ")),
        Value::Interface => format!(" -a '(command ls {INTERFACES} 2>/dev/null)'"),
        Value::Directory => " -a '(__fish_complete_directories)'".into(),
        Value::File => " -F".into(),
        Value::Anything => String::new(),
    }
}

/// Inside single quotes.
fn fish_quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command line with an awkward description.
    #[derive(FromArgs, ArgsInfo)]
    #[expect(dead_code, reason = "described and never parsed")]
    struct Sample {
        /// it's a [very] "odd" one: $HOME
        #[argh(option, short = 'c', arg_name = "CAST")]
        cast: Option<CastChoice>,

        /// many
        #[argh(option, arg_name = "INTERFACE")]
        interface: Vec<String>,

        #[argh(subcommand)]
        command: Option<Commands>,
    }

    #[derive(FromArgs, ArgsInfo)]
    #[argh(subcommand)]
    #[expect(dead_code, reason = "described and never parsed")]
    enum Commands {
        Completions(Completions),
    }

    #[test]
    fn every_option_and_subcommand_is_in_every_script() {
        let sample = Sample::get_args_info();
        for (_, shell) in SHELLS {
            let script = script(shell, &sample);
            for word in ["cast", "interface", "help", "completions", "auto", "bash zsh fish", INTERFACES] {
                assert!(script.contains(word), "{shell:?}: {word}\n{script}");
            }
        }
    }

    #[test]
    fn descriptions_cannot_leave_their_quotes() {
        let sample = Sample::get_args_info();
        assert!(zsh(&sample).contains(r#"[it'\''s a \[very\] "odd" one: $HOME]"#));
        assert!(fish(&sample).contains(r#"'it\'s a [very] "odd" one: $HOME'"#));
        assert!(!bash(&sample).contains("odd"));
    }

    #[test]
    fn shells_have_names_and_casts_are_casts() {
        assert_eq!("zsh".parse(), Ok(Shell::Zsh));
        assert!("tcsh".parse::<Shell>().is_err_and(|why| why.contains("fish")));
        let Value::Words(casts) = value("CAST") else { panic!("words") };
        assert!(casts.iter().all(|cast| cast.parse::<CastChoice>().is_ok()));
        assert_eq!(value("SECONDS"), Value::Anything);
    }
}
