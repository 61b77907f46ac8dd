#!/bin/bash
# Proves: what install puts there, each shell finds and loads by itself, and it completes options,
# their values and the subcommand.
. "$(dirname "$0")/lib.sh"
needs bash zsh fish

make_ install DESTDIR="$T/dest" || cat "$T/make.log"
SHARE=$T/dest/usr/local/share
export PATH="$T/dest/usr/local/bin:$PATH" HOME="$T" XDG_DATA_DIRS="$SHARE:/usr/local/share:/usr/share"
unset BASH_COMPLETION_USER_DIR XDG_DATA_HOME ZDOTDIR
CASTS="auto broadcast multicast unicast"
words() { tr ' \t' '\n\n' | LC_ALL=C sort -u | grep . | tr '\n' ' ' | sed 's/ $//'; }

# --- bash ----------------------------------------------------------------------------------------

in_bash() { # WORD...: what the last of them completes to
    bash --norc -c 'file=$1; shift; source "$file"; COMP_WORDS=(udpnode "$@"); COMP_CWORD=$#; _udpnode 2>/dev/null
        printf "%s\n" "${COMPREPLY[@]}"' - "$SHARE/bash-completion/completions/udpnode" "$@" | words
}
is "bash: --ca" "$(in_bash --ca)" "--cast"
is "bash: --cast" "$(in_bash --cast '')" "$CASTS"
is "bash: --cast mu" "$(in_bash --json --cast mu)" "multicast"
is "bash: --cast=b" "$(in_bash --cast = b)" "broadcast"
is "bash: --cast=" "$(in_bash --cast =)" "$CASTS"
is "bash: -i l" "$(in_bash -i lo)" "lo"
is "bash: --name takes anything" "$(in_bash --name '')" ""
is "bash: the subcommands" "$(in_bash -n completions '')" "completions doctor keygen paths who"
is "bash: its shells" "$(in_bash --name=x completions '')" "bash fish zsh"
is "bash: no options behind it" "$(in_bash completions --ca)" ""
is "bash: those of a subcommand" "$(in_bash --json who --)" "--help --json --state-dir --wait"
is "bash: and nothing else" "$(in_bash who '')" ""
mkdir -p "$T/here/sub"
is "bash: directories" "$(cd "$T/here" && in_bash --state-dir s)" "sub"
is "bash: directories behind a subcommand" "$(cd "$T/here" && in_bash who --state-dir s)" "sub"
is "bash: every option" "$(in_bash - | tr ' ' '\n' | grep -c '^--')" "$("$UDPNODE" --help | grep -cE '^  (-., )?--')"

COMPLETION=/usr/share/bash-completion/bash_completion
check "bash-completion is there" test -r "$COMPLETION"
loaded=$(bash --norc -ic "source $COMPLETION; { _comp_load udpnode || __load_completion udpnode; } && complete -p udpnode" 2>/dev/null)
check "bash-completion finds it by itself" grep -q '_udpnode udpnode' <<<"$loaded"

# --- fish ----------------------------------------------------------------------------------------

in_fish() { timeout 30 fish -c "complete -C '$1'" 2>&1 | cut -f1 | words; }
is "fish: --ca" "$(in_fish 'udpnode --ca')" "--cast"
is "fish: --cast" "$(in_fish 'udpnode --cast ')" "$CASTS"
is "fish: --cast=mu" "$(in_fish 'udpnode --cast=mu')" "--cast=multicast"
check "fish: -i knows lo" grep -qw lo <<<"$(in_fish 'udpnode -i ')"
is "fish: the subcommands" "$(in_fish 'udpnode -n ann ')" "completions doctor keygen paths who"
is "fish: options of a subcommand" "$(in_fish 'udpnode who --')" "--help --json --state-dir --wait"
is "fish: its shells" "$(in_fish 'udpnode completions ')" "bash fish zsh"
is "fish: directories" "$(cd "$T/here" && in_fish 'udpnode --state-dir s')" "sub/"

# --- zsh -----------------------------------------------------------------------------------------

# What a person sees who types this and presses TAB. In a terminal of its own, since zsh completes
# nowhere else; it ends when the wanted text appears or time is up.
cat >"$T/press.zsh" <<'END'
zmodload zsh/zpty
TERM=dumb zpty -b z zsh -f -i
screen() { local piece; while zpty -rt z piece; do seen+=$piece; done; true }
await() { repeat 300; do screen; [[ $seen == *$~1* ]] && return 0; sleep 0.05; done; return 1 }
zpty -w z "PS1=; unsetopt prompt_sp; fpath=($1 \$fpath); autoload -U compinit; compinit -u -D; echo rea''dy"
seen=''
await ready
zpty -w z "cd $2"
zpty -wn z "$3"$'\t'
seen=''
await "$4"
result=$?
[[ $result == 0 ]] || print -r -- "# zsh shows: ${(qqqq)seen}"
zpty -d z
exit $result
END
in_zsh() { timeout 40 zsh -f "$T/press.zsh" "$SHARE/zsh/site-functions" "$T/here" "$1" "$2"; }
check "zsh can parse it" zsh -n "$SHARE/zsh/site-functions/_udpnode"
check "zsh: --ca" in_zsh 'udpnode --ca' '--cast '
check "zsh: --cast" in_zsh 'udpnode --cast ' 'auto*broadcast*multicast*unicast'
check "zsh: --cast mu" in_zsh 'udpnode --json --cast mu' 'multicast '
check "zsh: -i" in_zsh 'udpnode -i l' 'lo'
check "zsh: the subcommand" in_zsh 'udpnode -n ann comp' 'completions '
check "zsh: its shells" in_zsh 'udpnode completions z' 'zsh '
check "zsh: options of a subcommand" in_zsh 'udpnode who --st' '--state-dir '
check "zsh: directories" in_zsh 'udpnode --state-dir s' 'sub/'

"$UDPNODE" completions tcsh >"$T/out" 2>"$T/err"
is "a shell that is not known is a usage error" "$? $(wc -c <"$T/out") $(wc -l <"$T/err")" "2 0 1"
"$UDPNODE" dance >"$T/out" 2>"$T/err"
is "so is an unknown subcommand" "$? $(wc -c <"$T/out") $(wc -l <"$T/err")" "2 0 1"

finish
