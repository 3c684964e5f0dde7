/* SPDX-License-Identifier: MIT */
#include "count.h"

uint64_t troubles_told;
