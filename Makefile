# SPDX-License-Identifier: MIT
# A thin front for people; the build itself is Meson's.

BUILD   ?= build
TIMEOUT ?= 600
MEMORY  ?= 512M
ROW     ?= fork-exit
MUTATIONS ?= 100000
SEED    ?= 1
IMAGES  ?=
FUZZ_SECONDS ?= 60
CYCLES  ?= 500
BENCH_TIMEOUT ?= 900

ifeq ($(origin CC),default)
CC := gcc
endif

PACKAGES := qemu-system-x86 meson ninja-build gcc libc6-dev clang libclang-rt-14-dev pkg-config \
            python3 libxen-dev libcmocka-dev libelf-dev liblzma-dev zlib1g-dev libzstd-dev \
            liblz4-dev libbz2-dev libjson-c-dev busybox-static cpio gzip bzip2 lz4 zstd xz-utils \
            binutils gcovr gcc-12 make grub-common grub-pc-bin xorriso mtools libzydis-dev libbpf-dev \
            libkdumpfile-dev libmicrohttpd-dev git chromium nodejs gdb python3-drgn crash build-essential debhelper debootstrap \
            spin parallel libxml2-utils python3-yaml python3-jsonschema

PVMM   := $(BUILD)/pvmm
KERNEL := $(BUILD)/kernel/vmlinuz
INITRD := $(BUILD)/initramfs.cpio.gz

.PHONY: all deps kernel kernel-dbg kernel-cloud xen grub headers gnumach xen-syms dom0 playwright fetched run test cases \
        bench bench-micro bench-save bench-images bench-where mutate fuzz interop soak screenshots package \
        clean help

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	CC="$(CC)" meson setup $(BUILD)

deps:
	@scripts/deps.sh $(PACKAGES)

kernel:
	@scripts/fetch-kernel.sh $(BUILD)/kernel

kernel-cloud:
	@scripts/fetch-kernel.sh $(BUILD)/kernel-cloud cloud

xen:
	@scripts/fetch-xen.sh $(BUILD)/xen

grub:
	@scripts/fetch-grub.sh $(BUILD)/grub

# Of the kernel in $(BUILD)/kernel, so that one is first.
headers:
	@$(MAKE) --no-print-directory kernel
	@scripts/fetch-headers.sh $(BUILD)/kernel $(BUILD)/headers

# Of that kernel, too. It takes 630 MB of disk.
kernel-dbg:
	@$(MAKE) --no-print-directory kernel
	@scripts/fetch-kernel-dbg.sh $(BUILD)/kernel $(BUILD)/kernel-dbg

gnumach:
	@scripts/fetch-gnumach.sh $(BUILD)/gnumach

xen-syms:
	@scripts/fetch-xen-syms.sh $(BUILD)/xen-syms

dom0:
	@scripts/fetch-dom0.sh $(BUILD)/dom0

playwright:
	@scripts/fetch-playwright.sh $(BUILD)/playwright

fetched:
	@$(MAKE) --no-print-directory headers
	@$(MAKE) --no-print-directory kernel-cloud
	@$(MAKE) --no-print-directory xen
	@$(MAKE) --no-print-directory grub
	@$(MAKE) --no-print-directory gnumach
	@$(MAKE) --no-print-directory xen-syms
	@$(MAKE) --no-print-directory dom0
	-@$(MAKE) --no-print-directory playwright
	@$(MAKE) --no-print-directory kernel-dbg || echo "make kernel-dbg: tests that need it skip"

# Each step needs the one before, so these are lists, not prerequisites that -j may reorder.
run:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory kernel
	$(PVMM) run --timeout $(TIMEOUT) -m $(MEMORY) -i $(INITRD) --json $(BUILD)/run.json \
	    --log $(BUILD)/run.log $(KERNEL) </dev/null

# What is fetched comes while the compiler runs; each of it once.
test:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -j2 all fetched
	meson test -C $(BUILD) --print-errorlogs

cases:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory kernel
	@$(MAKE) --no-print-directory xen
	@$(MAKE) --no-print-directory headers
	@$(MAKE) --no-print-directory gnumach
	@python3 -B cases/run.py --build $(BUILD)

