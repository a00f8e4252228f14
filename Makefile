# What people type. The work is done by CMake (CMakePresets.json) and by the scripts in scripts/.
.PHONY: all setup test test-long demo lint format bench clean help
.DEFAULT_GOAL := all

all: ## build the release binary, build/release/batchwright
	@scripts/setup --check build
	@scripts/build release

setup: ## install what is missing to build, test and benchmark
	@scripts/setup build test bench python

demo: ## classify 200 package descriptions of this machine with a small model, from nothing
	@scripts/setup build
	@scripts/build release
	@scripts/demo

test: ## build and run every test, the real models included
	@scripts/test ci

test-long: ## kill, fail and cut the power of jobs some thousand times, and print the figures
	@scripts/test-long

lint: ## formatting, clang-tidy, and the checks of scripts/lint
	@scripts/setup build test lint python
	@scripts/lint/all

format: ## format the C++ sources in place
	@scripts/lint/clang_format --fix

bench: ## build and run the micro-benchmarks
	@scripts/setup build bench
	@scripts/build bench
	@scripts/bench

clean: ## remove everything that was built (models and the Python environment stay)
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile
