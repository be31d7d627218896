#include "config.h"

#include "dice.h"

#include <math.h>
#include <stdio.h>

enum { hour_ms = 3600000 };

/* splitmix64's last step: each bit of x reaches all of the result. */
static uint64_t mix(uint64_t x) {
  x += UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

static uint64_t fold(uint64_t h, const char *text) {
  for (; *text; text++)
    h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
  return mix(h);
}

uint64_t sim_dice(uint64_t seed, const char *what, const char *whom, uint64_t nth) {
  return mix(fold(fold(mix(seed), what), whom) + mix(nth));
}

double sim_draw(uint64_t seed, const char *what, const char *whom, uint64_t nth) {
  return (double)(sim_dice(seed, what, whom, nth) >> 11) * 0x1p-53;
}

int64_t sim_in_range(const struct sim_range *range, double u, bool tail) {
  double width = (double)(range->high - range->low);
  if (width <= 0)
    return range->low;
  /* Half of all lie in the lowest fiftieth, a tenth in the upper half. */
  double at = tail ? u * u * u * u * u * u : u;
  return range->low + (int64_t)(width * at);
}

int64_t sim_time_to(double per_hour, double u) {
  if (per_hour <= 0)
    return -1;
  double ms = -log1p(-u) / per_hour * hour_ms;
  return ms < 1 ? 1 : ms > 1e15 ? -1 : (int64_t)ms;
}

void sim_hex(const char *what, const char *text, char out[65]) {
  for (int i = 0; i < 4; i++)
    snprintf(out + (size_t)i * 16, 17, "%016llx", (unsigned long long)sim_dice((uint64_t)i, what, text, 0));
}