# Not MEMORY: figures are to be compared, and bare Linux has its huge pages only from 512 MB of free memory up.
bench:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory kernel
	@$(MAKE) --no-print-directory xen
	@python3 -B bench/bench.py --build $(BUILD) --timeout $(BENCH_TIMEOUT)
	@$(MAKE) --no-print-directory bench-save
	@$(MAKE) --no-print-directory bench-images

bench-save:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory kernel
	@python3 -B bench/save.py --build $(BUILD)

bench-micro:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory xen
	@python3 -B bench/bench.py --build $(BUILD) --timeout $(BENCH_TIMEOUT) --micro

# Takes 5 GB of disk in $(BUILD)/bench, the first time.
bench-images: $(BUILD)/build.ninja
	ninja -C $(BUILD) pvmm bench/makeimage bench/imagebench
	@python3 -B bench/images.py --build $(BUILD)

bench-where:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory kernel
	@python3 -B bench/where.py --build $(BUILD) --timeout $(BENCH_TIMEOUT) $(ROW)

# Images cut short and damaged: those made up, or IMAGES="FILE..." (docs/reliability.md).
mutate: $(BUILD)/build.ninja
	ninja -C $(BUILD) tests/image/mutate
	$(BUILD)/tests/image/mutate --seed $(SEED) --cases $(MUTATIONS) $(IMAGES)

# Guests that pvmm and real Xen hand to each other, ten ways; the suite interop, with its lines shown.
interop:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory kernel
	@$(MAKE) --no-print-directory xen
	@$(MAKE) --no-print-directory dom0
	@python3 -B tests/interop/moves.py $(PVMM) $(BUILD) $(BUILD)/kernel/pvkernel $(BUILD)/tests/interop/banner

# One guest, saved and restored CYCLES times in ways that are drawn; its summary is in docs/reliability.md.
soak:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory kernel
	@python3 -B tests/save/soak.py $(PVMM) $(BUILD) --cycles $(CYCLES)

# The pictures of reports in docs/: of guests that are started for it, and of a case (cases/).
screenshots:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory kernel
	@$(MAKE) --no-print-directory playwright
	@python3 -B tests/report/screenshots.py --build $(BUILD) docs

# In a build of its own: libFuzzer is clang's.
fuzz:
	@tests/fuzz/run.sh $(BUILD)/fuzz $(FUZZ_SECONDS)

# Of the tree as it is; tests/package installs them (docs/packaging.md).
package:
	@$(MAKE) --no-print-directory deps
	@scripts/package.sh $(BUILD)

clean:
	rm -rf $(BUILD)

help:
	@echo "make          build into $(BUILD)/"
	@echo "make deps     install the Debian packages that are missing"
	@echo "make run      boot Debian's kernel with a memory workload, and print the verdict"
	@echo "make test     run every test"
	@echo "make dom0     fetch a Linux dom0 with xl, and: kernel, kernel-cloud, kernel-dbg, xen, grub, headers, gnumach, xen-syms, playwright"
	@echo "make cases    kernels that break the memory contract: who names the cause? (cases/README.md)"
	@echo "make bench    measure memory work: bare, on real Xen, under pvmm (docs/performance.md)"
	@echo "make bench-save  save and restore of a guest of 1 GiB beside cat of its memory (part of make bench)"
	@echo "make bench-micro"
	@echo "              the part of it about single acts alone, Xen beside pvmm: hypercall, update, fault, pin"
	@echo "make bench-images"
	@echo "              the part of it about large images alone: open, translate, check"
	@echo "make bench-where ROW=NAME"
	@echo "              where the instructions of a row of it go"
	@echo "make interop  guests change between pvmm and real Xen: save, restore, dump (docs/compatibility.md)"
	@echo "make soak     a guest is saved and restored CYCLES=500 times, in some 20 minutes (docs/reliability.md)"
	@echo "make mutate   damaged images: MUTATIONS of each, none may end, hang or grow (docs/reliability.md)"
	@echo "make fuzz     libFuzzer on images, and on what is linted, FUZZ_SECONDS each"
	@echo "make screenshots"
	@echo "              the pictures of reports in docs/, drawn again (docs/report.md)"
	@echo "make package  Debian's packages, into $(BUILD)/ (docs/packaging.md)"
	@echo "make clean    remove $(BUILD)/"
	@echo
	@echo "Variables: BUILD=DIR, CC=gcc|clang (of a new BUILD), MEMORY=SIZE, TIMEOUT=SECONDS"
