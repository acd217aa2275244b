/* A few parked threads that work through numbered chunks together with the caller. */
#ifndef ISF_TRACKER_POOL_H
#define ISF_TRACKER_POOL_H

#include "tracker.h"

struct tracker_pool;

/* Does chunk `index`; `thread` is 0 for the caller of tracker_pool_run. 0 or -errno. */
typedef int tracker_work(struct tracker *t, uint32_t index, uint32_t thread);

/* `threads` counts the caller; 1 starts none. 0 or -errno. */
int tracker_pool_new(struct tracker_pool **out, uint32_t threads);
void tracker_pool_free(struct tracker_pool *p);
/* Does chunks 0 to count - 1, each once, in any order; after an error no further ones. The first error, or 0. */
int tracker_pool_run(struct tracker_pool *p, struct tracker *t, uint32_t count, tracker_work *work);

#endif
