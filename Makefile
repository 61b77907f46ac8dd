# udpnode: a chat node for the local network. `make` builds it, `make run` starts a chat.

CARGO  ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
BIN    := $(TARGET)/release/udpnode
MANUAL := $(wildcard man/*.[1-9])
ARGS   ?=

PREFIX  ?= /usr/local
DESTDIR ?=
ROOT_DIR := $(DESTDIR)$(PREFIX)
# Debian's zsh looks for what belongs to /usr in a place of its own.
ZSH_DIR := $(ROOT_DIR)/share/zsh/$(if $(filter /usr,$(PREFIX:%/=%)),vendor-completions,site-functions)
BASH_DIR := $(ROOT_DIR)/share/bash-completion/completions
FISH_DIR := $(ROOT_DIR)/share/fish/vendor_completions.d
MAN_DIR := $(ROOT_DIR)/share/man
# The directories that an installation made, so that taking it back leaves nothing behind.
MADE    := $(TARGET)/install-made

HOST = $(shell $${RUSTC:-rustc} -vV | sed -n 's/^host: //p')
MUSL = $(subst -gnu,-musl,$(HOST))

# In a program without dlopen the getrandom crate finds no getrandom(2), and there may be no /dev.
STATIC_FLAGS = -Ctarget-feature=+crt-static --cfg getrandom_backend="linux_getrandom"
TRIPLE = $(if $(wildcard $(shell $${RUSTC:-rustc} --print target-libdir --target $(MUSL))/libstd-*.rlib),$(MUSL),$(HOST))
STATIC = $(TARGET)/$(TRIPLE)/release/udpnode

.PHONY: all run demo static install uninstall test keyed check lint mutants sim fuzz bench baseline install-deps clean help

all:  ## build the release program
	$(CARGO) build --release --locked

$(BIN):
	$(CARGO) build --release --locked

run: all  ## start a chat: make run ARGS="--name ann"
	@$(BIN) $(ARGS)

demo: all  ## three nodes on loopback, talking by themselves
	@UDPNODE=$(BIN) timeout 120 bash tests/lab/demo.sh

static:  ## a program that needs nothing else: musl if rustc has that target, else static glibc
	RUSTFLAGS='$(STATIC_FLAGS)' $(CARGO) build --release --locked --target $(TRIPLE)
	@echo "static ($(if $(findstring musl,$(TRIPLE)),musl,glibc)): $(STATIC)"

# What is built already is installed as it is: `sudo make install` does not run cargo.
install: $(BIN)  ## install for everybody: PREFIX=/usr/local, DESTDIR= for packagers
	@for dir in $(ROOT_DIR)/bin $(MAN_DIR)/man1 $(MAN_DIR)/man7 $(BASH_DIR) $(ZSH_DIR) $(FISH_DIR); do \
	    path=$$dir; while [ ! -d "$$path" ]; do echo "$$path"; path=$$(dirname "$$path"); done >>$(MADE); \
	    [ -d "$$dir" ] || install -d -m 755 "$$dir" || exit 1; \
	done
	install -m 755 $(BIN) $(ROOT_DIR)/bin/udpnode
	install -m 644 man/udpnode.1 $(MAN_DIR)/man1/udpnode.1
	install -m 644 man/udpnode.7 $(MAN_DIR)/man7/udpnode.7
	$(BIN) completions bash >$(MADE).script && install -m 644 $(MADE).script $(BASH_DIR)/udpnode
	$(BIN) completions zsh >$(MADE).script && install -m 644 $(MADE).script $(ZSH_DIR)/_udpnode
	$(BIN) completions fish >$(MADE).script && install -m 644 $(MADE).script $(FISH_DIR)/udpnode.fish
	@rm -f $(MADE).script

uninstall:  ## remove what install put there, and the directories that it made
	rm -f $(ROOT_DIR)/bin/udpnode $(MAN_DIR)/man1/udpnode.1 $(MAN_DIR)/man7/udpnode.7
	rm -f $(BASH_DIR)/udpnode $(ZSH_DIR)/_udpnode $(FISH_DIR)/udpnode.fish
	@[ ! -f $(MADE) ] || sort -ru $(MADE) | while read -r dir; do \
	    [ ! -d "$$dir" ] || rmdir --ignore-fail-on-non-empty "$$dir"; [ ! -d "$$dir" ] || echo "$$dir"; \
	done >$(MADE).left
	@rm -f $(MADE); [ ! -s $(MADE).left ] || mv $(MADE).left $(MADE); rm -f $(MADE).left

test: all static  ## every test; installs the tools it needs where it can
	@UDPNODE=$(abspath $(BIN)) UDPNODE_STATIC=$(abspath $(STATIC)) bash tests/run.sh

keyed: all static  ## every test in network namespaces, with the key of a group (test runs some so)
	@KEYED=1 UDPNODE=$(abspath $(BIN)) UDPNODE_STATIC=$(abspath $(STATIC)) bash tests/run.sh netns

check:  ## formatting, the pure library, lints, documentation
	$(CARGO) fmt --check
	$(CARGO) check --locked --lib --no-default-features
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet

lint: check  ## check, and the manual pages
	$(if $(MANUAL),mandoc -T lint -W warning $(MANUAL))

mutants:  ## break the protocol in more than a hundred places, one at a time: the simulator must notice
	@CARGO='$(CARGO)' bash tests/mutants/run.sh

SEEDS ?= 1000
SIM    = $(CARGO) test --release --locked --no-default-features --test sim --

# SEEDS: of the swarm. LINES: of the talk at 30 % loss, a million if nothing is said. HOURS: of presence, one if nothing
# is said. NODES and LOSS are read by several tests, each with a default of its own: give them to one test alone.
sim:  ## all that the README says of the simulator, at length: SEEDS=1000, LINES=50000 for a shorter talk, HOURS=1
	UDPNODE_SEEDS=$(SEEDS) $(SIM) --nocapture swarm
	$(SIM) --nocapture presence
	$(SIM) --nocapture figures::a_late figures::two_halves
	NODES=128 $(SIM) --nocapture figures::two_halves
	$(SIM) --ignored --nocapture --test-threads 1 long_

fuzz:  ## look for bytes that break it, for a night; FUZZ_RUNS=100000 for a few minutes (needs a C++ compiler)
	@CARGO='$(CARGO)' CARGO_TARGET_DIR=$(abspath $(TARGET)) bash tests/fuzz/run.sh

bench: all  ## what signing and sealing cost: lines a second, bytes a line, size of the program
	@$(CARGO) bench --locked --quiet --bench costs
	@echo; echo "program: $$(stat -c %s $(BIN)) bytes"

baseline: all  ## size, memory, start-up time and throughput of the release program
	@UDPNODE=$(abspath $(BIN)) timeout 300 bash tests/lab/baseline.sh

install-deps:  ## install the Debian packages that the tests need
	bash tests/install.sh

clean:  ## remove what was built
	$(CARGO) clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' Makefile | expand -t 16
