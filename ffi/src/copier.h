/* Copies dirty pages out of the guest with two threads: copying is the largest part of a pause with thousands of them, and while the VM
 * stands still a core is free. */
#ifndef ISF_COPIER_H
#define ISF_COPIER_H

#include "blocks.h"

struct copier;
int copier_open(struct copier **out);
void copier_close(struct copier *c);
/* Copies the pages of `runs`, one after the other, to `data`, and their numbers to `numbers`; both hold `capacity` pages. Few pages are copied by
 * the caller alone. Returns how many, or -ISF_ELIMIT, -errno. One call at a time. */
int64_t copier_copy(struct copier *c, const struct blocks *b, const struct tracker_run *runs, uint32_t count, uint8_t *data,
                    uint64_t *numbers, uint64_t capacity);

#endif
