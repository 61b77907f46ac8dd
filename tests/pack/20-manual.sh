#!/bin/bash
# Proves: the manual pages are clean for every formatter, and name the same options, commands and
# events as the program, none more and none less.
. "$(dirname "$0")/lib.sh"
needs man mandoc groff

for page in "$REPO"/man/udpnode.1 "$REPO"/man/udpnode.7; do
    name=$(basename "$page")
    is "man has nothing to say against $name" "$(LC_ALL=C.UTF-8 man --warnings -l "$page" 2>&1 >/dev/null)" ""
    is "nor has groff" "$(groff -mandoc -Tutf8 -ww -z "$page" 2>&1)" ""
    check "nor mandoc" mandoc -T lint -W warning "$page"
    check "$name is formatted" test "$(mandoc "$page" | wc -l)" -gt 100
done

page=$REPO/man/udpnode.1
lines() { LC_ALL=C sort -u; }

"$UDPNODE" --help >"$T/help"
helped=$(sed -nE 's/^  (-., )?(--[a-z-]+).*/\1\2/p' "$T/help" | lines)
told=$(sed -nE 's/^\.It (Fl (.) , )?Fl Fl ([a-z-]+).*/\2 \3/p' "$page" | sed -E 's/^(.) (.*)/-\1, --\2/; s/^ (.*)/--\1/' | lines)
is "the options of --help and of the page" "$told" "$helped"
check "there are options" test "$(echo "$helped" | wc -l)" -gt 10
mentioned=$(grep -oE 'Fl Fl [a-z-]+' "$page" | sed 's/Fl Fl /--/' | lines)
is "no other option is mentioned" "$(comm -23 <(echo "$mentioned") <(echo "$helped" | grep -o -- '--.*' | lines))" ""

helped=$(sed -n '/^Commands:/,/^$/p' "$T/help" | sed -nE 's/^  ([a-z]+) .*/\1/p' | lines)
told=$(sed -n '/^The subcommands are/,/^\.El/p' "$page" | sed -nE 's/^\.It Cm ([a-z]+).*/\1/p' | lines)
is "the subcommands" "$told" "$helped"

# With nobody there and nothing to say the program ends by itself.
echo /help | timeout 20 "$UDPNODE" --ephemeral --address 127.0.0.77 --commands --json >"$T/out"
helped=$(sed -n 's/.*"notice","text":"\(.*\)"}$/\1/p' "$T/out" | sed 's/\\n/\n/g' | grep -o '^/[a-z]*' | lines)
told=$(sed -nE 's/^\.It Ic (\/[a-z]*).*/\1/p' "$page" | sed 's,^/$,//text,' | lines)
is "the commands of /help" "$(echo "$told" | sed 's,^//text$,/,')" "$helped"
check "there are commands" test "$(echo "$helped" | wc -l)" -gt 4

code=$(for drawn in render render_paths render_why answers report shell/clients; do sed '/^#\[cfg(test)\]/,$d' "$REPO/src/runtime/$drawn.rs"; done)
made=$(echo "$code" | grep -oE '(Object::new|peer|json_remark)\("[a-z]+"' | grep -oE '"[a-z]+"' | tr -d '"' | grep -v '^is$' | lines)
text=$(sed -n '/^\.Ss JSON/,/^\.Sh/p' "$page")
told=$(echo "$text" | sed -n 's/^\.It Cm //p' | tr ' ' '\n' | grep '[a-z]' | lines)
is "the JSON events" "$told" "$(comm -12 <(echo "$made") <(echo "$made"))"
# Which event has which of them is held by src/runtime/manual.rs; here, that it has seen all that the sources can tell.
keys=$(echo "$code" | grep -oE '(\.(text|number|flag|raw|list|maybe|named|also_named)|names\.put)\("[a-z_]+"' | sed -E 's/.*(also_named|put)\("([a-z_]+)"/"\2" "\2_id" "\2_label"/' | grep -oE '"[a-z_]+"' | tr -d '"' | lines)
# Plain text is drawn in render.rs; it is an event once the state machine makes it one.
grep -rq 'Event::Plain *{' "$REPO/src/node" || keys=$(echo "$keys" | grep -vx plain)
told=$(echo "$text" | grep -oE '^\.(It )?Va [a-z_]+' | sed 's/.* //' | lines)
is "and their keys" "$told" "$keys"

statuses=$(sed -n '/^\.Sh EXIT STATUS/,/^\.Sh EXAMPLES/p' "$page" | sed -n 's/^\.It //p' | tr -d ' ,\n')
is "the exit statuses" "$statuses" 01234129130143131

finish
