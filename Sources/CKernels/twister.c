// MT19937 with the bounded integers of NumPy's RandomState: masked words, those above the bound thrown away.
#include "nnk_internal.h"
#include "nnk_preprocessing.h"

enum { state_size = 624, state_shift = 397 };

NNK_INLINE uint32_t twisted(const uint32_t *state, ptrdiff_t i, ptrdiff_t following, ptrdiff_t far) {
  const uint32_t y = (state[i] & 0x80000000u) | (state[following] & 0x7FFFFFFFu);
  return state[far] ^ (y >> 1) ^ ((0u - (y & 1u)) & 0x9908B0DFu);
}

NNK_CLONES void nnk_twister_regenerate(uint32_t *state) {
  const ptrdiff_t split = state_size - state_shift;
  for (ptrdiff_t i = 0; i < split; i++) state[i] = twisted(state, i, i + 1, i + state_shift);
  for (ptrdiff_t i = split; i < state_size - 1; i++) state[i] = twisted(state, i, i + 1, i - split);
  state[state_size - 1] = twisted(state, state_size - 1, 0, state_shift - 1);
}

// The words from `position` on as the generator gives them out; a used up state is renewed first.
NNK_CLONES static ptrdiff_t next_words(uint32_t *state, ptrdiff_t position, uint32_t *words) {
  if (position >= state_size) {
    nnk_twister_regenerate(state);
    position = 0;
  }
  for (ptrdiff_t i = position; i < state_size; i++) {
    uint32_t y = state[i];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9D2C5680u;
    y ^= (y << 15) & 0xEFC60000u;
    words[i] = y ^ (y >> 18);
  }
  return position;
}

// The smallest 2^k - 1 that is not below `limit`.
static uint32_t mask_of(uint32_t limit) { return limit == 0 ? 0 : UINT32_MAX >> __builtin_clz(limit); }

ptrdiff_t nnk_twister_draw(
    uint32_t *state, ptrdiff_t position, const float *values, uint32_t limit, float *target,
    ptrdiff_t count) {
  const uint32_t mask = mask_of(limit);
  uint32_t words[state_size];
  ptrdiff_t filled = 0;
  while (filled < count) {
    position = next_words(state, position, words);
    // Every word is written and only the accepted ones are kept: a branch could not be foreseen.
    while (position < state_size && filled < count) {
      const uint32_t word = words[position++] & mask;
      const uint32_t accepted = word <= limit;
      target[filled] = values[accepted ? word : 0];
      filled += accepted;
    }
  }
  return position;
}

ptrdiff_t nnk_twister_shuffle(uint32_t *state, ptrdiff_t position, uint32_t *values, ptrdiff_t count) {
  uint32_t words[state_size];
  ptrdiff_t i = count - 1;
  if (i > 0) position = next_words(state, position, words);
  while (i > 0) {
    const uint32_t limit = (uint32_t)i, mask = mask_of(limit);
    uint32_t word;
    do {
      if (position >= state_size) position = next_words(state, position, words);
      word = words[position++] & mask;
    } while (word > limit);
    const uint32_t other = values[word];
    values[word] = values[i];
    values[i] = other;
    i--;
  }
  return position;
}
