#!/bin/bash
# The rustc of run.sh: tells libFuzzer where code branches, as cargo-fuzz does, but in our code alone: in that of ciphers
# there is nothing to find, and it is slower by twenty times. Nor what it compares: the corpora know our words, and it
# would take up to half of the time.
case " $* " in
    *" --crate-name udpnode "* | *" --crate-name udpnode_fuzz "* | *" --crate-name minicbor "*)
        exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
            -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
        ;;
esac
exec "$@"
