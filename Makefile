# udpnode: a chat node for the local network. `make` builds it, `make run` starts a chat.

CARGO  ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
BIN    := $(TARGET)/release/udpnode
MANUAL := $(wildcard man/*.[1-9])
ARGS   ?=

.PHONY: all run demo test check lint baseline install-deps clean help

all:  ## build the release program
	$(CARGO) build --release --locked

run: all  ## start a chat: make run ARGS="--name ann"
	@$(BIN) $(ARGS)

demo: all  ## three nodes on loopback, talking by themselves
	@UDPNODE=$(BIN) timeout 120 bash tests/lab/demo.sh

test: all  ## every test; installs the tools it needs where it can
	@UDPNODE=$(abspath $(BIN)) bash tests/run.sh

check:  ## formatting, the pure library, lints, documentation
	$(CARGO) fmt --check
	$(CARGO) check --locked --lib --no-default-features
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet

lint: check  ## check, and the manual pages
	$(if $(MANUAL),mandoc -T lint -W warning $(MANUAL))

baseline: all  ## size, memory, start-up time and throughput of the release program
	@UDPNODE=$(abspath $(BIN)) timeout 300 bash tests/lab/baseline.sh

install-deps:  ## install the Debian packages that the tests need
	bash tests/install.sh

clean:  ## remove what was built
	$(CARGO) clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' Makefile | expand -t 16
