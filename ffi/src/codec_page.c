/* The two loops that see every byte of every dirty page. */
#include "codec_format.h"

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2")))
static uint64_t differs_avx2(const uint8_t *a, const uint8_t *b)
{
    uint64_t same = 0;
    for (unsigned i = 0; i < 16; i++) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(a + 32 * i));
        __m256i y = _mm256_loadu_si256((const __m256i *)(const void *)(b + 32 * i));
        same |= (uint64_t)(unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(x, y))) << (4 * i);
    }
    return ~same;
}

__attribute__((target("avx2")))
static int page_difference_avx2(const uint8_t *a, const uint8_t *b, uint64_t *mask)
{
    uint64_t any = 0;
    for (unsigned i = 0; i < CODEC_WORDS / 64; i++)
        any |= mask[i] = differs_avx2(a + 512 * i, b + 512 * i);
    return any != 0;
}

/* 64 words of 8 bytes; SSE2 compares halves only, so a word is the same if both halves are. */
static uint64_t differs(const uint8_t *a, const uint8_t *b)
{
    uint64_t same = 0;
    for (unsigned i = 0; i < 32; i++) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(a + 16 * i));
        __m128i y = _mm_loadu_si128((const __m128i *)(const void *)(b + 16 * i));
        __m128i halves = _mm_cmpeq_epi32(x, y);
        __m128i both = _mm_and_si128(halves, _mm_shuffle_epi32(halves, 0xb1));
        same |= (uint64_t)(unsigned)_mm_movemask_pd(_mm_castsi128_pd(both)) << (2 * i);
    }
    return ~same;
}
#else
static uint64_t differs(const uint8_t *a, const uint8_t *b)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < 64; i++)
        mask |= (uint64_t)(memcmp(a + 8 * i, b + 8 * i, 8) != 0) << i;
    return mask;
}
#endif

int page_difference(const uint8_t *a, const uint8_t *b, uint64_t mask[CODEC_WORDS / 64])
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return page_difference_avx2(a, b, mask);
#endif
    uint64_t any = 0;
    for (unsigned i = 0; i < CODEC_WORDS / 64; i++)
        any |= mask[i] = differs(a + 512 * i, b + 512 * i);
    return any != 0;
}

int page_is_zero(const uint8_t *page)
{
    /* Most pages that are not zero show it early. */
    for (unsigned i = 0; i < ISF_PAGE; i += 128) {
        uint64_t w[16], any = 0;
        memcpy(w, page + i, sizeof w);
        for (unsigned k = 0; k < 16; k++)
            any |= w[k];
        if (any)
            return 0;
    }
    return 1;
}
