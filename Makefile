# Banyan. "make" builds the three daemons into bin/; "make help" lists the rest.
# Needs Go 1.26, make, git and a POSIX shell; nothing else.

GO        ?= go
BIN       ?= bin
DIST      ?= dist
DAEMONS   := hubd gwd leafd
MODULE    := github.com/banyanmq/banyan

VERSION   ?= $(shell git describe --tags --match 'v[0-9]*' 2>/dev/null | sed 's/^v//')
ifeq ($(strip $(VERSION)),)
VERSION   := 0.1.0-dev
endif
COMMIT    ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)
LDFLAGS   := -s -w -X $(MODULE)/pkg/version.Version=$(VERSION) -X $(MODULE)/pkg/version.Commit=$(COMMIT)
# The profile that the compiler is given; PGO= builds without. One file for all daemons: they share compiled packages,
# and building everything anew takes a tenth more than without a profile. "go test" is not given it.
PGO       ?= $(wildcard pgo/daemons.pgo)
GOBUILD   := CGO_ENABLED=0 $(GO) build -trimpath -pgo=$(or $(strip $(PGO)),off) -ldflags '$(LDFLAGS)'

# A release of staticcheck that knows the language of the installed Go.
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 5s
RACE        ?= ./pkg/...
BENCH       ?=
SOAK        ?= .
PLATFORMS   ?= linux/amd64 linux/arm64 linux/arm darwin/amd64 darwin/arm64 windows/amd64 freebsd/amd64
CONFORMANCE ?=
CONFORMANCE_ARGS ?= test

.PHONY: all build test race fuzz bench bench-checks bench-curves bench-accounts bench-brokers bench-gc bench-all bench-pgo pgo lint staticcheck fmt demo soak chart chart-files conformance images rootfs release release-check test-pack deb man clean help $(DAEMONS)

all: build

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make build        hubd, gwd and leafd into bin/
build: $(DAEMONS)

$(DAEMONS):
	$(GOBUILD) -o $(BIN)/$@ ./cmd/$@

## make test         every test that is over in seconds (minutes in all)
test:
	$(GO) test -timeout 10m ./...

## make race         the packages' tests under the race detector; RACE=./pkg/broker/...
race:
	$(GO) test -race -short -timeout 15m $(RACE)

## make fuzz         every fuzz target for FUZZTIME (5s)
fuzz:
	@set -eu; \
	for f in $$(git ls-files -co --exclude-standard '*_test.go'); do \
		[ -f "$$f" ] || continue; \
		for t in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$f"); do \
			echo "== $$t in $$(dirname "$$f")"; \
			$(GO) test -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$f")"; \
		done; \
	done

## make bench        speed beside the nats-server on PATH, written to docs/BENCHMARKS.md; BENCH="-h" shows its flags
bench:
	sh scripts/bench.sh $(BENCH)

## make bench-SET    the same for another set: checks, curves, accounts, brokers, gc; bench-all for every one
bench-checks bench-curves bench-accounts bench-brokers bench-gc bench-all:
	sh scripts/bench.sh $(@:bench-%=%) $(BENCH)

## make pgo          profile the daemons under those loads into pgo/daemons.pgo, which the compiler is given from then on
pgo:
	sh scripts/pgo.sh $(BENCH)

## make bench-pgo    what that profile brings: builds with it beside builds without
bench-pgo:
	sh scripts/pgo.sh compare $(BENCH)

## make lint         gofmt, vet, staticcheck
lint:
	@files=$$(git ls-files -co --exclude-standard '*.go' | while read -r f; do [ ! -f "$$f" ] || echo "$$f"; done | xargs gofmt -l); \
	if [ -n "$$files" ]; then echo "not formatted, run make fmt:"; echo "$$files"; exit 1; fi
	$(GO) vet ./...
	@$(MAKE) -s staticcheck

staticcheck:
	$(GO) run $(STATICCHECK) ./...

## make fmt          format all Go files
fmt:
	git ls-files -co --exclude-standard '*.go' | while read -r f; do [ ! -f "$$f" ] || gofmt -w "$$f"; done

## make demo         three regions on loopback; KEEP=1 leaves them running
demo: build
	KEEP=$(KEEP) BIN=$(BIN) sh scripts/demo.sh

## make soak         tests that take minutes to hours; SOAK=regexp
soak:
	$(GO) test -tags soak -count=1 -timeout 180m -v -run '$(SOAK)' ./test/...

## make chart        the Helm chart: lint, golden files, and its pods as processes (a module of its own, test/helm)
chart:
	cd test/helm && $(GO) vet ./... && $(GO) test -timeout 10m ./...

## make chart-files  what the chart has copies of: alerts and dashboard
chart-files:
	cp configs/prometheus/alerts.yaml configs/grafana/banyan.json configs/helm/banyan/files/

## make conformance  the official Go client's own tests: CONFORMANCE=dir [CONFORMANCE_ARGS="-r REGEX test"]
conformance:
	@if [ -z "$(CONFORMANCE)" ]; then \
		echo "make conformance: CONFORMANCE is not given: it names the directory that holds the suite's run.sh;" >&2; \
		echo "nothing was run." >&2; exit 2; \
	fi
	@[ -x "$(CONFORMANCE)/run.sh" ] || { echo "make conformance: $(CONFORMANCE) holds no run.sh" >&2; exit 2; }
	@$(MAKE) build
	OUT_DIR="$(CURDIR)/out" "$(CONFORMANCE)/run.sh" "$(CURDIR)/$(BIN)/hubd" -g "$(CURDIR)/$(BIN)/gwd" $(CONFORMANCE_ARGS)

# What scripts/images.sh and scripts/release.sh take from here.
RELEASE := GO='$(GO)' DIST='$(DIST)' VERSION='$(VERSION)' COMMIT='$(COMMIT)' PGO='$(PGO)' LDFLAGS='$(LDFLAGS)'

## make images       OCI images for linux/amd64 and linux/arm64 into dist/images; needs no container engine
images:
	@$(RELEASE) sh scripts/images.sh

# The files of one image in a directory; the Dockerfile asks for them.
rootfs:
	@$(RELEASE) sh scripts/images.sh rootfs $(DAEMON) $(PLATFORM) $(ROOTFS)

## make release      archives for all platforms, bills of materials, checksums into dist/release
release:
	@$(RELEASE) PLATFORMS='$(PLATFORMS)' DAEMONS='$(or $(DAEMON),$(DAEMONS))' sh scripts/release.sh

## make release-check  the proof that a release can be repeated; PLATFORMS=linux/amd64 DAEMON=leafd for a part of it
release-check:
	@$(RELEASE) PLATFORMS='$(PLATFORMS)' DAEMONS='$(or $(DAEMON),$(DAEMONS))' sh scripts/release.sh check

## make test-pack    tests of images and archives; as root they also run the images
test-pack: build
	BANYAN_BIN='$(CURDIR)/$(BIN)' $(GO) test -C scripts/pack -count=1 ./...

## make deb          Debian packages for amd64 and arm64, leafd also for armhf, into dist/deb; DEBS=leafd/armhf for a part
deb:
	@$(RELEASE) DEBS='$(DEBS)' sh scripts/deb.sh

## make man          manual pages of all commands into dist/man
man: build
	mkdir -p $(DIST)/man
	@for d in $(DAEMONS); do $(BIN)/$$d docs man $(DIST)/man; done

## make clean        remove what the others made
clean:
	rm -rf $(BIN) $(DIST) out
