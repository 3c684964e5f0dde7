#!/bin/sh
# SPDX-License-Identifier: MIT
# Turns the marks of asm_offsets.c into a header: offsets.sh COMPILER ARGUMENT...
set -e
echo '/* Generated from asm_offsets.c. */'
"$@" -S -o - | sed -n 's/.*@@ \([A-Za-z_0-9]*\) \([0-9]*\).*/#define \1 \2/p'
