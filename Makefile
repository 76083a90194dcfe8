# driftless: run "make" or "make help" to see what there is.

GO      ?= go
PREFIX  ?= /usr/local
DESTDIR ?=
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)

# RACE=1 tests with the race detector (it needs a C compiler).
RACE ?= 0
# Of each fuzz test, how long.
FUZZTIME ?= 10s
# How long make torture goes on: 90s, 20m, 2h.
DURATION ?= 1h
# What to test.
PKGS ?= ./...

LINT_VERSION := v2.15.0
LINT         := bin/golangci-lint-$(LINT_VERSION)
LDFLAGS      := -X main.version=$(VERSION)

ifeq ($(RACE),1)
TESTFLAGS += -race
export DRIFTLESS_RACE := 1
endif

# Debian keeps dovecot and other daemons where an ordinary user's PATH does not look.
export PATH := $(PATH):/usr/sbin:/sbin

.DEFAULT_GOAL := help
.PHONY: help build demo test race torture servers vet fmt fmt-check lint fuzz man install docs clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## compile bin/driftless
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/driftless ./cmd/driftless

demo: ## sync a demonstration server with a Maildir; needs nothing but Go
	@$(GO) run ./cmd/driftless demo

# Most tests on real servers wait more than they work.
PARALLEL ?= 4

test: servers ## run all tests, on a real Dovecot, too (brings it with apt-get if it is missing)
	REQUIRE_DOVECOT=1 $(GO) test -timeout 25m -parallel $(PARALLEL) $(TESTFLAGS) $(PKGS)

race: ## run all tests with the race detector
	@$(MAKE) --no-print-directory test RACE=1

torture: servers ## try crashes, cuts, faults and random histories for DURATION
	.ci/torture $(DURATION)

servers: # what the tests need beside Go
	@RACE=$(RACE) .ci/servers

vet: ## go vet
	$(GO) vet ./...

fmt: ## format the code
	gofmt -w $$(git ls-files '*.go')

fmt-check:
	@bad="$$(gofmt -l $$(git ls-files '*.go'))"; if [ -n "$$bad" ]; then echo "not formatted (run make fmt):"; echo "$$bad"; exit 1; fi

lint: $(LINT) ## golangci-lint, the pinned version
	$(LINT) run

$(LINT):
	@mkdir -p bin
	GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	@mv bin/golangci-lint $@

fuzz: ## run each fuzz test for FUZZTIME
	@set -e; git grep -l '^func Fuzz' -- '*_test.go' | while read -r file; do \
		sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file" | while read -r name; do \
			echo "== $$(dirname "$$file") $$name"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s "./$$(dirname "$$file")"; \
		done; \
	done

docs: ## write the generated parts of the documentation
	$(GO) test ./daemon/config -run Page -update

man: build ## write dist/driftless.1
	@mkdir -p dist
	bin/driftless man dist

install: ## install program, manual page and completions under PREFIX; needs make build first
	@test -x bin/driftless || { echo "there is no bin/driftless: run make build first" >&2; exit 1; }
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/man/man1' '$(DESTDIR)$(PREFIX)/share/bash-completion/completions' \
		'$(DESTDIR)$(PREFIX)/share/zsh/site-functions' '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d'
	install -m 755 bin/driftless '$(DESTDIR)$(PREFIX)/bin/driftless'
	bin/driftless man '$(DESTDIR)$(PREFIX)/share/man/man1'
	bin/driftless completion bash > '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/driftless'
	bin/driftless completion zsh > '$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_driftless'
	bin/driftless completion fish > '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/driftless.fish'
	cd '$(DESTDIR)$(PREFIX)/share' && chmod 644 man/man1/driftless.1 bash-completion/completions/driftless \
		zsh/site-functions/_driftless fish/vendor_completions.d/driftless.fish

clean: ## remove what make made
	rm -rf bin dist coverage.*
