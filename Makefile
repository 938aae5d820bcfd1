# Everything here installs what it lacks (scripts/install), Rust excepted.

.DEFAULT_GOAL := help
.PHONY: help demo rehearsal test soak bench museum lint image-test setup

SCALE = 1
ROUNDS = 1
SETS =
TOOLS =
PICTURE = target/bench.svg
SEED =
SECONDS =
LANES = 3
KILLS = 200
FOLLOW = 200
FUZZ = 120
ONLY =

help: ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12
	@echo 'SETS of bench, all of them unless said (one round, scale 1, two cores):'
	@sed -sn '1s/^-- /  /p' bench/sets/*.sql

demo: setup ## move three schemas between two throwaway servers and compare them
	@cargo build --release --locked
	@TEST_POSTGRES="$$(scripts/servers)" cargo run --release --locked --quiet --bin demo

rehearsal: setup ## take sixty schemas from the plan to the seal, by the state machine and with faults (SCALE=1)
	@cargo build --release --locked
	@TEST_POSTGRES="$$(scripts/servers)" cargo run --release --locked --quiet --bin rehearsal -- SCALE="$(SCALE)"

test: setup ## run every test, on each server that is installed
	TEST_POSTGRES="$$(scripts/servers)" TEST_PGBOUNCER="$$(scripts/pgbouncer)" cargo test --workspace --locked

soak: setup ## feed the parsers, play every fault, kill it, race it (FUZZ=120 SEED= ROUNDS=1 SECONDS= LANES=3 KILLS=200 FOLLOW=200 ONLY="…")
	@echo 'random input to every parser for $(FUZZ) seconds'
	@until=$$(($$(date +%s) + $(FUZZ))); while [ "$$(date +%s)" -lt $$until ]; do \
		PROPTEST_CASES=2000 cargo test --locked --quiet --bin schemaferry || exit 1; done
	@cargo build --release --locked
	@TEST_POSTGRES="$$(scripts/servers)" cargo run --release --locked --quiet --bin soak -- \
		SEED="$(SEED)" ROUNDS="$(ROUNDS)" SECONDS="$(SECONDS)" LANES="$(LANES)" KILLS="$(KILLS)" FOLLOW="$(FOLLOW)" ONLY="$(ONLY)"

bench: setup ## time the worker beside its peers (SETS="…" TOOLS="…" SCALE=1 ROUNDS=1 PICTURE=…)
	@cargo build --release --locked
	@servers="$$(scripts/bench)" && TEST_POSTGRES="$$servers" \
		cargo run --release --locked --quiet --bin bench -- \
		SETS="$(SETS)" TOOLS="$(TOOLS)" SCALE="$(SCALE)" ROUNDS="$(ROUNDS)" PICTURE="$(PICTURE)"

museum: setup ## move schemas as people have them, follow every refusal, compare without the worker (ONLY="…")
	@cargo build --release --locked
	@TEST_POSTGRES="$$(scripts/servers)" cargo run --release --locked --quiet --bin museum -- $(ONLY)

lint: setup ## check format, lints, links of the documentation, shell scripts, the template of deploy/
	@scripts/install shellcheck
	@scripts/install cfn-lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D rustdoc::broken_intra_doc_links' \
		cargo doc --workspace --no-deps --document-private-items --locked --quiet
	shellcheck $$(git grep -lE '^#!(/bin/|/usr/bin/env )(ba)?sh')
	"$$(scripts/cache)"/cfn-lint/bin/cfn-lint deploy/template.yaml
	scripts/terraform

image-test: ## build the image and run compose.yaml and the README's docker run for real
	@tests/image/test

setup:
	@scripts/install
