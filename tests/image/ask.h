/* SPDX-License-Identifier: MIT */
/* Everything that can be asked of a view, in one list: who makes an image, damages it or makes one
 * up at random asks it all, for the sanitizers to see. */
#ifndef PVMM_TESTS_IMAGE_ASK_H
#define PVMM_TESTS_IMAGE_ASK_H

#include "image.h"

/* abort(): an answer that cannot be. */
void ask_everything(const struct pv_view *v);
/* Where very many views are asked: all of it at turn 0, what takes long at some of the others. */
void ask_at_turn(const struct pv_view *v, uint64_t turn);

#endif
