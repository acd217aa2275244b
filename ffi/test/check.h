/* The smallest test harness: one line per promise, and the count at the end. */
#ifndef ISF_CHECK_H
#define ISF_CHECK_H

#include <stdio.h>

static int check_passed, check_failed;

/* Counts and prints one promise. A failed one says where. */
#define CHECK(condition, promise)                                                       \
    do {                                                                                \
        if (condition) {                                                                \
            check_passed++;                                                             \
            printf("ok    %s\n", promise);                                              \
        } else {                                                                        \
            check_failed++;                                                             \
            printf("FAIL  %s (%s:%d: %s)\n", promise, __FILE__, __LINE__, #condition);  \
        }                                                                               \
        fflush(stdout);                                                                 \
    } while (0)

/* For main(): the last line, and the exit code. */
static inline int check_end(void)
{
    printf("%d passed, %d failed\n", check_passed, check_failed);
    return check_failed ? 1 : 0;
}

#endif
