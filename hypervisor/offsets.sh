#!/bin/sh
# SPDX-License-Identifier: MIT
# Turns the marks of asm_offsets.c into a header: offsets.sh COMPILER ARGUMENT...
set -e
text=$("$@" -S -o -)
echo '/* Generated from asm_offsets.c. */'
echo "$text" | sed -n 's/.*@@ \([A-Za-z_0-9]*\) \([0-9]*\) .*/#define \1 \2/p'
